"""Everything that a judgement needs, as it is saved, and the judgement of it: live and offline go the same way.

An index names the settings, the hosts in rank order, and the file of each host; a host's file has its raw answers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from pydantic import ValidationError

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.facts import HostFacts
from mindie_deploy.preflight.finding import Unreachable, as_list, as_mapping
from mindie_deploy.preflight.gathered import facts_of, with_listener
from mindie_deploy.preflight.judge import judge
from mindie_deploy.preflight.report import Report

FORMAT = 1
INDEX = "index.json"
MOST_HOSTS = 100_000
REGISTERED = ("collection", "reach", "listener", "listener_end")  # of roles/preflight, without their prefix


@dataclass(frozen=True)
class Saved:
    """The input of one judgement. `answers` holds by host what its tasks returned, by the names of REGISTERED.

    `absent`, `model_types` and `left_out` are those of judge.judge. `asked_at` (UTC) and
    `version` tell when the hosts were asked, and by which mindie-deploy.
    """

    settings: Settings
    hosts: tuple[Host, ...]
    answers: Mapping[str, Mapping[str, object]]
    absent: tuple[str, ...] = ()
    model_types: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    asked_at: str = ""
    version: str = ""

    def report(self) -> Report:
        """Judges it."""
        facts = {host.name: _facts(host.name, self.answers.get(host.name, {}), self.settings) for host in self.hosts}
        report = judge(
            self.hosts, facts, self.settings, absent=self.absent, model_types=self.model_types, left_out=self.left_out
        )
        return replace(report, asked_at=self.asked_at, version=self.version)

    def documents(self) -> dict[str, object]:
        """Returns what is to be written, as JSON-safe documents by file name."""
        files = {host.name: _file_name(host) for host in self.hosts}
        index = {
            "format": FORMAT,
            "settings": self.settings.model_dump(mode="json"),
            "hosts": [asdict(host) for host in self.hosts],
            "files": files,
            "absent": list(self.absent),
            "model_types": list(self.model_types),
            "left_out": list(self.left_out),
            "asked_at": self.asked_at,
            "version": self.version,
        }
        return {INDEX: index, **{file: dict(self.answers.get(name, {})) for name, file in files.items()}}


def from_documents(documents: Mapping[str, object]) -> Saved:
    """Reads the documents back. Raises KeyError, TypeError or ValueError for anything else.

    What hosts answered is not looked at: whoever reads it expects anything.
    """
    index = as_mapping(documents[INDEX])
    if index["format"] != FORMAT:
        raise ValueError(f"the format is {str(index['format'])[:20]!r}; this version reads {FORMAT}")
    version = str(index.get("version", ""))[:40]
    try:
        settings = Settings.model_validate(dict(as_mapping(index["settings"])))
    except ValidationError as error:
        names = ", ".join(str(one["loc"][0] if one["loc"] else "?") for one in error.errors()[:3])
        by = f"mindie-deploy {version}" if version else "another mindie-deploy"
        raise ValueError(f"it was made by {by}, and its settings are not those of this version: {names}") from error
    hosts = _hosts(as_list(index["hosts"]))
    files = as_mapping(index["files"])
    return Saved(
        settings=settings,
        hosts=hosts,
        answers={host.name: dict(as_mapping(documents[str(files[host.name])])) for host in hosts},
        absent=tuple(str(one) for one in as_list(index["absent"])),
        model_types=tuple(str(one) for one in as_list(index["model_types"])),
        asked_at=str(index.get("asked_at", ""))[:40],
        version=version,
        left_out=tuple(str(one) for one in as_list(index.get("left_out", []))),
    )


def answers_of(registered: Mapping[str, object]) -> dict[str, object]:
    """Returns a host's answers from its Ansible variables."""
    return {name: registered[f"preflight_{name}"] for name in REGISTERED if registered.get(f"preflight_{name}")}


def _facts(name: str, answers: Mapping[str, object], settings: Settings) -> HostFacts | Unreachable:
    collected, reach, started, stopped = (_mapping(answers.get(one)) for one in REGISTERED)
    return facts_of(name, collected, settings, with_listener(reach, started, stopped))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _hosts(values: Sequence[object]) -> tuple[Host, ...]:
    """Returns the hosts. Raises ValueError where there is none, or where two are the same."""
    hosts = tuple(_host(as_mapping(one)) for one in values)
    if not hosts:
        raise ValueError("it has no hosts")
    for what in ("name", "address", "rank"):
        if len({getattr(host, what) for host in hosts}) < len(hosts):
            raise ValueError(f"two hosts have the same {what}")
    return hosts


def _host(value: Mapping[str, object]) -> Host:
    name, rank = str(value["name"]), value["rank"]
    if not isinstance(rank, int) or isinstance(rank, bool) or not 0 <= rank < MOST_HOSTS:
        raise TypeError(f"the rank of host {name[:80]} is no number from 0 to {MOST_HOSTS - 1}")
    return Host(name, str(ipaddress.ip_address(str(value["address"]))), rank)


def _file_name(host: Host) -> str:
    """Returns a name that is safe on any file system, whatever the inventory calls the host."""
    return f"{host.rank:03d}-{re.sub(r'[^A-Za-z0-9._-]', '_', host.name)[:80]}.json"


def not_playing(hosts: Sequence[Mapping[str, object]], playing: set[str]) -> tuple[str, ...]:
    """Returns the names of the deployment's hosts that are not in the play."""
    return tuple(str(one["name"]) for one in hosts if one["name"] not in playing)


def hosts_playing(hosts: Sequence[Mapping[str, object]], playing: set[str]) -> tuple[Host, ...]:
    """Returns the hosts of a play, from their JSON form."""
    return tuple(_host(one) for one in hosts if one["name"] in playing)

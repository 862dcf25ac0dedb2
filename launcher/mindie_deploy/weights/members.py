"""Who takes part in an exchange, and with which files: from what each host tells of itself to the plan of the run.

Any directory travels like this, the weights as well as the archive of the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mindie_deploy.weights.exchange import CONTROLLER, Exchange, Participant, Place
from mindie_deploy.weights.manifest import Manifest
from mindie_deploy.weights.origin import origin_of
from mindie_deploy.weights.source import Source, SourceKind, parse_source

MIB = 1024 * 1024


@dataclass(frozen=True)
class Cargo:
    """What travels: the files, where they come from, and what the look at the source said (of a hub: its `urls`).

    `owner` and `group` are numbers, `source_status_file` is where the agent beside the source tells how far it is.
    """

    manifest: Manifest
    source: Source
    source_seen: Mapping[str, Any]
    source_status_file: str
    owner: int
    group: int
    time_limit_s: int


def cargo_of(arguments: Mapping[str, Any]) -> Cargo:
    """Reads the arguments of a task. Raises ManifestError, UsageError."""
    return Cargo(
        manifest=Manifest.from_dict(arguments["manifest"]),
        source=source_of(arguments["source"]),
        source_seen=arguments.get("source_seen") or {},
        source_status_file=str(arguments.get("source_status_file") or ""),
        owner=int(arguments["owner"]),
        group=int(arguments["group"]),
        time_limit_s=int(arguments["time_limit"]),
    )


def source_of(value: str | Mapping[str, Any]) -> Source:
    """Reads a source: text as in the setting weights_source, or a mapping of kind, path and host.

    Raises UsageError for a text of another form, ValueError for an unknown kind.
    """
    if isinstance(value, str):
        return parse_source(value)
    return Source(SourceKind(value["kind"]), str(value.get("path") or ""), str(value.get("host") or ""))


def joined(
    name: str, seen: Mapping[str, Any], fetch: Iterable[str], incoming: str, command: Iterable[str] = ()
) -> dict[str, Any]:
    """Returns what a host tells the others: `seen` is the look at its directory, `fetch` names what it lacks."""
    lacks = sorted(fetch)
    return {
        "name": name,
        "final": seen["real_directory"],
        "incoming": incoming if lacks else "",
        "fetch": lacks,
        "status_file": seen["status_file"],
        "cores": int(seen.get("cores") or 1),
        "command": list(command),
    }


def giver_of(source: Source, members: Iterable[str]) -> str:
    """Returns the member that has the source and gets nothing: the controller, or a host that is none of `members`.

    "" where there is none.
    """
    if source.kind is SourceKind.CONTROLLER:
        return CONTROLLER
    return source.host if source.kind is SourceKind.HOST and source.host not in members else ""


def exchange_of(
    cargo: Cargo,
    members: Iterable[Mapping[str, Any]],
    addresses: Mapping[str, str],
    settings: Mapping[str, Any],
    secrets: Mapping[str, Any],
    reader: str,
) -> Exchange:
    """Returns the run as `reader`, the member that the plan is for, may know it.

    `members`: what `joined` returned, in the order of ranks. `addresses`: by name, in the network of the exchange,
    with that of the host that has the source.
    `settings`: those of the deployment, with the secret ones. `secrets`: `secret`, and `tls` or None.
    """
    participants = [_participant(row, addresses, cargo, commands=reader == CONTROLLER) for row in members]
    lacking = [one.name for one in participants if not one.place.read_only]
    giver = giver_of(cargo.source, [one.name for one in participants])
    if giver:
        participants.append(_giver(giver, cargo, addresses))
    return Exchange(
        manifest=cargo.manifest,
        participants=tuple(participants),
        port=int(settings["weights_port"]),
        secret=str(secrets["secret"]),
        rate_limit=int(settings["weights_rate_limit"]) * MIB,
        lifetime=cargo.time_limit_s,
        origin=origin_of(cargo.source, lacking, cargo.source_seen, settings),
        tls=secrets.get("tls"),
    )


def _participant(row: Mapping[str, Any], addresses: Mapping[str, str], cargo: Cargo, *, commands: bool) -> Participant:
    lacks = frozenset(map(str, row["fetch"]))
    return Participant(
        name=row["name"],
        address=addresses[row["name"]],
        place=Place(
            final=row["final"],
            incoming=row["incoming"],
            complete=frozenset(cargo.manifest.by_name) - lacks,
            read_only=not lacks,
            owner=cargo.owner,
            group=cargo.group,
        ),
        status_file=row["status_file"],
        cores=row["cores"],
        command=tuple(row["command"]) if commands else (),
    )


def _giver(name: str, cargo: Cargo, addresses: Mapping[str, str]) -> Participant:
    calls = name == CONTROLLER
    return Participant(
        name=name,
        address="127.0.0.1" if calls else addresses[name],
        place=Place(cargo.source_seen["real_directory"], "", frozenset(cargo.manifest.by_name), read_only=True),
        status_file=cargo.source_status_file,
        cores=int(cargo.source_seen.get("cores") or 1),
        dials=calls,
    )

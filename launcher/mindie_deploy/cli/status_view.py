"""What runs where, from the results of the status playbook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mindie_deploy.cli.terminal import duration
from mindie_deploy.runs.outcome import one_line
from mindie_deploy.runs.result import RunResult

STATES = {
    "ready": "listening",
    "listening": "listening",
    "started": "started",
    "starting": "starting",
    "dead": "ended",
    "absent": "none",
}
STYLES = {"listening": "green", "started": "cyan", "starting": "cyan", "ended": "bold red", "unknown": "bold yellow"}
# Each column with the width of the terminal from which on it is shown.
COLUMNS = {"host": 0, "rank": 60, "daemon": 0, "for": 80, "NPUs": 0, "HBM used": 60, "AICore": 80, "hottest": 80}
NO_NEWS = ("listening", "started", "none")  # of such a member the last log line is no news
RIGHT = ("rank", "for", "HBM used", "AICore")


@dataclass(frozen=True)
class MemberStatus:
    """One host's member; `state` is a word for people, "unknown" where the host could not be asked.

    Only the leader comes to be "listening"; the others end at "started".
    """

    host: str
    rank: int
    state: str
    message: str
    since: str
    listening: bool | None
    npus: tuple[Mapping[str, Any], ...]
    npus_unknown: str

    @property
    def running(self) -> bool | None:
        """Whether its container runs; None when that is not known."""
        return None if self.state == "unknown" else self.state in ("listening", "started", "starting")

    def to_dict(self) -> dict[str, object]:
        return {
            "rank": self.rank,
            "state": self.state,
            "running": self.running,
            "message": self.message,
            "since": self.since or None,
            "listening": self.listening,
            "npus": [dict(npu) for npu in self.npus],
            "npus_unknown": self.npus_unknown or None,
        }


@dataclass(frozen=True)
class DeploymentStatus:
    """All members in rank order. `answering`: all run and the leader's API listens; None when not all is known.

    `left_out` are hosts that were not asked because only some were wanted.
    """

    deployment: str
    endpoint: str
    members: tuple[MemberStatus, ...]
    left_out: tuple[str, ...] = ()

    @property
    def answering(self) -> bool | None:
        states = [member.running for member in self.members]
        if any(state is False for state in states):
            return False
        if self.left_out or any(state is None for state in states):
            return None
        return bool(self.members) and self.members[0].listening is True

    @property
    def remedy(self) -> str:
        """What to do about a deployment that does not answer; empty for one that does, or that is not known."""
        if self.answering is not False and not (self.answering is None and self.left_out):
            return ""
        lost = [member.host for member in self.members if member.running is False]
        said = [member.host for member in self.members if member.state == "ended"]
        if len(lost) == len(self.members) and not said:
            return "mindie-deploy up"
        if lost:
            logs = f"mindie-deploy logs --host {said[0]} shows what it has said; " if said else ""
            return f"{logs}mindie-deploy up starts all members again"
        return (
            ""
            if self.answering is None
            else "mindie-deploy logs --follow shows how the start goes on, mindie-deploy lock status who watches it"
        )

    @property
    def since(self) -> str:
        """When the last member was started, in the engine's words."""
        return max((member.since for member in self.members), default="")

    def to_dict(self) -> dict[str, object]:
        """Returns the JSON form."""
        return {
            "deployment": self.deployment,
            "endpoint": self.endpoint,
            "answering": self.answering,
            "since": self.since or None,
            "not_asked": list(self.left_out),
            "hosts": {member.host: member.to_dict() for member in self.members},
        }


def status_of(
    result: RunResult, hosts: Sequence[str], deployment: str, endpoint: str, *, limited: bool = False
) -> DeploymentStatus:
    """Reads the state of all members from a run of the status playbook; `limited`: only some hosts were asked."""
    problems = {failure.host: failure.message for failure in (*result.failures, *result.unreachable)}
    told = result.of("mindie_status")
    members, left_out = [], []
    for rank, host in enumerate(hosts):
        if limited and host not in told and host not in problems:
            left_out.append(host)
            continue
        status = told.get(host, {}).get("status")
        if not isinstance(status, Mapping):
            words = one_line(problems.get(host, "it was not asked"))
            members.append(MemberStatus(host, rank, "unknown", words, "", None, (), words))
            continue
        listening = status.get("listening")
        state = STATES.get(str(status.get("state")), str(status.get("state")))
        members.append(
            MemberStatus(
                host=host,
                rank=rank,
                state="listening" if listening else state,
                message=one_line(str(status.get("message") or "")),
                since=str(status.get("since") or ""),
                listening=listening if isinstance(listening, bool) else None,
                npus=tuple(npu for npu in status.get("npus") or () if isinstance(npu, Mapping)),
                npus_unknown=str(status.get("npus_unknown") or ""),
            )
        )
    return DeploymentStatus(deployment, endpoint, tuple(members), tuple(left_out))


def members_text(status: DeploymentStatus) -> list[str]:
    """Returns one line a host: what runs there, for the end of a cancelled or failed run."""
    lines = []
    for member in status.members:
        running = {True: "its daemon runs", False: "nothing runs", None: "unknown"}[member.running]
        detail = f" ({member.message})" if member.message and member.state not in NO_NEWS else ""
        lines.append(f"{member.host}: {running}{detail}")
    return lines


def status_view(status: DeploymentStatus, width: int) -> RenderableType:
    """Returns the status for a terminal of this many characters; a narrow one gets the columns that matter most."""
    return Group(*_parts(status, width))


def _parts(status: DeploymentStatus, width: int) -> Iterator[RenderableType]:
    word, style = {
        True: ("answering", "bold green"),
        False: ("not answering", "bold red"),
        None: ("not all hosts were asked" if status.left_out else "unknown", "yellow"),
    }[status.answering]
    head = Text.assemble((status.deployment, "bold"), "  ", (word, style))
    if status.answering:
        head.append(f"  for {_age(status.since)}  {status.endpoint}")
    yield head
    table = Table(box=None, pad_edge=False, header_style="bold")
    rows = [_row(member) for member in status.members]
    columns = [column for column in COLUMNS if width >= COLUMNS[column]]
    for column in columns:
        table.add_column(column, no_wrap=True, justify="right" if column in RIGHT else "left")
    for row in rows:
        table.add_row(*(row[column] for column in columns))
    yield table
    for member in status.members:
        if member.message and member.state not in NO_NEWS:
            yield Text.assemble((f"{member.host}: ", "bold"), member.message)


def _row(member: MemberStatus) -> dict[str, Text]:
    return {
        "host": Text(member.host),
        "rank": Text(str(member.rank)),
        "daemon": Text(member.state, STYLES.get(member.state, "")),
        "for": Text(_age(member.since) if member.since else "-"),
        **_npu_cells(member),
    }


def _npu_cells(member: MemberStatus) -> dict[str, Text]:
    if not member.npus:
        return {"NPUs": Text("?", "yellow"), "HBM used": Text("-"), "AICore": Text("-"), "hottest": Text("-")}
    healthy = sum(str(npu.get("health", "")).upper() == "OK" for npu in member.npus)
    style = "" if healthy == len(member.npus) else "bold red"
    used, total = (_sum(member.npus, key) for key in ("hbm_used_mib", "hbm_total_mib"))
    hbm = f"{used / 1024:.0f}/{total / 1024:.0f} GiB" if used is not None and total else "?"
    cores = [npu["aicore_percent"] for npu in member.npus if isinstance(npu.get("aicore_percent"), int | float)]
    heat = [npu["temperature_c"] for npu in member.npus if isinstance(npu.get("temperature_c"), int | float)]
    return {
        "NPUs": Text(f"{healthy}/{len(member.npus)} OK", style),
        "HBM used": Text(hbm),
        "AICore": Text(f"{sum(cores) / len(cores):.0f} %" if cores else "?"),
        "hottest": Text(f"{max(heat):.0f} C" if heat else "?"),
    }


def _sum(npus: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [npu.get(key) for npu in npus]
    numbers = [value for value in values if isinstance(value, int | float)]
    return float(sum(numbers)) if numbers and len(numbers) == len(values) else None


def _age(since: str) -> str:
    """Returns how long ago a time of the engine was, by this machine's clock."""
    try:
        # Engines write nanoseconds, which fromisoformat of Python 3.11 cuts off by itself.
        then = datetime.fromisoformat(since)
    except ValueError:
        return "?"
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return duration(max(0.0, (datetime.now(UTC) - then).total_seconds()))

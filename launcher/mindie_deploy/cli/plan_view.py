"""What a run would change, from the results of a run in check mode."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from mindie_deploy.runs.redaction import Redactor
from mindie_deploy.runs.result import RunResult

LONGEST_DIFF = 60
LONGEST_NEW = 5


@dataclass(frozen=True)
class Change:
    """One change that is the same on these hosts: what it is about, and its lines as a unified diff."""

    hosts: tuple[str, ...]
    what: str
    task: str
    lines: tuple[str, ...]

    @property
    def new(self) -> bool:
        """Whether it is a file that is not there yet, and too long to be worth printing."""
        return len(self.lines) > LONGEST_NEW and all(line.startswith("+") for line in self.lines)

    def to_dict(self) -> dict[str, object]:
        return {"hosts": list(self.hosts), "what": self.what, "task": self.task, "diff": list(self.lines)}


@dataclass(frozen=True)
class Plan:
    """All changes in the order of the run; `reasons` say why the members are started, empty when they are not."""

    hosts: tuple[str, ...]
    changes: tuple[Change, ...]
    reasons: tuple[str, ...]

    @property
    def empty(self) -> bool:
        return not self.changes and not self.reasons

    def to_dict(self) -> dict[str, object]:
        """Returns the JSON form."""
        return {
            "changes": [change.to_dict() for change in self.changes],
            "restart_reasons": list(self.reasons),
            "unchanged_hosts": [
                host for host in self.hosts if not any(host in change.hosts for change in self.changes)
            ],
        }


def plan_of(result: RunResult, hosts: Sequence[str], redact: Redactor) -> Plan:
    """Reads the plan from a run in check mode. Equal changes of several hosts become one."""
    found: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for event in result.changes:
        for what, lines in _differences(event.result, event.task):
            key = (what, event.task, tuple(redact(line) for line in lines))
            found.setdefault(key, []).append(event.host)
    changes = tuple(
        Change(tuple(sorted(set(on), key=list(hosts).index if set(on) <= set(hosts) else None)), what, task, lines)
        for (what, task, lines), on in found.items()
    )
    return Plan(tuple(hosts), changes, _reasons(result))


def plan_view(plan: Plan) -> RenderableType:
    """Returns the plan for a terminal."""
    return Group(*_parts(plan))


def _parts(plan: Plan) -> Iterator[RenderableType]:
    if plan.empty:
        yield Text("nothing to change", "green")
        return
    for change in plan.changes:
        where = "all hosts" if set(change.hosts) >= set(plan.hosts) else ", ".join(change.hosts)
        if change.new:
            yield Text.assemble((f"{where}: ", "bold"), change.what, (f"  new, {len(change.lines)} lines", "green"))
            continue
        yield Text.assemble((f"{where}: ", "bold"), change.what)
        for line in change.lines[:LONGEST_DIFF]:
            style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
            yield Text(f"    {line}", style)
        if len(change.lines) > LONGEST_DIFF:
            yield Text(f"    ... {len(change.lines) - LONGEST_DIFF} more lines", "dim")
    if plan.reasons:
        yield Text("all members are started:", "bold yellow")
        for reason in plan.reasons:
            yield Text(f"    {reason}")
    files = len(plan.changes)
    yield Text(f"plan: {files} change{'' if files == 1 else 's'}", "bold")


def _differences(result: Mapping[str, Any], task: str) -> Iterator[tuple[str, list[str]]]:
    told = result.get("diff")
    diffs = [one for one in (told if isinstance(told, list) else [told]) if isinstance(one, Mapping)]
    for one in diffs:
        if "prepared" in one:
            yield task, str(one["prepared"]).splitlines()
            continue
        before, after = _text(one.get("before")), _text(one.get("after"))
        if before == after:
            continue
        what = str(one.get("after_header") or one.get("before_header") or task)
        lines = list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]
        yield what, [line for line in lines if not line.startswith("@@")]
    if not diffs:
        yield task, []


def _text(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key}: {item}" for key, item in sorted(value.items())]
    return str(value or "").splitlines()


def _reasons(result: RunResult) -> tuple[str, ...]:
    """Why the gang would be started: the decision that the play stored as a fact."""
    for told in result.of("set_fact").values():
        gang = (told.get("ansible_facts") or {}).get("mindie_gang")
        if isinstance(gang, Mapping) and gang.get("start"):
            return tuple(str(reason) for reason in gang.get("reasons") or ("a member has to be started",))
    return ()

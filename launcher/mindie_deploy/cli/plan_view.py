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
    """Reads the plan from a run in check mode.

    Several steps with one thing on one host become one change, from what is there first to what is there last; equal
    changes of several hosts become one.
    """
    steps: dict[tuple[str, str], list[_Step]] = {}
    for event in result.changes:
        for step in _steps(event.result, event.task):
            steps.setdefault((step.what, event.host), []).append(step)
    whats = list(dict.fromkeys(what for what, _host in steps))
    found: dict[tuple[str, tuple[str, ...]], list[tuple[int, str, str]]] = {}
    for (what, host), taken in steps.items():
        rank = hosts.index(host) if host in hosts else len(hosts)
        lines = tuple(redact(line) for line in _lines(taken))
        found.setdefault((what, lines), []).append((rank, host, taken[0].task))
    changes = [
        Change(tuple(host for _rank, host, _task in sorted(on)), what, sorted(on)[0][2], lines)
        for (what, lines), on in found.items()
    ]
    first = {(what, lines): min(on) for (what, lines), on in found.items()}
    changes.sort(key=lambda change: (whats.index(change.what), first[change.what, change.lines]))
    return Plan(tuple(hosts), tuple(changes), _reasons(result))


def plan_view(plan: Plan, *, whole: bool = False) -> RenderableType:
    """Returns the plan for a terminal, with `whole` every line of it."""
    return Group(*_parts(plan, whole))


def _parts(plan: Plan, whole: bool) -> Iterator[RenderableType]:
    if plan.empty:
        yield Text("nothing to change", "green")
        return
    for change in plan.changes:
        where = "all hosts" if set(change.hosts) >= set(plan.hosts) else ", ".join(change.hosts)
        if change.new and not whole:
            yield Text.assemble((f"{where}: ", "bold"), change.what, (f"  new, {len(change.lines)} lines", "green"))
            continue
        yield Text.assemble((f"{where}: ", "bold"), change.what)
        shown = change.lines if whole else change.lines[:LONGEST_DIFF]
        for line in shown:
            style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
            yield Text(f"    {line}", style)
        if len(change.lines) > len(shown):
            yield Text(f"    ... {len(change.lines) - len(shown)} more lines", "dim")
    if plan.reasons:
        yield Text("all members are started:", "bold yellow")
        for reason in plan.reasons:
            yield Text(f"    {reason}")
    count = len(plan.changes)
    cut = not whole and any(change.new or len(change.lines) > LONGEST_DIFF for change in plan.changes)
    yield Text.assemble(
        (f"plan: {count} change{'' if count == 1 else 's'}", "bold"),
        ("; every line: mindie-deploy plan --diff" if cut else "", "dim"),
    )


@dataclass(frozen=True)
class _Step:
    """One difference that a task told of: lines before and after it, or `prepared` lines of its own."""

    what: str
    task: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    prepared: tuple[str, ...] = ()


def _steps(result: Mapping[str, Any], task: str) -> Iterator[_Step]:
    told = result.get("diff")
    diffs = [one for one in (told if isinstance(told, list) else [told]) if isinstance(one, Mapping)]
    for one in diffs:
        if "prepared" in one:
            yield _Step(task, task, prepared=tuple(str(one["prepared"]).splitlines()))
            continue
        before, after = _text(one.get("before")), _text(one.get("after"))
        if before != after:
            what = str(one.get("after_header") or one.get("before_header") or task)
            yield _Step(what, task, tuple(before), tuple(after))
    if not diffs:
        yield _Step(task, task)


def _lines(steps: Sequence[_Step]) -> list[str]:
    prepared = [line for step in steps for line in step.prepared]
    before, after = steps[0].before, steps[-1].after
    if len(steps) > 1 and before == after and before:
        return [*prepared, *(f"-{line}" for line in before), *(f"+{line}, made anew" for line in after)]
    lines = list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]
    return [*prepared, *(line for line in lines if not line.startswith("@@"))]


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

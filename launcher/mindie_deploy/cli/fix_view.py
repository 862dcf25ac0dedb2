"""A plan of fixes, and what was done, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from mindie_deploy.preflight.fix_action import FixAction, FixPlan
from mindie_deploy.preflight.text import printable

SHOWN = 16  # changes of one check on one host; a model has 163 shards


def plan_view(plan: FixPlan, whole: Path | None = None) -> RenderableType:
    """Returns the changes with their commands and their way back, then what is left as it is and why.

    `whole` is the file that has all of them, where there are many of one kind.
    """
    return Group(*_parts(plan, whole))


def changes_text(made: FixPlan) -> str:
    """Returns what was changed, in one line: "2 changes on host1, host2"."""
    count = made.count
    return f"{count} change{'' if count == 1 else 's'} on {', '.join(made.hosts)}" if count else "nothing was changed"


def _parts(plan: FixPlan, whole: Path | None) -> Iterator[Text]:
    for host, fixes in plan.hosts.items():
        yield Text(host, "bold")
        for check_id in dict.fromkeys(action.check_id for action in fixes.actions):
            yield from _of_check([action for action in fixes.actions if action.check_id == check_id], whole)
    for one in plan.left:
        why = (f"left as it is: {printable(one.why)}", "yellow")
        yield Text.assemble((f"{one.host}: ", "bold"), why, _id(one.check_id))
    if plan.hosts:
        yield Text(f"plan: {changes_text(plan)}", "bold")


def _of_check(actions: Sequence[FixAction], whole: Path | None) -> Iterator[Text]:
    for action in actions[:SHOWN]:
        change = (printable(action.change), "green")
        yield Text.assemble(f"  {printable(action.what)}: ", change, _id(action.check_id))
        yield Text(f"      run:  {printable(action.command)}")
        if action.undo:
            yield Text(f"      undo: {printable(action.undo)}", "dim")
        else:
            yield Text("      undo: nothing takes this back", "yellow")
    if len(actions) > SHOWN:
        yield Text(f"  and {len(actions) - SHOWN} more of {actions[0].check_id}, all of them in {whole}", "dim")


def _id(check_id: str) -> tuple[str, str]:
    return f"  ({check_id})", "dim"

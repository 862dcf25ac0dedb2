"""Which problems are only consequences of others at the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from mindie_deploy.preflight.finding import SEVERITIES
from mindie_deploy.preflight.registry import Check, all_checks, causes_of
from mindie_deploy.preflight.run import Seen


def split_consequences(seen: Sequence[Seen]) -> tuple[list[Seen], list[tuple[Seen, str]]]:
    """Returns the problems that stand for themselves, and the others each with the id of the check that explains it.

    A cause explains a problem of a check that declares it, on the same host, if the cause concerns the whole host or
    the same NPU (any NPU where so declared, for what is said of the whole host or not known). It must be at least as grave, so that hiding never changes the verdict;
    and missing evidence explains only missing evidence. Of several causes the first one counts: causes of causes come
    first.
    """
    by_check: dict[str, list[Seen]] = {}
    for item in seen:
        by_check.setdefault(item.check.id, []).append(item)
    visible: list[Seen] = []
    hidden: list[tuple[Seen, str]] = []
    for item in seen:
        cause = _cause(item, by_check)
        if cause is None:
            visible.append(item)
        else:
            hidden.append((item, cause))
    return visible, hidden


def _cause(item: Seen, by_check: Mapping[str, list[Seen]]) -> str | None:
    for cause_id, any_npu in _ancestors(item.check.id):
        if any(_explains(cause, item, any_npu) for cause in by_check.get(cause_id, ())):
            return cause_id
    return None


def _explains(cause: Seen, item: Seen, any_npu: bool) -> bool:
    if cause.problem.host != item.problem.host:
        return False
    if SEVERITIES.index(cause.severity) > SEVERITIES.index(item.severity):
        return False
    if cause.problem.kind == "unknown" and item.problem.kind != "unknown":
        return False
    same_place = cause.problem.npu is None or cause.problem.npu == item.problem.npu
    return same_place or (any_npu and (item.problem.npu is None or item.problem.kind == "unknown"))


@cache
def _ancestors(check_id: str) -> tuple[tuple[str, bool], ...]:
    """Returns all causes of a check, direct or not, causes of causes first, and whether one NPU is enough.

    One NPU is enough only where the check itself declares it, or a cause of its own declares it of that ancestor.
    """
    checks = all_checks()
    found: dict[str, bool] = {}

    def visit(check: Check) -> None:
        for cause_id in causes_of(check):
            found[cause_id] = found.get(cause_id, False) or cause_id in check.caused_by_any_npu
            visit(checks[cause_id])

    visit(checks[check_id])
    order = {name: place for place, name in enumerate(checks)}
    return tuple(sorted(found.items(), key=lambda item: order[item[0]]))

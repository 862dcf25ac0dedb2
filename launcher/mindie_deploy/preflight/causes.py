"""Which problems are only consequences of others at the same place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mindie_deploy.preflight.finding import SEVERITIES
from mindie_deploy.preflight.registry import Check, all_checks, causes_of
from mindie_deploy.preflight.run import Seen


def split_consequences(seen: Sequence[Seen]) -> tuple[list[Seen], list[tuple[Seen, str]]]:
    """Returns the problems that stand for themselves, and the others each with the id of the check that explains it.

    A cause explains a problem of a check that declares it, on the same host, if the cause concerns the whole host or
    the same NPU. Where the check so declares, any NPU of the host will do for what is said of the whole host or not
    known. A cause must be at least as grave, so that hiding never changes the verdict; and missing evidence explains
    only missing evidence. A cause that is a consequence itself passes its own cause on, so that what is named is
    always visible.
    """
    places = {check_id: place for place, check_id in enumerate(all_checks())}
    visible: list[Seen] = []
    hidden: list[tuple[Seen, str]] = []
    roots: dict[tuple[str, str], list[tuple[Seen, str]]] = {}  # by check and host: problems and what explains them
    for item in sorted(seen, key=lambda one: places[one.check.id]):  # causes before what they cause
        root = _root(item, roots)
        if root is None:
            visible.append(item)
        else:
            hidden.append((item, root))
        roots.setdefault((item.check.id, item.problem.host), []).append((item, root or item.check.id))
    return visible, hidden


def _root(item: Seen, roots: dict[tuple[str, str], list[tuple[Seen, str]]]) -> str | None:
    for cause_id, any_npu in _direct(item.check):
        for cause, root in roots.get((cause_id, item.problem.host), ()):
            if _explains(cause, item, any_npu):
                return root
    return None


def _direct(check: Check) -> Iterator[tuple[str, bool]]:
    for cause_id in causes_of(check):
        yield cause_id, cause_id in check.caused_by_any_npu


def _explains(cause: Seen, item: Seen, any_npu: bool) -> bool:
    """Whether a problem on the same host, of a check that may be the cause, explains this one."""
    if SEVERITIES.index(cause.severity) > SEVERITIES.index(item.severity):
        return False
    if cause.problem.kind == "unknown" and item.problem.kind != "unknown":
        return False
    same_place = cause.problem.npu is None or cause.problem.npu == item.problem.npu
    return same_place or (any_npu and (item.problem.npu is None or item.problem.kind == "unknown"))

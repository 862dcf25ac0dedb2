"""From many problems to few findings: one cause over many NPUs or hosts is one finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mindie_deploy.preflight.finding import KINDS, SEVERITIES, Evidence, Finding
from mindie_deploy.preflight.registry import all_checks
from mindie_deploy.preflight.run import Seen

Places = dict[str, list[int]]


def findings_of(seen: Sequence[Seen], order: Mapping[str, int], caused_by: str | None = None) -> list[Finding]:
    """Returns the findings of problems, sorted: the gravest first, known before unknown, causes before others.

    `order` gives the rank of each host; what belongs to no host comes last.
    """
    groups: dict[tuple[object, ...], list[Seen]] = {}
    for item in seen:
        problem = item.problem
        key = (item.check.id, problem.kind, item.severity, item.lowered, problem.title, problem.remedy)
        groups.setdefault(key, []).append(item)
    return sort([_finding(group, order, caused_by) for group in groups.values()])


def sort(findings: Sequence[Finding]) -> list[Finding]:
    places = {check_id: place for place, check_id in enumerate(all_checks())}
    return sorted(
        findings,
        key=lambda one: (SEVERITIES.index(one.severity), KINDS.index(one.kind), places[one.check_id], one.title),
    )


def _finding(group: Sequence[Seen], order: Mapping[str, int], caused_by: str | None) -> Finding:
    first = group[0]
    evidence: dict[tuple[str, str], Places] = {}
    for item in group:
        _add(evidence.setdefault((item.problem.command or item.check.command, item.problem.says), {}), item)
    everywhere: Places = {}
    for item in group:
        _add(everywhere, item)
    places = _sorted(everywhere, order)
    return Finding(
        check_id=first.check.id,
        kind=first.problem.kind,
        severity=first.severity,
        title=first.problem.title or first.check.title,
        hosts=tuple(places),
        devices={host: npus for host, npus in places.items() if npus},
        evidence=tuple(Evidence(command, says, _sorted(at, order)) for (command, says), at in evidence.items()),
        remedy=first.problem.remedy or _remedy(first),
        lowered=first.lowered,
        caused_by=caused_by,
    )


def _remedy(item: Seen) -> str:
    """The remedy of a fault is wrong advice where it is only not known whether there is one."""
    if item.problem.kind == "fail":
        return item.check.remedy
    advice = "Run the command by hand on the host and see why it gives no answer."
    if item.check.skippable and item.severity == "block":
        advice += f" If you know that all is well there, put {item.check.id} into mindie_checks_warn."
    return advice


def _add(places: Places, item: Seen) -> None:
    npus = places.setdefault(item.problem.host, [])
    if item.problem.npu is not None and item.problem.npu not in npus:
        npus.append(item.problem.npu)


def _sorted(places: Places, order: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    ranked = sorted(places, key=lambda host: (order.get(host, len(order)), host))
    return {host: tuple(sorted(places[host])) for host in ranked}

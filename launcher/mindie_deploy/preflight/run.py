"""Runs the checks over the facts of all hosts and returns their problems. Missing evidence becomes *unknown*."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mindie_deploy.hosts.facts import NOT_COLLECTED, HostFacts, Reading, Unknown
from mindie_deploy.preflight.context import Context, hccn_readings
from mindie_deploy.preflight.finding import Problem, Severity, Unreachable
from mindie_deploy.preflight.registry import HCCN, PER_NPU, SURROUNDINGS, Check

NOTHING_KNOWN = "nothing is known about the host"


@dataclass(frozen=True)
class Seen:
    """A problem with the check that saw it and its severity after mindie_checks_warn."""

    check: Check
    problem: Problem
    severity: Severity
    lowered: bool


def run(checks: Iterable[Check], facts: Mapping[str, HostFacts | Unreachable], context: Context) -> list[Seen]:
    """Returns the problems of all checks but those in settings.checks_skip. `facts` are in rank order."""
    skipped = set(context.settings.checks_skip)
    return [
        _graded(check, problem, context)
        for check in checks
        if not (check.skippable and check.id in skipped)
        for problem in _problems(check, facts, context)
    ]


def _graded(check: Check, problem: Problem, context: Context) -> Seen:
    """Missing evidence counts as much as the check does: what is not proven to work may not work."""
    severity = problem.severity or (check.unknown if problem.kind == "unknown" else check.severity)
    if context.size == 1 and check.id.startswith(HCCN):
        severity = "info"  # the RoCE ports carry nothing within a host, and one host gets no rank table
    lowered = severity == "block" and check.skippable and check.id in context.settings.checks_warn
    return Seen(check, problem, "warn" if lowered else severity, lowered)


def _problems(check: Check, facts: Mapping[str, HostFacts | Unreachable], context: Context) -> Iterator[Problem]:
    sighted: dict[str, HostFacts] = {}
    for name, host in facts.items():
        if isinstance(host, Unreachable):
            if check.scope == "unreachable":
                yield from check.function(name, host)
            else:  # the finding about the host itself hides it
                yield Problem(name, NOTHING_KNOWN, kind="unknown")
        elif check.scope != "unreachable":
            missing = list(_missing(check, host, context))
            yield from missing
            if all(problem.npu is not None for problem in missing):
                sighted[name] = host
    if check.scope == "cluster":
        yield from check.function(sighted, context)
    elif check.scope == "host":
        for host in sighted.values():
            yield from check.function(host, context)


def _missing(check: Check, host: HostFacts, context: Context) -> Iterator[Problem]:
    """Yields what the check needs and the host did not tell, once a place."""
    reported: set[int | None] = set()
    for need in check.needs:
        for npu, reading in _readings(need, host, context).items():
            if isinstance(reading, Unknown) and npu not in reported:
                reported.add(npu)
                yield Problem(host.name, reading.reason, npu, kind="unknown")


def _readings(need: str, host: HostFacts, context: Context) -> dict[int | None, Reading[object]]:
    if need.startswith(HCCN):
        return dict(hccn_readings(host, context, need.removeprefix(HCCN)).items())
    if need in PER_NPU:
        readings: Mapping[int, Reading[object]] = getattr(host, need)
        return {npu: readings.get(npu, NOT_COLLECTED) for npu in context.npus}
    if need.startswith(SURROUNDINGS):
        return {None: getattr(host.surroundings, need.removeprefix(SURROUNDINGS))}
    return {None: getattr(host, need)}

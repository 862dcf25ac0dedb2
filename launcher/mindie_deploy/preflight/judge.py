"""The judgement: facts of all hosts in, report out. Nothing here talks to a host."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.facts import HostFacts
from mindie_deploy.preflight.causes import split_consequences
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Finding, Unreachable, Verdict
from mindie_deploy.preflight.grouping import findings_of, sort
from mindie_deploy.preflight.ping_matrix import pairs_of
from mindie_deploy.preflight.registry import all_checks
from mindie_deploy.preflight.report import Report
from mindie_deploy.preflight.run import Seen, run
from mindie_deploy.preflight.table import rows_of, topology_of, versions_of

NOTHING = Unreachable("nothing was collected", "other")


def judge(
    hosts: Sequence[Host],
    facts: Mapping[str, HostFacts | Unreachable],
    settings: Settings,
    *,
    absent: Collection[str] = (),
    model_types: Collection[str] = (),
    left_out: Collection[str] = (),
) -> Report:
    """Judges all hosts with all checks.

    The verdict is "block" when any finding blocks. That includes the kind "unknown" of a check that blocks: evidence
    that could not be had is no proof that a launch would work, and a launch that hangs costs more than a look at one
    host. Such findings say what could not be read, never that the hardware is faulty; mindie_checks_warn and
    mindie_checks_skip let them pass by id.

    A host of `hosts` without an entry in `facts` counts as one from which nothing was collected. `absent` are
    those of context.local_paths that are not there, and `model_types` what the MindIE in the image takes (see
    mindie.versions). `left_out` are the deployment's other hosts, which --limit keeps out.
    """
    context = Context(settings, tuple(hosts), frozenset(absent), frozenset(model_types), tuple(left_out))
    ranked = {host.name: facts.get(host.name, NOTHING) for host in sorted(hosts, key=lambda host: host.rank)}
    order = {name: rank for rank, name in enumerate(ranked)}
    checks = all_checks()
    seen = run(checks.values(), ranked, context)
    visible, consequences = split_consequences(seen)

    causes: dict[str, list[Seen]] = {}
    for item, cause in consequences:
        causes.setdefault(cause, []).append(item)
    hidden = sort([one for cause, items in causes.items() for one in findings_of(items, order, cause)])
    findings = [replace(one, hides=_hidden_by(one, hidden)) for one in findings_of(visible, order)]
    return Report(
        deployment=settings.deployment,
        verdict=_verdict(findings),
        hosts=rows_of(ranked, findings, context),
        findings=tuple(findings),
        hidden=tuple(hidden),
        skipped=tuple(one for one in checks if one in settings.checks_skip and checks[one].skippable),
        lowered=tuple(one for one in checks if one in settings.checks_warn and checks[one].skippable),
        versions=versions_of(ranked),
        checks=len(checks),
        pings=pairs_of(ranked),
        topology=topology_of(ranked),
        left_out=tuple(left_out),
    )


def _verdict(findings: Sequence[Finding]) -> Verdict:
    """Hidden findings need no look: none is graver than what hides it."""
    severities = {finding.severity for finding in findings}
    return "block" if "block" in severities else "warn" if "warn" in severities else "ok"


def _hidden_by(finding: Finding, hidden: Sequence[Finding]) -> tuple[str, ...]:
    """Returns the ids of the checks that this finding explains on any of its hosts, without repetition."""
    ids = [one.check_id for one in hidden if one.caused_by == finding.check_id and set(one.hosts) & set(finding.hosts)]
    return tuple(dict.fromkeys(ids))

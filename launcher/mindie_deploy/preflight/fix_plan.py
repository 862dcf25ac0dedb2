"""From findings and facts to a plan of what `fix` changes. Nothing here talks to a host."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence

from mindie_deploy.errors import UsageError
from mindie_deploy.hosts.facts import HostFacts, Unknown
from mindie_deploy.hosts.items_npu import DEFAULT_ROOT, library_path
from mindie_deploy.preflight.checks.devices import INSTALL_PATH
from mindie_deploy.preflight.context import Context, is_ours_running
from mindie_deploy.preflight.finding import Finding, Unreachable
from mindie_deploy.preflight.fix_action import FixAction, FixPlan, HostFixes, HostPlaces, Left
from mindie_deploy.preflight.fix_kinds import KINDS
from mindie_deploy.preflight.registry import all_checks

RUNS = "the deployment runs here: mindie-deploy down first"


def fixable() -> tuple[str, ...]:
    """Returns the ids of the checks whose findings can be mended."""
    return tuple(sorted(check.id for check in all_checks().values() if check.fix))


def require_fixable(ids: Collection[str]) -> None:
    """Raises UsageError for an id that is no check, and for a check whose findings cannot be mended."""
    checks = all_checks()
    listed = ", ".join(fixable())
    for one in ids:
        if one not in checks:
            near = difflib.get_close_matches(one, fixable(), n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"there is no check {one!r}", f"{hint}those with a fix: {listed}")
        if not checks[one].fix:
            raise UsageError(
                f"{one} has no fix: what mends it is not safe to do unasked",
                f"mindie-deploy explain {one} tells what to do; those with a fix: {listed}",
            )


def chosen(findings: Sequence[Finding], ids: Collection[str]) -> list[Finding]:
    """Returns the findings to mend: those of the ids, or without ids all above info that have a fix.

    Missing evidence is among them: nothing can be planned for it, but it does not count as mended.
    """
    wanted = set(ids or fixable())
    return [one for one in findings if one.check_id in wanted and (ids or one.severity != "info")]


def plan(
    findings: Sequence[Finding],
    facts: Mapping[str, HostFacts | Unreachable],
    context: Context,
    ids: Collection[str] = (),
    only: Collection[str] | None = None,
) -> FixPlan:
    """Returns what mends the chosen findings on the hosts of `only` (None: on all of them).

    Raises UsageError for an id without a fix. Nothing is planned where the deployment runs.
    """
    require_fixable(ids)
    there = {
        name: host for name, host in facts.items() if isinstance(host, HostFacts) and (only is None or name in only)
    }
    steps: dict[str, dict[str, FixAction]] = {name: {} for name in there}
    left: dict[Left, None] = {}
    for finding in chosen(findings, ids):
        if finding.kind == "unknown":
            continue
        kind = all_checks()[finding.check_id].fix
        assert kind is not None  # chosen() took those with a fix
        for name, host in there.items():
            for step in KINDS[kind](finding, host, context):
                if is_ours_running(host, context.settings):
                    step = RUNS
                if isinstance(step, FixAction):
                    steps[name].setdefault(f"{step.kind} {step.target}", step)
                else:
                    left.setdefault(Left(finding.check_id, name, step))
    return FixPlan({name: _fixes(there[name], own) for name, own in steps.items() if own}, tuple(left))


def places(host: HostFacts) -> HostPlaces:
    """Returns where changes on a host are made."""
    root = DEFAULT_ROOT
    if not isinstance(host.install_info, Unknown):
        root = host.install_info.get(INSTALL_PATH, "").strip() or root
    tool = "" if isinstance(host.hccn_tool, Unknown) else host.hccn_tool.path
    weights = host.weights
    model = "" if isinstance(weights, Unknown) else weights.real_path or weights.path
    return HostPlaces(tool, library_path(root), model)


def _fixes(host: HostFacts, actions: Mapping[str, FixAction]) -> HostFixes:
    found = places(host)
    return HostFixes(tuple(actions.values()), found.hccn_tool, found.libraries)

"""mindie-deploy fix: mend the few findings whose remedy is safe and can be taken back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from mindie_deploy.cli import fix_record
from mindie_deploy.cli.aftermath import cancelled
from mindie_deploy.cli.fix_view import changes_text, plan_view
from mindie_deploy.cli.launch import changed
from mindie_deploy.cli.options import InventoryOption, JsonOption, LimitOption, VerboseOption, YesOption
from mindie_deploy.cli.session import Session, session
from mindie_deploy.cli.terminal import duration, error_document
from mindie_deploy.errors import CancelledError, CheckFailedError, MindieDeployError, UnreachableError, UsageError
from mindie_deploy.preflight.finding import Finding
from mindie_deploy.preflight.fix_action import FixPlan, HostPlaces
from mindie_deploy.preflight.fix_plan import chosen, require_fixable
from mindie_deploy.preflight.registry import all_checks
from mindie_deploy.preflight.report import Report
from mindie_deploy.preflight.text import printable
from mindie_deploy.runs.result import RunResult

NO_HOST = "!all"  # a pattern for none: the hosts are asked, and nothing is planned


def fix(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Ids of checks; without one, all above info that can be mended."),
    ] = None,
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    undo: Annotated[
        str | None,
        typer.Option("--undo", metavar="RUN", help="Take back what an earlier fix did: id of its run, or its record."),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Mend what is safe to mend: show the plan with what it was before, ask, change, read again."""
    wanted = list(dict.fromkeys(ids or ()))
    require_fixable(wanted)
    if undo is not None and (wanted or limit):
        raise UsageError("--undo takes back a whole run: it goes with no id and no --limit", "leave them out")
    with session("fix", inventory, as_json=as_json, verbose=verbose) as one:
        if undo is not None:
            _take_back(one, undo, yes=yes)
        else:
            _mend(one, wanted, limit, yes=yes)


@dataclass(frozen=True)
class _Seen:
    """The report over all hosts, what would mend it, and the hosts that may be changed."""

    report: Report
    plan: FixPlan
    hosts: tuple[str, ...]
    places: Mapping[str, HostPlaces]

    def remaining(self, ids: Sequence[str]) -> list[Finding]:
        """Returns what is to be mended on these hosts."""
        return [one for one in chosen(self.report.findings, ids) if set(one.hosts) & set(self.hosts)]

    def require_reached(self, hosts: Sequence[str]) -> None:
        """Raises UnreachableError for those of the hosts that gave no facts."""
        checks = all_checks()
        found = [one for one in self.report.findings if checks[one.check_id].scope == "unreachable"]
        lost = {host: one for one in found for host in one.hosts if host in hosts}
        for one in lost.values():
            raise UnreachableError(f"{', '.join(lost)}: {one.title}; nothing was touched there", one.remedy)


def _mend(one: Session, ids: Sequence[str], limit: str | None, *, yes: bool) -> None:
    seen = _look(one, "look for what can be mended", ids, limit)
    made = FixPlan({})
    if seen.plan.hosts:
        applied = _apply(one, seen.plan, yes=yes)
        if applied is None:
            return
        made, seen = applied, _look(one, "look again", ids, limit)
    elif seen.plan.left:
        one.terminal.note(plan_view(seen.plan))
    remaining = seen.remaining(ids)
    left = [item.to_dict() for item in seen.plan.left]
    one.terminal.json({**_told(one, made), "left": left, "remaining": _brief(remaining)})
    done = changes_text(made) if made.hosts or remaining else "nothing to mend"
    one.terminal.result(f"{done}  ({duration(one.elapsed)})")
    _tell_way_back(one, made)
    for finding in remaining:
        one.terminal.note(f"still there: {finding.check_id}: {finding.statement} ({finding.where})", "yellow")
    _require_mended(seen, remaining)


def _require_mended(seen: _Seen, remaining: Sequence[Finding]) -> None:
    """Raises UnreachableError for hosts that gave no facts, CheckFailedError for what blocks a launch still."""
    seen.require_reached(seen.hosts)
    blocking = [finding for finding in remaining if finding.severity == "block"]
    if blocking:
        names = ", ".join(dict.fromkeys(finding.check_id for finding in blocking))
        raise CheckFailedError(f"not everything is mended: {names}", blocking[0].remedy)


def _take_back(one: Session, run: str, *, yes: bool) -> None:
    undo = fix_record.undo_of(run, one.deployment.names, one.know_settings())
    for action in undo.lasting:
        one.terminal.note(printable(f"nothing takes this back: {action.what}: {action.change}"))
    made = FixPlan({})
    if undo.plan.hosts:
        seen = _look(one, "look where it is to be taken back", (), NO_HOST)
        seen.require_reached(tuple(undo.plan.hosts))
        applied = _apply(one, fix_record.at_places(undo, seen.places), yes=yes)
        if applied is None:
            return
        made = applied
    one.terminal.json({**_told(one, made), "left": [], "remaining": []})
    done = changes_text(made) if made.hosts else "nothing to take back: it is as it was"
    one.terminal.result(f"{done}  ({duration(one.elapsed)})")
    _tell_way_back(one, made)


def _look(one: Session, title: str, ids: Sequence[str], limit: str | None) -> _Seen:
    """Judges all hosts, and plans what would mend it on those of `limit`; changes nothing."""
    extra: dict[str, object] = {"mindie_deploy_fix_ids": list(ids)}
    if limit:
        extra["mindie_deploy_fix_limit"] = limit
    result = one.play("fix", title, check=True, extra=extra)
    if result.status == "cancelled":
        raise cancelled(one, result, writes=False)
    told = result.any_of("mindie_fix_plan")
    if limit and limit != NO_HOST and told and not told.get("hosts"):
        names = ", ".join(one.deployment.names)
        raise UsageError(f"--limit {limit} names a host that is not there", f"the hosts are {names}")
    _require_looked(one, result, bool(told.get("plan")))
    try:
        places = {name: HostPlaces.from_dict(one) for name, one in told["places"].items()}
        report, plan = Report.from_dict(told["report"]), FixPlan.from_dict(told["plan"])
        return _Seen(report, plan, tuple(told["hosts"]), places)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MindieDeployError(f"the plan of the fix cannot be read: {error}", "please report this") from error


def _require_looked(one: Session, result: RunResult, planned: bool) -> None:
    """Hosts that gave no facts are findings of the report: what is planned for the others still holds."""
    if planned and not result.failures:
        return
    one.require(result, writes=False)
    if not planned:
        raise MindieDeployError("the run ended without a plan", "see the record of the run")


def _apply(one: Session, plan: FixPlan, *, yes: bool) -> FixPlan | None:
    """Shows the plan, asks, carries it out. Returns what was changed; None when the answer was no.

    Raises what Session.confirm raises; the JSON document has the plan even then.
    """
    path = one.record.write("fix-plan.json", json.dumps(plan.to_dict(), indent=2, ensure_ascii=False) + "\n")
    one.terminal.note(plan_view(plan, path))
    untouched = {**_told(one, FixPlan({})), "left": [], "remaining": [], "plan": plan.to_dict()}
    try:
        agreed = one.confirm("Change this?", yes=yes)
    except (UsageError, CancelledError) as error:
        one.terminal.json({**untouched, **error_document(error)})
        raise
    if not agreed:
        one.terminal.json(untouched)
        one.terminal.note("nothing was changed")
        return None
    deployment = one.know_settings().deployment
    extra = {"mindie_deploy_fix_hosts": {name: fixes.to_dict() for name, fixes in plan.hosts.items()}}
    result = one.play("fix", one.verb, limit=",".join(plan.hosts), extra=extra)
    made = fix_record.changes_of(result, plan)
    if made.hosts:
        path = fix_record.write(one.record, made, deployment)
        one.terminal.note(f"what was changed, and what it was before: {path}", "dim")
    for host, text in fix_record.log_tails(result).items():
        one.record.write(f"{host}.log", text)
    if made.hosts and not result.ok:
        one.terminal.note(f"changed before that: {changes_text(made)}")
    changed(one, result)
    return made


def _tell_way_back(one: Session, made: FixPlan) -> None:
    if _can_be_undone(made):
        one.terminal.note(f"to take it back: mindie-deploy fix --undo {one.record.run_id}")


def _told(one: Session, made: FixPlan) -> dict[str, object]:
    return {
        "changed": {name: [action.to_dict() for action in fixes.actions] for name, fixes in made.hosts.items()},
        "undo": f"mindie-deploy fix --undo {one.record.run_id}" if _can_be_undone(made) else None,
        "record": str(one.record.directory),
    }


def _can_be_undone(made: FixPlan) -> bool:
    return any(action.undo for fixes in made.hosts.values() for action in fixes.actions)


def _brief(findings: Sequence[Finding]) -> list[dict[str, object]]:
    return [{"check_id": one.check_id, "severity": one.severity, "where": one.where} for one in findings]

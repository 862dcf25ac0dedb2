"""The pieces that check, plan and up share."""

from __future__ import annotations

import json

from mindie_deploy.cli.aftermath import cancelled
from mindie_deploy.cli.plan_view import Plan, plan_of
from mindie_deploy.cli.report_view import report_view, verdict_line
from mindie_deploy.cli.session import Session
from mindie_deploy.cli.terminal import Terminal
from mindie_deploy.errors import CheckFailedError, MindieDeployError, UnreachableError
from mindie_deploy.preflight.registry import all_checks
from mindie_deploy.preflight.report import Report
from mindie_deploy.runs.outcome import error_of, ssh_remedy
from mindie_deploy.runs.result import RunResult


def report_of(result: RunResult) -> Report | None:
    """Returns the report of a run that judged; None for one that did not come to it."""
    told = result.any_of("mindie_judge").get("report")
    if not isinstance(told, dict):
        return None
    try:
        return Report.from_dict(told)
    except (KeyError, TypeError, ValueError) as error:
        raise MindieDeployError(f"the report of the check cannot be read: {error}", "please report this") from error


def judged(session: Session, result: RunResult) -> Report:
    """Returns the report; raises the run's error where there is none."""
    report = report_of(result)
    if report is not None:
        session.record.note(verdict=report.verdict, findings=[finding.to_dict() for finding in report.findings])
        return report
    if result.status == "cancelled":
        raise cancelled(session, result, writes=False)
    raise error_of(result, writes=False) or MindieDeployError(
        "the run ended without a report", "see the record of the run"
    )


def require_launchable(report: Report) -> None:
    """Raises CheckFailedError for blocking findings, UnreachableError where hosts did not answer."""
    blocking = [finding for finding in report.findings if finding.severity == "block"]
    if not blocking:
        return
    checks = all_checks()
    lost = [one for one in blocking if one.check_id in checks and checks[one.check_id].scope == "unreachable"]
    if lost:
        words = " ".join(evidence.says for finding in lost for evidence in finding.evidence)
        hosts = ", ".join(dict.fromkeys(host for finding in lost for host in finding.hosts))
        raise UnreachableError(f"{hosts}: {lost[0].title}; nothing was touched", lost[0].remedy or ssh_remedy(words))
    ids = ", ".join(dict.fromkeys(finding.check_id for finding in blocking))
    count = len(blocking)
    raise CheckFailedError(
        f"{count} finding{'' if count == 1 else 's'} would make the launch fail ({ids}); nothing was touched",
        blocking[0].remedy if count == 1 else "mend the findings above, each has its remedy; then run again",
    )


def show_report(terminal: Terminal, report: Report, *, brief: bool = False) -> None:
    """Prints the report as the result; briefly where nothing was found and it is not what was asked for."""
    if brief and not report.findings:
        terminal.note(verdict_line(report))
    elif terminal.out.is_terminal and not terminal.as_json:
        terminal.result(report_view(report, terminal.out.width))
    else:
        terminal.result(report.to_text())


def planned(session: Session, title: str, *, restart: bool = False, playbook: str = "deploy") -> tuple[Report, Plan]:
    """Runs the deployment in check mode: what the check says, and what would change. Raises for blocking findings."""
    result = session.play(playbook, title, check=True, extra={"mindie_deploy_restart": restart})
    report = report_of(result)
    if report is not None:
        show_report(session.terminal, judged(session, result), brief=True)
        if report.verdict == "block":
            session.terminal.json({"report": report.to_dict()})
        require_launchable(report)
    if result.status == "cancelled":
        raise cancelled(session, result, writes=False)
    session.require(result, writes=False)
    if report is None:
        raise MindieDeployError("the run ended without a report", "see the record of the run")
    plan = plan_of(result, session.deployment.names, session.record.redact)
    session.record.write("plan.json", json.dumps(plan.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return report, plan


def changed(session: Session, result: RunResult) -> RunResult:
    """Returns the result of a run that changes hosts, and that ended well; else says what is left and raises."""
    if result.status == "cancelled":
        raise cancelled(session, result, writes=True)
    return session.require(result, writes=True)

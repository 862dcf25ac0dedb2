"""After a run that was cancelled: what still runs where, and our lock given back."""

from __future__ import annotations

from mindie_deploy.cli.session import Session
from mindie_deploy.cli.status_view import members_text, status_of
from mindie_deploy.errors import CancelledError, MindieDeployError
from mindie_deploy.runs.result import RunResult


def cancelled(session: Session, result: RunResult, *, writes: bool) -> CancelledError:
    """Finds out what a cancelled run has left behind, and returns the error that says so.

    A second Ctrl-C during the look-around ends it with what is known by then.
    """
    lines = ["cancelled" + (f" during: {result.last_task}" if result.last_task else "")]
    for pid, command in result.left_over.items():
        lines.append(f"  this machine: process {pid} could not be ended: {command}")
    if set(result.of("mindie_weights_fetch")) - set(result.of("mindie_weights_wait")):
        lines.append(
            "  weights: a host that was fetching goes on by itself; what is there is kept and never sent again"
        )
    if not writes:
        return CancelledError("\n".join([*lines, "  nothing was being changed"]), "")
    session.cancel = session.cancel.renewed()
    remedy = "mindie-deploy status"
    try:
        with session.cancel.signals():
            lines += [f"  {line}" for line in _what_runs(session)]
            lines += [f"  {line}" for line in _give_lock_back(session)]
        if any("its daemon runs" in line for line in lines):
            remedy = "mindie-deploy down stops what runs; mindie-deploy up goes on"
        else:
            remedy = "mindie-deploy up goes on where this stopped; mindie-deploy status shows what runs"
    except KeyboardInterrupt:
        lines.append("  what runs on the hosts is unknown: the look-around was cancelled")
    return CancelledError("\n".join(lines), remedy)


def _what_runs(session: Session) -> list[str]:
    try:
        result = session.play("status", "see what still runs")
    except MindieDeployError as error:
        return [f"what runs on the hosts is unknown: {error.message}"]
    if not result.of("mindie_status"):
        return ["what runs on the hosts is unknown: they could not be asked"]
    return members_text(status_of(result, session.deployment.names, "", ""))


def _give_lock_back(session: Session) -> list[str]:
    """Frees the lock where this very run still holds it: a cancelled play does not come to its end."""
    freed = session.play("lock", "give the lock back", extra={"mindie_deploy_release_run": session.record.run_id})
    told = freed.of("mindie_lock")
    given = [host for host, one in told.items() if one.get("removed")]
    unknown = [host for host in session.deployment.names if host not in told]
    lines = [f"the lock of the deployment was given back on {', '.join(given)}"] if given else []
    if unknown:
        lines.append(f"the lock may still be held on {', '.join(unknown)}: mindie-deploy lock status tells")
    return lines

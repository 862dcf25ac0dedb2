"""After a run that was cancelled: what still runs where, and our lock given back."""

from __future__ import annotations

from collections.abc import Callable

from mindie_deploy.cli.session import Session
from mindie_deploy.cli.status_view import members_text, status_of
from mindie_deploy.errors import CancelledError, MindieDeployError
from mindie_deploy.runs.result import RunResult


def cancelled(session: Session, result: RunResult, *, writes: bool) -> CancelledError:
    """Gives the lock back, finds out what a cancelled run has left behind, and returns the error that says so.

    A Ctrl-C more ends the step that it meets, and only that one: a lock that stays would stop the next run.
    """
    lines = ["cancelled" + (f" during: {result.last_task}" if result.last_task else "")]
    for pid, command in result.left_over.items():
        lines.append(f"  this machine: process {pid} could not be ended: {command}")
    if exchanging(result):
        lines.append(
            f"  {', '.join(exchanging(result))}: the exchange of files goes on by itself until all have everything; "
            "the next run takes it up, and nothing that has arrived is sent again"
        )
    if not writes:
        return CancelledError("\n".join([*lines, "  nothing was being changed"]), "")
    held = "the lock may still be held: mindie-deploy lock status tells"
    locks = _step(session, _give_lock_back, held)
    if session.cancel.requested:
        # Ctrl-C is often pressed twice at once. Only who presses it a third time wants even this to end.
        locks = _step(session, _give_lock_back, held)
    members = _step(session, _what_runs, "what runs on the hosts is unknown: the look-around was cancelled")
    lines += [f"  {line}" for line in (*members, *locks)]
    if any("its daemon runs" in line for line in members):
        return CancelledError("\n".join(lines), "mindie-deploy down stops what runs; mindie-deploy up goes on")
    return CancelledError(
        "\n".join(lines), "mindie-deploy up goes on where this stopped; mindie-deploy status shows what runs"
    )


def exchanging(result: RunResult) -> list[str]:
    """Returns the hosts whose agent was started and had not everything when it was last heard of."""
    return [host for host, told in result.of("mindie_exchange").items() if told.get("started")]


def _step(session: Session, step: Callable[[Session], list[str]], otherwise: str) -> list[str]:
    """Takes a step of the look-around with a cancellation of its own; returns `otherwise` when it was cancelled."""
    session.cancel = session.cancel.renewed()
    try:
        with session.cancel.signals():
            return step(session)
    except KeyboardInterrupt:
        return [otherwise]


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

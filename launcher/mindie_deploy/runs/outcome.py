"""From the result of a run to the one error that the operator is told, with the exit code that goes with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mindie_deploy.errors import (
    CancelledError,
    CheckFailedError,
    LockedError,
    MindieDeployError,
    NotReadyError,
    RunFailedError,
    UnreachableError,
    UsageError,
)
from mindie_deploy.runs import processes
from mindie_deploy.runs.result import Failure, RunResult

# Actions whose failure has a meaning of its own, the gravest first. mindie_weights* and all others: exit code 5.
SETTINGS, LOCK, JUDGE, WAIT = "mindie_settings", "mindie_lock", "mindie_judge", "mindie_wait"
# The last task of a failed start only points at the failure before it.
ECHOES = ("fail", "assert")


def error_of(result: RunResult, *, writes: bool) -> MindieDeployError | None:
    """Returns what the operator is to be told, or None for a run that did what it should.

    `writes` says whether the playbook changes hosts.
    """
    if result.ok:
        return None
    if result.status == "cancelled":
        return CancelledError("cancelled" + (f" during: {result.last_task}" if result.last_task else ""))
    if result.status == "no-hosts":
        return UsageError(
            "no host was matched, so nothing was done", "check --limit and the group mindie of the inventory"
        )
    for action in (SETTINGS, LOCK, JUDGE, WAIT):
        of_action = [failure for failure in result.failures if failure.action == action]
        if of_action:
            return _of_action(action, of_action)
    if result.status == "not-started":
        return _not_started(result)
    if result.unreachable or result.status == "unreachable":
        return unreachable(result.unreachable or [Failure(host, "", "", "") for host in _dark(result)], writes=writes)
    return _of_tasks(result, writes=writes)


def unreachable(failures: Sequence[Failure], *, writes: bool) -> UnreachableError:
    """Returns the error for hosts that did not answer, with the remedy that fits ssh's words."""
    hosts = list(dict.fromkeys(failure.host for failure in failures))
    lines = [f"  {failure.host}: {one_line(failure.message)}" for failure in failures]
    what = f"{', '.join(hosts)} did not answer over SSH:"
    if writes:
        what = f"{', '.join(hosts)} did not answer over SSH; the other hosts stopped at the same task:"
    return UnreachableError("\n".join([what, *lines]), ssh_remedy(" ".join(failure.message for failure in failures)))


def ssh_remedy(words: str) -> str:
    """Returns what to do about ssh's words."""
    low = words.lower()
    if "host key verification failed" in low or "identification has changed" in low or "no matching host key" in low:
        return "compare the host's key (ssh-keyscan HOST) with the one you expect, then put it into known_hosts"
    if "permission denied" in low or "authentication" in low or "bad permissions" in low:
        return "check ansible_user and ansible_ssh_private_key_file, or load the key into ssh-agent; try: ssh HOST true"
    if "could not resolve" in low or "name or service not known" in low:
        return "set ansible_host of the host to an address that this machine can resolve"
    if "sudo" in low or "become" in low or "privilege" in low:
        return "check ansible_become and its password"
    return "check the address, power, network and sshd of the host; try: ssh HOST true"


def abandoned(lock: object) -> bool:
    """Tells whether the run that holds a lock certainly does not work any more."""
    if not isinstance(lock, Mapping):
        return False
    return processes.gone(str(lock.get("owner") or ""), str(lock.get("process") or ""))


def one_line(text: str, longest: int = 400) -> str:
    """Returns the text on one line, shortened."""
    words = " ".join(text.split())
    return words if len(words) <= longest else words[: longest - 3] + "..."


def _of_action(action: str, failures: Sequence[Failure]) -> MindieDeployError:
    first = failures[0]
    if action == SETTINGS:
        message, _, remedy = first.message.partition("\nnext: ")
        return UsageError(message, remedy or "correct the inventory and run again; nothing was touched")
    if action == LOCK:
        held = [failure for failure in failures if failure.result.get("locked")]
        if not held:
            return RunFailedError(
                _tasks_text(failures), "mend what the message says on that host and run again; nothing was touched"
            )
        hosts = ", ".join(dict.fromkeys(failure.host for failure in held))
        message = held[0].message.partition(". Wait for it")[0]
        if abandoned(held[0].result.get("lock")):
            message += "; that run has ended without giving it back: its process is gone"
            remedy = "mindie-deploy lock release, then run this again"
        else:
            remedy = "wait for that run, or, when it is certainly dead: mindie-deploy lock release"
        return LockedError(f"{message}\n  on {hosts}; nothing was touched", remedy)
    if action == JUDGE:
        report = first.result.get("report")
        if not isinstance(report, dict):
            return MindieDeployError(f"the facts could not be judged: {one_line(first.message)}", "please report this")
        return CheckFailedError(first.message, "mend the findings above, each has its remedy; then run again")
    gang = first.result.get("gang")
    if not isinstance(gang, dict):
        return NotReadyError(f"{first.host}: {first.message}", "mindie-deploy logs")
    causes = gang.get("causes") or []
    remedy = str(causes[0].get("remedy")) if causes and isinstance(causes[0], dict) else "read the log lines above"
    return NotReadyError(first.message, remedy)


def _not_started(result: RunResult) -> MindieDeployError:
    text = result.chatter.strip() or f"ansible-playbook ended with {result.return_code} before its first task"
    lines = "\n".join("  " + line for line in text.splitlines()[-25:])
    if "vault" in text.lower() and "decrypt" in text.lower():
        return UsageError(
            f"Ansible did not start:\n{lines}", "set ANSIBLE_VAULT_PASSWORD_FILE to the file that holds the password"
        )
    if "--limit" in text or "host pattern" in text.lower():
        return UsageError(f"Ansible did not start:\n{lines}", "check --limit and the inventory")
    return MindieDeployError(f"Ansible did not start {result.playbook}:\n{lines}", "see the record of the run")


def _of_tasks(result: RunResult, *, writes: bool) -> MindieDeployError:
    real = [failure for failure in result.failures if failure.action not in ECHOES] or list(result.failures)
    if not real:
        text = f"ansible-playbook ended with {result.return_code} at: {result.last_task or 'its start'}"
        tail = "\n".join("  " + line for line in result.chatter.splitlines()[-10:])
        return RunFailedError(f"{text}\n{tail}".rstrip(), "see the record of the run")
    what = _tasks_text(real)
    remedy = "mend what the message says and run the same command again; what is done is not done twice"
    if not writes:
        remedy = "mend what the message says and run again; nothing was changed"
    if len(real) == 1 and "\nnext: " in real[0].message:
        head, _, remedy = what.partition("\nnext: ")
        return RunFailedError(head, remedy.strip())
    return RunFailedError(what, remedy)


def _tasks_text(failures: Iterable[Failure]) -> str:
    """Groups equal messages of several hosts. What cleaning up says once more on a host is not repeated."""
    groups: dict[tuple[str, str], list[str]] = {}
    told = set()
    for failure in failures:
        if (failure.host, failure.message) in told:
            continue
        told.add((failure.host, failure.message))
        groups.setdefault((failure.task, failure.message), []).append(failure.host)
    return "\n".join(
        f"{', '.join(dict.fromkeys(hosts))}: {task or 'the run'} failed: {message}"
        for (task, message), hosts in groups.items()
    )


def _dark(result: RunResult) -> list[str]:
    return [host for host, counters in result.stats.items() if counters.get("dark")]

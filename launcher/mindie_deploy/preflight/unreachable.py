"""Tells from Ansible's answer for a host why there are no facts of it."""

from __future__ import annotations

from collections.abc import Mapping

from mindie_deploy.preflight.finding import Unreachable, UnreachableKind

# ssh's own words. Ansible passes them on, but not always: when ssh ends before Ansible has sent it anything, Ansible
# only says that data could not be sent. Then what remains is that the host could not be reached.
CHANGED_KEY = ("host key verification failed", "identification has changed")
REFUSED_LOGIN = ("permission denied (", "too many authentication failures", "bad permissions", "authentication failed")
# What Ansible says before ssh's own words.
FRAME = "Make sure this host can be reached over ssh: "
# Ansible calls these unreachable, too, though the login worked.
LOGGED_IN = ("temporary directory", "privilege escalation")


def why(answer: Mapping[str, object]) -> Unreachable:
    """Returns why an answer of Ansible's for a host, the result of its task, carries no facts.

    `unreachable` in the answer is Ansible's own judgement that it got no connection; without it the host answered.
    """
    told = str(answer.get("msg") or answer.get("module_stderr") or "nothing was collected")
    # ssh draws frames of @ around its gravest warning
    lines = [line.strip("@ \r") for line in told.replace("@@", "").splitlines()]
    lines = [line.partition(FRAME)[2] or line for line in lines]
    reason = "\n".join(line for line in lines if line)
    return Unreachable(reason, _kind(reason.lower(), bool(answer.get("unreachable"))))


def _kind(words: str, no_connection: bool) -> UnreachableKind:
    if not no_connection or any(text in words for text in LOGGED_IN):
        return "other"
    if any(text in words for text in CHANGED_KEY):
        return "host-key"
    if any(text in words for text in REFUSED_LOGIN):
        return "authentication"
    return "no-connection"

"""Finds and ends the processes of one run, by a mark in their environment.

Workers of ansible-core 2.19 are sessions of their own, so that killing the process group of ansible-playbook leaves
them running. The mark is inherited by all of them, whoever their parent has become.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

MARK = "MINDIE_DEPLOY_RUN"
PROC = Path("/proc")


def marked(mark: str) -> dict[int, str]:
    """Returns {pid: command line} of the living processes that carry the mark; nothing where there is no /proc.

    SSH connections that Ansible keeps open for the next run (ControlPersist) are left out: they do no work.
    """
    wanted = f"{MARK}={mark}".encode()
    found: dict[int, str] = {}
    for entry in PROC.iterdir() if PROC.is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it has just ended, or belongs to somebody else
        if state != "Z" and not words.endswith("[mux]"):
            found[int(entry.name)] = words
    return found


def this_process() -> str:
    """Returns what names this process among all that share its host name: "PID@NAMESPACE"; "" where there is no /proc.

    Containers may share a host name and not see each other's processes, so the namespace belongs to the name.
    """
    try:
        return f"{os.getpid()}@{(PROC / 'self' / 'ns' / 'pid').readlink()}"
    except OSError:
        return ""


def gone(owner: str, process: str) -> bool:
    """Tells whether the launcher `process` (see this_process) of "user@controller" has certainly ended.

    False where that cannot be known: on another machine, in another namespace, or without a process.
    """
    pid, _, namespace = process.partition("@")
    here = this_process().partition("@")[2]
    if not pid.isdecimal() or not here or namespace != here or owner.rpartition("@")[2] != socket.gethostname():
        return False
    try:
        # Another program may have got the number since. The launcher is a script, or a module with an underscore.
        return b"mindie-deploy" not in (PROC / pid / "cmdline").read_bytes().replace(b"_", b"-")
    except FileNotFoundError:
        return True
    except OSError:
        return False


def end(mark: str, group_leader: int | None, patience: float) -> dict[int, str]:
    """Gives the marked processes `patience` seconds, then kills them. Returns those that are still there."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and marked(mark):
        time.sleep(0.1)
    for _ in range(20):
        left = marked(mark)
        if group_leader is not None:
            with contextlib.suppress(OSError):
                os.killpg(group_leader, signal.SIGKILL)
        if not left:
            return {}
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    return marked(mark)

"""The stand-in processes that a state asks for (foreign processes with NPU memory, ports in use): started and ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import Any

MARK = "SIMULATED_STAND_IN"  # environment variable that tells ours from all other processes
START_SECONDS = 10.0


class ProcessError(Exception):
    """A stand-in could not be started."""


def wanted(state: dict[str, Any]) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Arguments and environment of each stand-in by its mark."""
    found: dict[str, tuple[list[str], dict[str, str]]] = {}
    for index, process in enumerate(state["foreign_processes"]):
        claim = f"npu={process['npu']},mib={process['mib']},aicore={process['aicore']}"
        found[f"{index}:{process['name']}:{claim}"] = ([process["name"]], {"SIMULATED_NPU_CLAIM": claim})
    for port in state["ports"]["taken"]:
        found[f"port {port}"] = (["nginx", str(port)], {})
    return found


def agree(state: dict[str, Any] | None, owner: str) -> list[str]:
    """Ends the stand-ins that are too many, starts those that are missing (state None: ends all); says what it did.

    `owner` is the host's name: only stand-ins started for the same owner are looked at.
    """
    asked = {f"{owner} {mark}": how for mark, how in wanted(state).items()} if state is not None else {}
    running = {mark: pid for mark, pid in _running().items() if mark.startswith(f"{owner} ")}
    done = []
    for mark, pid in running.items():
        if mark not in asked:
            os.kill(pid, signal.SIGKILL)
            done.append(f"ended process {pid} ({mark})")
    for mark, (arguments, environment) in asked.items():
        if mark not in running:
            done.append(f"started process {_start(mark, arguments, environment)} ({mark})")
    return done


def _running() -> dict[str, int]:
    found = {}
    prefix = f"{MARK}=".encode()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as stream:
                entries = stream.read().split(b"\0")
        except OSError:  # ended meanwhile, or another user's and so not ours
            continue
        for entry in entries:
            if entry.startswith(prefix):
                found[entry[len(prefix) :].decode()] = int(name)
    return found


def _start(mark: str, arguments: list[str], environment: dict[str, str]) -> int:
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stand_in.py")
    process = subprocess.Popen(
        [sys.executable, program, *arguments],
        env={"PATH": "/usr/bin:/bin", MARK: mark, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    if not ready or process.stdout.readline() != b"ready\n":
        process.kill()
        process.wait()
        raise ProcessError(f"the stand-in process for {mark!r} did not start (is the port in use?)")
    process.stdout.close()
    return process.pid

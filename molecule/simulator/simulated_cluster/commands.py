"""Runs programs, with a time limit and an error that shows what the program said."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO

from simulated_cluster.errors import SimulatorError

STARTED = time.monotonic()
# Enough of a program's last words to see why it failed, and no more than a screen takes.
SHOWN_LINES = 12


def say(text: str) -> None:
    """One line of progress on stderr, with the seconds since the start; stdout is for answers."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", file=sys.stderr, flush=True)


def last_lines(text: str, count: int = SHOWN_LINES) -> str:
    """The last `count` lines that are not empty, indented for an error message."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-count:])


def run(
    argv: Sequence[str],
    *,
    timeout: float = 60.0,
    check: bool = True,
    environment: Mapping[str, str] | None = None,
    stdin: IO[bytes] | int | None = None,
    stdout: IO[bytes] | int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; `timeout` in seconds, `environment` is added to ours.

    Raises SimulatorError when the program is missing, too slow, or (with `check`) ends with another status than 0.
    """
    name = " ".join(argv[:3])
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            timeout=timeout,
            check=False,
            env=None if environment is None else {**os.environ, **environment},
            encoding="utf-8",
            errors="backslashreplace",
        )
    except FileNotFoundError:
        raise SimulatorError(
            f"{argv[0]} is not installed.", "install it, or run as root so that it can be installed"
        ) from None
    except subprocess.TimeoutExpired:
        raise SimulatorError(f"{name} ... did not end within {timeout:.0f} s.") from None
    if check and done.returncode != 0:
        raise SimulatorError(
            f"{name} ... ended with status {done.returncode}:\n{last_lines((done.stdout or '') + done.stderr)}"
        )
    return done

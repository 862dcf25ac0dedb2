"""Commands whose standard streams the caller has closed, and answers typed too early."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("mindie-deploy"))


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_fault(closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {COMMAND} explain hccn.link-up {closed}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "Traceback" not in done.stdout + done.stderr
    assert (">&-" in closed.split()) == (not done.stdout)


@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["ctrl-c", "ctrl-d"])
def test_a_question_that_is_cancelled_tells_that_nothing_was_changed(key: bytes) -> None:
    program = (
        "from mindie_deploy.cli.session import Session; from mindie_deploy.cli.terminal import Terminal;"
        "from mindie_deploy.errors import CancelledError\n"
        "one = Session.__new__(Session); one.terminal = Terminal()\n"
        "try: one.confirm('Change this?', yes=False)\n"
        "except CancelledError as error: print('cancelled:', error.message, int(error.exit_code))"
    )
    pid, descriptor = pty.fork()
    if pid == 0:
        # Where the tests run in the background the shell has them ignore Ctrl-C, and so would this process.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execv(sys.executable, [sys.executable, "-c", program])
    told = b""
    pressed = False
    until = time.monotonic() + 60
    while select.select([descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
        try:
            told += os.read(descriptor, 1024)
        except OSError:
            break
        if b"[y/N]" in told and not pressed:
            pressed = True
            os.write(descriptor, key)
    if time.monotonic() >= until:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert b"cancelled: cancelled at the question: nothing was changed 130" in told, told


def test_what_was_typed_before_the_question_is_no_answer() -> None:
    program = (
        "import select, sys; select.select([sys.stdin], [], [], 30);"  # until the early answer is there
        "from mindie_deploy.cli.session import Session; from mindie_deploy.cli.terminal import Terminal;"
        "one = Session.__new__(Session); one.terminal = Terminal();"
        "print('answer', one.confirm('Change this?', yes=False))"
    )
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    told = b""
    answered = False
    os.write(descriptor, b"y\n")
    began = time.monotonic()
    while not re.search(rb"answer \w+\r", told) and time.monotonic() - began < 60:
        try:
            told += os.read(descriptor, 1024)
        except OSError:
            break
        if b"[y/N]" in told and not answered:
            answered = True
            os.write(descriptor, b"n\n")
    os.waitpid(pid, 0)
    assert b"answer False" in told

"""rsync from a daemon on the source over plain TCP, which is kinder to it than ssh: in sequence, or all at once."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from .lab import Lab
from .network import LabError
from .outcome import Outcome
from .process import Process

PORT = 11873
START_S = 10.0
LISTENS = "0A"  # a state in /proc/PID/net/tcp; connections of an earlier run may linger on the same port
CONFIG = """\
port = {port}
address = {address}
use chroot = no
uid = 0
gid = 0
reverse lookup = no
log file = /dev/stdout
[payload]
path = {directory}
read only = yes
"""


def in_sequence(lab: Lab) -> Outcome:
    """Each receiver when the one before is done."""
    return _run(lab, "rsync in sequence", [[member] for member in lab.receivers])


def in_parallel(lab: Lab) -> Outcome:
    """All receivers at once."""
    return _run(lab, "rsync in parallel", [list(lab.receivers)])


def _run(lab: Lab, method: str, waves: Iterable[Iterable[int]]) -> Outcome:
    """Wave after wave. Raises LabError when one fails or a file is wrong."""
    if shutil.which("rsync") is None:
        raise LabError("rsync is not installed: apt-get install rsync")
    outcome = lab.outcome(method)
    lab.clear()
    config = lab.home(0) / "rsyncd.conf"
    config.write_text(CONFIG.format(port=PORT, address=lab.net.address(0), directory=lab.payload.directory))
    with lab.counted(outcome):
        daemon = lab.start(0, ["rsync", "--daemon", "--no-detach", f"--config={config}"])
        _answers(daemon)
        began = time.monotonic()
        source = f"rsync://{lab.net.address(0)}:{PORT}/payload/"
        for wave in waves:
            running = [
                lab.start(member, ["rsync", "-a", "--whole-file", source, f"{lab.home(member)}/payload/"])
                for member in wave
            ]
            while running:
                running = [process for process in running if not _complete(process, outcome, began)]
                if time.monotonic() - began > lab.timeout:
                    raise LabError(f"{method}: m{running[0].member} is not done after {lab.timeout:.0f} s")
                time.sleep(0.005)
        daemon.stop(signal.SIGTERM)  # only its children that it waited for are counted
    lab.prove("payload")
    return outcome


def _answers(daemon: Process) -> None:
    """Waits until the daemon listens. Raises LabError when it does not."""
    until = time.monotonic() + START_S
    wanted = f":{PORT:04X}"
    while time.monotonic() < until and not daemon.ended():
        with Path(f"/proc/{daemon.pid}/net/tcp").open() as lines:
            if any(line.split()[1].endswith(wanted) and line.split()[3] == LISTENS for line in lines):
                return
        time.sleep(0.01)
    raise LabError(f"rsync does not listen on port {PORT}; its log ends:\n{daemon.tail()}")


def _complete(process: Process, outcome: Outcome, began: float) -> bool:
    """Whether a receiver ended, which is noted."""
    if not process.ended():
        return False
    process.succeeded()
    outcome.complete[process.member] = time.monotonic() - began
    return True

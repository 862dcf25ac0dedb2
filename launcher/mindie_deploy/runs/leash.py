"""Becomes another program on a leash: when the launcher dies, by whatever cause, the program is asked to end.

Run as: python -m mindie_deploy.runs.leash PID_FILE LAUNCHER_PID PROGRAM [ARGUMENT...]. Without it ansible-playbook
would go on unseen after a launcher that was killed, while the operator takes the run for dead and breaks its lock.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h; kept over execve


def main(arguments: Sequence[str]) -> None:
    """Writes its own process id, which ansible-runner does not tell, and becomes the program."""
    pid_file, launcher, *command = arguments
    # A launcher in the background of a shell was started with SIGINT ignored, and the program would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != int(launcher):
            sys.exit("the launcher is gone")
    beside = Path(f"{pid_file}.new")
    beside.write_text(str(os.getpid()), encoding="ascii")
    beside.rename(pid_file)
    os.execv(command[0], command)  # noqa: S606  (our own command line)


if __name__ == "__main__":
    main(sys.argv[1:])

"""A program that runs in the namespace of a member, and the processor time of all its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .network import LabError, Network

# A proxy of the machine that runs the lab must not be asked for an address inside of it.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
LINES = 30


class Process:
    """A program of a member, in a process group of its own."""

    def __init__(
        self, network: Network, member: int, words: Sequence[str], log: Path, standard_input: bytes | None = None
    ) -> None:
        self.member = member
        self.log = log
        self.code: int | None = None
        self.cpu_s = 0.0
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                ["ip", "netns", "exec", network.namespace(member), *words],
                stdin=subprocess.DEVNULL if standard_input is None else subprocess.PIPE,
                stdout=out,
                stderr=out,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        if standard_input is not None and self._popen.stdin is not None:
            # One that ends at once says why in its log and by its exit code.
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.write(standard_input)
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.close()

    @property
    def pid(self) -> int:
        """Its process id: `ip netns exec` becomes the program."""
        return self._popen.pid

    def ended(self) -> bool:
        """Whether it ended; then `code` and `cpu_s` (with the children that it waited for) are known."""
        if self.code is None:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.code = self._popen.returncode = os.waitstatus_to_exitcode(status)
                self.cpu_s = used.ru_utime + used.ru_stime
        return self.code is not None

    def wait(self, seconds: float) -> None:
        """Waits for its end. Raises LabError when it runs for longer."""
        until = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > until:
                raise LabError(f"m{self.member} still runs after {seconds:.0f} s; its log ends:\n{self.tail()}")
            time.sleep(0.005)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to all processes of its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal and waits; one that does not obey in 10 s is killed. For one that ended, does nothing."""
        if self.ended():
            return
        self.send(number)
        try:
            self.wait(10)
        except LabError:
            self.send(signal.SIGKILL)
            self.wait(10)

    def succeeded(self) -> None:
        """Raises LabError unless it ended well."""
        if not self.ended() or self.code != 0:
            raise LabError(f"m{self.member} ended with {self.code}; its log ends:\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LINES:]) or "(empty)"

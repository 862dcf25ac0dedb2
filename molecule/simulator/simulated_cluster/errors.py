"""What stops the simulated cluster, said so that the reader can act on it."""

from __future__ import annotations


class SimulatorError(Exception):
    """Something failed. `message` says what, `remedy` what to do next; `exit_code` is what the command ends with."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\nnext: {self.remedy}" if self.remedy else self.message


class MachineError(SimulatorError):
    """This machine lacks what hosts need (rights, a package, an engine), or an argument is wrong; nothing was begun."""

    exit_code = 2

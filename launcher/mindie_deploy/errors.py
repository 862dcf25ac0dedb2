"""The one family of errors, each with the exit code that the command line ends with.

The codes are documented in docs/exit-codes.md and are our own: Ansible's numbers are not passed on, because its 4 means
both "host unreachable" and "parser error".
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command line ends with."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    CHECK_FAILED = 3
    UNREACHABLE = 4
    FAILED = 5
    LOCKED = 6
    NOT_READY = 7
    CANCELLED = 130


class MindieDeployError(Exception):
    """Something that the operator can act on. `message` says what is wrong, `remedy` what to do next."""

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\nnext: {self.remedy}" if self.remedy else self.message


class UsageError(MindieDeployError):
    """A wrong argument, setting or file; nothing was touched."""

    exit_code = ExitCode.USAGE


class CheckFailedError(MindieDeployError):
    """A blocking finding; nothing was touched."""

    exit_code = ExitCode.CHECK_FAILED


class UnreachableError(MindieDeployError):
    """A host did not answer over SSH."""

    exit_code = ExitCode.UNREACHABLE


class RunFailedError(MindieDeployError):
    """A run began to change things and failed."""

    exit_code = ExitCode.FAILED


class LockedError(MindieDeployError):
    """Another run holds the lock of this deployment."""

    exit_code = ExitCode.LOCKED


class NotReadyError(MindieDeployError):
    """The deployment did not become ready in time, or a member died."""

    exit_code = ExitCode.NOT_READY


class CancelledError(MindieDeployError):
    """The operator pressed Ctrl-C."""

    exit_code = ExitCode.CANCELLED

"""A value that was read of a host, or the reason why it was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, TypeVar, Union

T = TypeVar("T")


@dataclass(frozen=True)
class Unknown:
    """A value that could not be read, and why ("npu-smi info gave no answer within 60 s")."""

    reason: str


@dataclass(frozen=True)
class Absent(Unknown):
    """The file that would hold the value does not exist. There is no value, but that is known."""


@dataclass(frozen=True)
class Busy(Unknown):
    """The tool was busy each time: that tells of other programs, not of what was asked."""


@dataclass(frozen=True)
class UnknownForm(Unknown):
    """There is an answer, in a form that is not known here: nothing may be wrong."""


Reading: TypeAlias = Union[T, Unknown]  # noqa: UP007  (a generic alias; mypy does not take the | form)


NOT_COLLECTED = Unknown("it was not collected")

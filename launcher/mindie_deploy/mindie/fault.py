"""What a fault of the catalogue is made of."""

from __future__ import annotations

from dataclasses import dataclass

CONSEQUENCE = 1  # says that something failed, not what
SYMPTOM = 2  # narrows it down
SPECIFIC = 3  # names the cause


@dataclass(frozen=True)
class Fault:
    """A pattern that one line of a log shows, the cause behind it, and what to do.

    `source` says where the line was documented or seen. `weight` sorts: causes before their consequences.
    """

    id: str
    pattern: str
    title: str
    remedy: str
    source: str
    weight: int = SPECIFIC

"""From a log and an exit status to likely causes. The faults are data, in faults_*.py and exit_statuses.py."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mindie_deploy.mindie.exit_statuses import EXIT_STATUSES
from mindie_deploy.mindie.fault import Fault
from mindie_deploy.mindie.faults_configuration import CONFIGURATION_FAULTS
from mindie_deploy.mindie.faults_model import MODEL_FAULTS
from mindie_deploy.mindie.faults_network import NETWORK_FAULTS

FAULTS: tuple[Fault, ...] = (*CONFIGURATION_FAULTS, *NETWORK_FAULTS, *MODEL_FAULTS)

LONGEST_LINE = 2000  # characters of a line that are looked at
LONGEST_EVIDENCE = 300
LONGEST_LOG = 1024**2  # characters of a log that are looked at, its end


@dataclass(frozen=True)
class Cause:
    """A likely cause: the fault's id and title, the line that shows it, and what to do."""

    id: str
    title: str
    evidence: str
    remedy: str

    def to_dict(self) -> dict[str, str]:
        """Returns a JSON-ready form."""
        return {"id": self.id, "title": self.title, "evidence": self.evidence, "remedy": self.remedy}


_COMPILED = tuple((fault, re.compile(fault.pattern)) for fault in FAULTS)


def likely_causes(log_text: str, exit_status: int | None) -> list[Cause]:
    """Returns the likely causes that a log shows, best first: specific faults before consequences, then by place.

    `log_text` is what the daemon wrote (only the last Mi characters count), `exit_status` the container's, None while
    it runs. A status other than 0 adds what it means: first where the log says nothing, else last.
    """
    found: dict[str, tuple[int, int, Cause]] = {}
    for number, line in enumerate(log_text[-LONGEST_LOG:].splitlines()):
        line = line[:LONGEST_LINE]
        for fault, pattern in _COMPILED:
            if fault.id not in found and pattern.search(line):
                cause = Cause(fault.id, fault.title, _evidence(line), fault.remedy)
                found[fault.id] = (-fault.weight, number, cause)
    causes = [cause for _, _, cause in sorted(found.values(), key=lambda entry: entry[:2])]
    if exit_status is not None and exit_status != 0:
        causes.append(_of_status(exit_status))
    return causes


def _evidence(line: str) -> str:
    """Returns a line as it may be shown: without control characters, shortened."""
    text = "".join(letter if letter.isprintable() else " " for letter in line).strip()
    return text if len(text) <= LONGEST_EVIDENCE else text[: LONGEST_EVIDENCE - 3] + "..."


def _of_status(status: int) -> Cause:
    title, remedy = EXIT_STATUSES.get(
        status, (f"the daemon ended with status {status}", "read the last lines of the log of this host")
    )
    return Cause(f"exit-{status}", title, f"exit status {status}", remedy)

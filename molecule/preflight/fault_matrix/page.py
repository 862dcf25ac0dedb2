"""docs/fault-matrix.md: what was made wrong, and what `check` said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.faults import FAULTS

from fault_matrix.case import Case
from fault_matrix.matrix import NOT_INJECTED, PARTS
from fault_matrix.outcome import Outcome
from mindie_deploy.preflight.finding import places_text

HEAD = """# The fault matrix

Made by `molecule test --scenario-name preflight` (molecule/preflight/run_matrix.py --page FILE); do not edit.

Each row is one run of `mindie-deploy check` on three simulated hosts with four NPUs each. The fault is made, `check`
is run, and the fault is taken back. `check` must name exactly the findings of the row, at exactly these hosts and NPUs,
and nothing else above the severity info. Every check that can block or warn has a fault here (a test compares the list
with the registry). Pings and tried ports are left out where the fault has nothing to do with a RoCE port, an interface
or a missing NPU. Seconds are those of `check` on two cores, which another case and all simulated hosts share.
"""
COLUMNS = {
    "One fault": ("fault", "what is changed", "where", "found by", "severity", "seconds"),
    "Several faults at once": ("faults", "what is changed", "found by", "seconds"),
    "Healthy in other ways": ("variation", "what is different", "findings above info", "seconds"),
}


def page(outcomes: Mapping[str, Outcome], skipped: Mapping[str, str]) -> str:
    """The whole page. `outcomes` and `skipped` (why a case could not run) are by the names of the cases."""
    parts = [HEAD]
    for title, cases in PARTS.items():
        columns = COLUMNS[title]
        parts.append(f"\n## {title}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n")
        parts += [_row(title, case, outcomes.get(case.name), skipped.get(case.name, "not run")) for case in cases]
    if NOT_INJECTED:
        parts.append("\n## Checks without a fault here\n\n| check | why |\n| --- | --- |\n")
        parts += [f"| {check} | {_cell(why)} |\n" for check, why in NOT_INJECTED.items()]
    return "".join(parts)


def changed(case: Case) -> str:
    """What a case changes, in words: its own, or those of the faults."""
    return case.changed or "; ".join(description(given.name) for given in case.given)


def description(name: str) -> str:
    """What a fault of the simulator is."""
    return FAULTS[name].description


def _row(title: str, case: Case, outcome: Outcome | None, why: str) -> str:
    seconds = f"{outcome.seconds:.1f}" if outcome is not None else why
    said: Sequence[str]
    if title == "One fault":
        where = "; ".join(places_text(found.places) for found in case.found)
        ids = ", ".join(found.check for found in case.found)
        words = ", ".join(f"{found.severity}{' (unknown)' if found.kind == 'unknown' else ''}" for found in case.found)
        said = (where, ids, words)
    elif case.found:
        said = ("; ".join(f"{found.check} ({places_text(found.places)})" for found in case.found),)
    else:
        said = ("none",)
    cells = (case.name, changed(case), *said, seconds)
    return "| " + " | ".join(map(_cell, cells)) + " |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

"""What a run of `check` said, against what it must say."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fault_matrix.bench import Bench
from fault_matrix.case import Case, Found
from mindie_deploy.preflight.finding import places_text


@dataclass(frozen=True)
class Outcome:
    """The result of one case. `seconds` are those of `check` alone; `problems` is empty when all is as it must be."""

    case: Case
    seconds: float
    found: tuple[Found, ...]
    problems: tuple[str, ...] = field(default=())


def run(bench: Bench, case: Case) -> Outcome:
    """Arranges a case, checks, and takes it back."""
    with bench.arranged(case) as inventory:
        began = time.monotonic()
        report = bench.check(case, inventory)
        seconds = time.monotonic() - began
    found = findings(report["findings"])
    return Outcome(case, seconds, found, tuple(differences(case.found, found, report["findings"])))


def findings(said: Sequence[Mapping[str, Any]]) -> tuple[Found, ...]:
    """The findings of a report above info."""
    return tuple(
        Found(
            str(one["check_id"]),
            str(one["severity"]),
            {str(host): tuple(one["devices"].get(host, ())) for host in one["hosts"]},
            str(one["kind"]),
        )
        for one in said
        if one["severity"] != "info"
    )


def differences(wanted: Sequence[Found], found: Sequence[Found], said: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences about what is missing and what is too much."""
    missing = [one for one in wanted if one not in found]
    extra = [one for one in found if one not in wanted]
    lines = [f"not found: {text(one)}" for one in missing] + [f"found besides: {text(one)}" for one in extra]
    for one in extra:
        lines += [
            f"    {evidence['command']}: {evidence['says']}"
            for finding in said
            if finding["check_id"] == one.check
            for evidence in finding["evidence"][:3]
        ]
    return lines


def text(found: Found) -> str:
    """A finding in a line."""
    unknown = ", unknown" if found.kind == "unknown" else ""
    return f"{found.check} ({found.severity}{unknown}) at {places_text(found.places)}"

"""All cases, by the part of the matrix that they belong to."""

from __future__ import annotations

from collections.abc import Mapping

from fault_matrix import combined, faults_hccn, faults_host, faults_npu, faults_surroundings, healthy
from fault_matrix.case import Case

SINGLE: tuple[Case, ...] = (
    *faults_npu.CASES,
    *faults_hccn.CASES,
    *faults_host.CASES,
    *faults_surroundings.CASES,
)
COMBINED: tuple[Case, ...] = combined.CASES
HEALTHY: tuple[Case, ...] = healthy.CASES
PARTS: Mapping[str, tuple[Case, ...]] = {
    "One fault": SINGLE,
    "Several faults at once": COMBINED,
    "Healthy in other ways": HEALTHY,
}
# Checks that no simulated host can be made to fail, each with the reason.
NOT_INJECTED: Mapping[str, str] = {}


def all_cases() -> tuple[Case, ...]:
    """Every case, in the order in which they run."""
    return tuple(case for cases in PARTS.values() for case in cases)


def injected_checks() -> frozenset[str]:
    """The ids of the checks that a case of one fault must find."""
    return frozenset(found.check for case in SINGLE for found in case.found)

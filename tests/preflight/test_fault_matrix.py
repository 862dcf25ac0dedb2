"""The fault matrix is whole: every check has a fault, every fault and check named there exists, the page agrees."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mindie_deploy.preflight.registry import all_checks

MOLECULE = Path(__file__).parents[2] / "molecule"
sys.path[:0] = [str(MOLECULE / "preflight"), str(MOLECULE / "simulator")]

from fault_matrix import matrix, outcome, page  # noqa: E402
from fault_matrix.case import HOSTS, Case, Found  # noqa: E402
from tools.faults import FAULTS, VARIATIONS  # noqa: E402

PAGE = MOLECULE.parent / "docs" / "fault-matrix.md"
CASES = matrix.all_cases()


def test_every_check_that_can_block_or_warn_has_a_fault() -> None:
    concerned = {one.id for one in all_checks().values() if one.severity in ("block", "warn")}
    without = concerned - matrix.injected_checks() - set(matrix.NOT_INJECTED)
    assert without == set(), "add a fault to molecule/preflight/fault_matrix"


def test_what_is_excused_is_a_check_without_a_fault() -> None:
    assert set(matrix.NOT_INJECTED) <= set(all_checks()) - matrix.injected_checks()
    assert all(matrix.NOT_INJECTED.values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_names_faults_hosts_and_checks_that_exist(case: Case) -> None:
    assert [given.name for given in case.given if given.name not in FAULTS] == []
    assert {host for given in case.given for host in given.hosts} | set(case.host_variables) <= set(HOSTS)
    assert [found.check for found in case.found if found.check not in all_checks()] == []
    assert all(found.severity in ("block", "warn") and found.places for found in case.found)
    assert page.changed(case)


def test_names_are_used_once() -> None:
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)


def test_parts_are_as_large_as_they_must_be() -> None:
    assert all(case.found for case in matrix.SINGLE)
    assert len(matrix.COMBINED) >= 8 and all(len(case.given) > 1 for case in matrix.COMBINED)
    assert len(matrix.HEALTHY) >= 20 and not any(case.found for case in matrix.HEALTHY)


def test_every_fault_and_variation_of_the_simulator_is_used() -> None:
    used = {given.name for case in CASES for given in case.given}
    wanted = {name for name, fault in FAULTS.items() if fault.check in all_checks()} | set(VARIATIONS)
    assert wanted - used == set()


def test_the_check_that_a_fault_names_is_one_that_the_matrix_expects() -> None:
    for name, fault in FAULTS.items():
        cases = [case for case in matrix.SINGLE if name in [given.name for given in case.given]]
        if cases and fault.check:
            assert fault.check in {found.check for case in cases for found in case.found}, name


def test_the_page_has_a_row_for_every_case() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    columns = {cells[0] for cells in page.COLUMNS.values()} | {"---", "check"}
    assert [row for row in rows if row not in columns and row not in matrix.NOT_INJECTED] == [
        case.name for case in CASES
    ], "run molecule/preflight/run_matrix.py --page docs/fault-matrix.md"


def test_a_finding_at_another_place_or_besides_is_told() -> None:
    wanted = Found("hccn.link-up", "block", {"host2": (5,)})
    said = [
        {"check_id": "hccn.link-up", "severity": "block", "kind": "fail", "hosts": ["host2"], "devices": {"host2": [4]},
         "evidence": [{"command": "hccn_tool -i N -link -g", "says": "link status: DOWN"}]},
        {"check_id": "docker.version", "severity": "info", "kind": "fail", "hosts": ["host1"], "devices": {},
         "evidence": []},
    ]  # fmt: skip
    assert outcome.differences([wanted], outcome.findings(said), said) == [
        "not found: hccn.link-up (block) at host2: NPU 5",
        "found besides: hccn.link-up (block) at host2: NPU 4",
        "    hccn_tool -i N -link -g: link status: DOWN",
    ]
    assert outcome.differences([], outcome.findings(said[1:]), said) == []

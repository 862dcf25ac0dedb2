"""fault.py: every named fault changes something that the tools or files show, and is taken back without a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fault
import pytest
from tools import smi, state
from tools.faults import FAULTS, Fault, FaultError, placed

Calls = list[tuple[str, tuple[str, ...]]]


@pytest.fixture
def calls() -> Calls:
    return []


@pytest.fixture
def faults(hosts: Path, calls: Calls) -> fault.Faults:
    """The faults of a cluster whose hosts take every command."""

    def in_host(host: str, argv: tuple[str, ...]) -> tuple[int, str]:
        calls.append((host, argv))
        return 0, ""

    return fault.Faults(hosts.parent, in_host)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_changes_the_file_and_clear_restores_it(faults: fault.Faults, calls: Calls, name: str) -> None:
    file = faults.folder / "host3.yml"
    before, full = file.read_bytes(), state.load("host3")
    faults.apply(name, "host3", 5)
    if FAULTS[name].changes:
        assert state.load("host3") != full
    assert calls == [("host3", fault.APPLY), *(("host3", argv) for argv in placed(FAULTS[name].run, "host3", 5))]
    calls.clear()
    faults.clear(name, None)
    assert file.read_bytes() == before
    assert calls == [("host3", fault.APPLY), *(("host3", argv) for argv in placed(FAULTS[name].undo, "host3", 5))]
    assert faults.applied("host3") == []


def test_all_faults_that_a_file_can_have_go_in_any_order(faults: fault.Faults) -> None:
    file = faults.folder / "host2.yml"
    before = state.read_raw(file)
    for name in FAULTS:
        faults.apply(name, "host2", 1)
    for name in sorted(FAULTS, key=lambda name: name[::-1]):
        faults.clear(name, "host2")
    assert state.read_raw(file) == before


def test_an_edit_by_hand_survives_clear(faults: fault.Faults) -> None:
    file = faults.folder / "host1.yml"
    faults.apply("link-down", "host1", 5)

    def by_hand(raw: dict[str, Any]) -> None:
        raw["npus"][5]["hccn"]["net_health"] = "Init"
        raw["npus"][0]["power_w"] = 99.0

    state.change(file, by_hand)
    said = faults.clear("link-down", "host1")
    assert "host1: npus.5.hccn.net_health was changed since and stays as it is" in said
    port = state.load("host1")["npus"][5]["hccn"]
    assert (port["link"], port["net_health"]) == ("UP", "Init")
    assert state.load("host1")["npus"][0]["power_w"] == 99.0


def test_what_is_not_there_is_refused(faults: fault.Faults) -> None:
    with pytest.raises(FaultError, match="no fault named 'link-dwn'"):
        faults.apply("link-dwn", "host1", 0)
    with pytest.raises(FaultError, match="no state file for 'host9'"):
        faults.apply("link-down", "host9", 0)
    with pytest.raises(FaultError, match="host1 has no NPU 8"):
        faults.apply("link-down", "host1", 8)
    with pytest.raises(FaultError, match="no host has link-down"):
        faults.clear("link-down", None)
    faults.apply("link-down", "host1", 0)
    with pytest.raises(FaultError, match="already has link-down"):
        faults.apply("link-down", "host1", 1)


def test_a_duplicate_address_is_that_of_the_same_device_elsewhere(faults: fault.Faults) -> None:
    faults.apply("duplicate-ip", "host3", 5)
    assert state.load("host3")["npus"][5]["hccn"]["address"] == state.load("host1")["npus"][5]["hccn"]["address"]


def test_a_lost_npu_leaves_seven(faults: fault.Faults) -> None:
    faults.apply("npu-lost", "host2", 4)
    assert smi.answer(["info"], state.load("host2")).stdout.count("910B3") == 7


def test_a_host_that_does_not_obey_is_reported(hosts: Path) -> None:
    unable = fault.Faults(hosts.parent, lambda host, argv: (1, "no such container"))
    with pytest.raises(FaultError, match=r"its file is changed, but .* ended with 1: no such container"):
        unable.apply("link-down", "host1", 0)
    assert [record["name"] for record in unable.applied("host1")] == ["link-down"]


def test_a_fault_can_be_registered(faults: fault.Faults, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault, "FAULTS", dict(FAULTS))
    fault.register("lights-out", Fault("no power", "host.unreachable", (), (("poweroff",),), (("poweron",),)))
    faults.apply("lights-out", "host1", 0)
    faults.clear("lights-out", None)
    assert [argv for _, argv in calls if argv != fault.APPLY] == [("poweroff",), ("poweron",)]


def test_the_command_line(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--work", str(hosts.parent), "--files-only"]
    assert fault.main([*options, "apply", "tls-on", "--host", "host3", "--npu", "2"]) == 0
    assert fault.main([*options, "list"]) == 0
    shown = capsys.readouterr().out
    assert "host3 has tls-on (NPU 2)" in shown
    assert "hccn.tls-uniform" in shown
    assert fault.main([*options, "clear"]) == 0
    assert fault.main([*options, "apply", "nosuch", "--host", "host3"]) == 1
    assert "fault.py: no fault named 'nosuch'" in capsys.readouterr().err

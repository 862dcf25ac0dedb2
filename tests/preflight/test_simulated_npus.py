"""The simulated tools answer every question that a collection puts to npu-smi, hccn_tool and lspci about NPUs."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.hosts.facts import HccnDevice, HostFacts, Unknown
from mindie_deploy.hosts.items_npu import driver_items, hccn_items, npu_smi_items
from mindie_deploy.hosts.read import read
from mindie_deploy.preflight.report import Report
from tests.preflight.builders import NPUS, cluster, configuration, healthy_host, judged, settings

sys.path.insert(0, str(Path(__file__).parents[2] / "molecule" / "simulator"))

import fault
from tools import run, state

NPU_FACTS = ("overview", "boards", "npu_error_codes", "topology", "hccn", "ecc", "bus")
CONFIGURED = ("address", "netmask", "gateway", "netdetect")


def asked() -> list[dict[str, Any]]:
    """The commands about NPUs. The question for the bus is put by a shell; what it calls first is asked here."""
    bus = {"key": "bus", "command": ["lspci", "-n", "-d", "19e5:"]}
    script = next(item for item in driver_items(settings()) if item["key"] == "bus")
    assert " ".join(bus["command"]) in str(script["command"])
    return [*npu_smi_items(8), *hccn_items(8), bus]


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of two healthy simulated hosts; this process is host1."""
    folder = tmp_path / "hosts"
    folder.mkdir()
    for index in range(2):
        state.write(folder / f"host{index + 1}.yml", state.healthy_host(index))
    monkeypatch.setenv(state.ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setenv(state.RUN_VARIABLE, str(tmp_path / "run"))
    monkeypatch.setenv(state.NAME_VARIABLE, "host1")
    return folder


@pytest.fixture
def facts(hosts: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Reads the facts of the NPUs of host1 as they are now."""

    def read_now() -> HostFacts:
        items = {}
        for item in asked():
            tool, *words = item["command"]
            status = run.main(tool, words)
            said = capsys.readouterr()
            items[item["key"]] = {"status": status, "stdout": said.out, "stderr": said.err}
        return read("host1", {"items": items}, settings())

    return read_now


def judged_with(told: HostFacts) -> Report:
    """The report of four hosts of which host1's NPUs are these; /etc/hccn.conf has what they use."""
    changes = {name: getattr(told, name) for name in NPU_FACTS}
    kept = {name: {npu: getattr(told.hccn[npu], name) for npu in NPUS} for name in CONFIGURED}
    changes["hccn_configuration"] = configuration(0, **kept)
    return judged(cluster(host1=replace(healthy_host("host1"), **changes)))


def test_every_fact_of_healthy_npus_is_told(facts: Any) -> None:
    told = facts()
    for name in NPU_FACTS:
        value = getattr(told, name)
        values = value.values() if isinstance(value, dict) else [value]
        assert [one for one in values if isinstance(one, Unknown)] == [], name
    for npu in NPUS:
        readings = {field.name: getattr(told.hccn[npu], field.name) for field in fields(HccnDevice)}
        unread = {name: value.reason for name, value in readings.items() if isinstance(value, Unknown)}
        assert not unread, unread
    assert len(told.bus) == 8
    assert {board.subsystem_id for board in told.boards.values()} == {"0x4000"}


@pytest.mark.parametrize(
    "name",
    [
        "ecc-double",
        "ecc-waiting",
        "ecc-single",
        "pages-isolated",
        "other-board",
        "optical-dark",
        "optical-hot",
        "link-flap",
        "error-counters",
        "pause-storm",
        "hccn-conf-not-applied",
        "fault-code",
    ],
)
def test_a_fault_of_one_npu_is_found_there_through_the_whole_road(facts: Any, hosts: Path, name: str) -> None:
    check_id = fault.FAULTS[name].check
    healthy = judged_with(facts())
    fault.Faults(hosts.parent, lambda host, argv: (0, "")).apply(name, "host1", 5)
    found = [one for one in judged_with(facts()).findings if one.check_id == check_id]

    if name != "other-board":  # the boards of the other hosts are not the simulator's
        assert check_id not in [one.check_id for one in healthy.findings]
    assert [5 in one.devices["host1"] for one in found] == [True]


def test_a_lost_npu_and_one_that_left_the_bus(facts: Any, hosts: Path) -> None:
    faults = fault.Faults(hosts.parent, lambda host, argv: (0, ""))
    faults.apply("npu-lost", "host1", 5)
    lost = next(one for one in judged_with(facts()).findings if one.check_id == "npu.count")
    faults.clear("npu-lost", "host1")
    faults.apply("npu-off-bus", "host1", 5)
    gone = judged_with(facts())

    assert lost.title == "the driver lost NPUs whose cards the PCI bus shows"
    assert lost.devices == {"host1": (5,)}
    assert "npu.pci-count" in [one.check_id for one in gone.findings]
    assert "npu.count" not in [one.check_id for one in gone.findings]

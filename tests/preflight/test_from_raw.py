"""From the raw text of npu-smi and hccn_tool to the finding: what misleads a reader of these tools."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hosts.samples import sample
from tests.preflight.builders import BUSES, ids, only
from tests.preflight.raw import answer, captured, device, judged_raw, silent, skipped


def test_the_raw_answers_of_a_healthy_host() -> None:
    assert judged_raw({}).findings == ()


def test_a_lost_npu_vanishes_without_a_word() -> None:
    """npu-smi ends with 0 and shows seven; what asks for the eighth says that there is no such card."""
    lost: dict[str, Any] = {
        "npu-smi/info": captured("info-7of8-neutral"),
        "npu-smi/topology": captured("topo-lost-3"),
        **{f"npu-smi/{query}/3": captured("error-card-lost-3") for query in ("board", "health", "ecc")},
        **device(3, *[answer("", 4, "The device is not exist!\n")] * 2),
    }
    found = only(judged_raw(lost))

    assert (found.check_id, found.severity, found.devices) == ("npu.count", "block", {"host3": (3,)})
    assert found.title == "the driver lost NPUs whose cards the PCI bus shows"
    assert "82:00.0" in found.evidence[0].says
    assert {"hccn.tool-responds", "hccs.topology"} <= set(found.hides)


def test_a_lost_npu_that_left_the_bus_too() -> None:
    bus = answer("".join(f"{bus.lower()}:00.0 1200: 19e5:d802 (rev 20)\n" for bus in BUSES if bus != "82"))
    lost = {
        "npu-smi/info": captured("info-7of8-neutral"),
        "npu-smi/topology": captured("topo-lost-3"),
        **{f"npu-smi/{query}/3": captured("error-card-lost-3") for query in ("board", "health", "ecc")},
        **device(3, *[answer("", 4, "The device is not exist!\n")] * 2),
        "bus": bus,
    }
    found = only(judged_raw(lost))

    assert (found.check_id, found.severity, found.hosts) == ("npu.pci-count", "block", ("host3",))
    assert "npu.count" in found.hides


def test_an_npu_without_a_word_for_its_health_is_not_called_lost() -> None:
    """npu-smi drops the row that has the id; the card's second row stands alone."""
    rows = [line for line in sample("info-idle-8-neutral").text.splitlines(True) if not line.startswith("| 3  ")]
    found = only(judged_raw({"npu-smi/info": answer("".join(rows))}))

    assert (found.check_id, found.devices) == ("npu.count", {"host3": (3,)})
    assert found.title == "NPUs are missing, or there are others than configured"
    assert "0000:82:00.0 has no first row: npu-smi has no word for its health" in found.evidence[0].says


def test_sensors_that_fail_print_0_and_are_not_cold() -> None:
    report = judged_raw({"npu-smi/info": captured("info-sensor-read-fails-3-neutral")})
    found = {one.check_id: one for one in report.findings}

    assert report.verdict == "ok"
    assert set(found) == {"npu.temp"} and found["npu.temp"].hides == ("npu.power-idle",)
    assert (found["npu.temp"].kind, found["npu.temp"].devices) == ("unknown", {"host3": (3,)})


def test_memory_that_cannot_be_read_prints_0_of_0_and_is_not_free() -> None:
    text = sample("info-idle-8-neutral").text.replace(
        "0    / 0          3408 / 65536", "0    / 0          0    / 0    "
    )
    found = only(judged_raw({"npu-smi/info": answer(text)}))

    assert (found.check_id, found.kind, found.devices) == ("npu.hbm-total", "unknown", {"host3": (3,)})
    assert found.severity == "block"
    assert "npu.hbm-free" in found.hides


@pytest.mark.parametrize(
    ("key", "given", "check_id"),
    [
        ("npu-smi/ecc/3", answer("\tNPU ID : 3\n\tChip Count : 1\n\n"), "npu.ecc"),
        ("npu-smi/ecc/3", answer("This device does not support querying ecc.\n"), "npu.ecc"),
        ("npu-smi/board/3", answer("Failed to query npu chip: 0 info.\n"), "npu.board-uniform"),
        ("npu-smi/health/3", answer("This device does not support querying health.\n"), "npu.health-codes"),
        ("hccn/3/link", answer("", 0, "Cmd execute failed!\n"), "hccn.link-up"),
        ("hccn/3/ip", answer(""), "hccn.ip-present"),
        ("hccn/3/speed", answer("Speed: Unknown!\n"), "hccn.speed-200g"),
        ("hccn/3/tls", answer("", 0), "hccn.tls-uniform"),
        ("hccn/3/net_health", answer("", 0, "Get device health status failed!\n"), "hccn.net-health"),
        ("hccn/3/cfg", answer("", 0, "Cmd execute failed!\n"), "hccn.cfg"),
        ("hccn/3/optical", answer("I2c is busy. Please try again.\n"), "hccn.optical"),
        ("hccn/3/stat-later", answer("packet statistics:\n"), "hccn.error-counters"),
    ],
)
def test_status_0_that_means_failure_is_unknown_at_its_npu(key: str, given: dict[str, object], check_id: str) -> None:
    report = judged_raw({key: given})
    found = [one for one in (*report.findings, *report.hidden) if one.check_id == check_id]

    assert len(found) == 1, report.to_text()
    assert (found[0].kind, found[0].devices) == ("unknown", {"host3": (3,)})


def test_an_empty_answer_of_lldp_and_a_missing_certificate_are_no_faults() -> None:
    changes = {
        "hccn/3/lldp": answer("\n"),
        "hccn/3/tls": captured("tls-none-0"),
        "hccn/3/optical": captured("optical-absent-3"),
        "hccn/3/link_stat": answer(sample("link-stat-no-record-7").text.replace("[devid 7]", "[devid 3]")),
        "hccn/3/cfg": answer("help\n", 3, "Get invalid major cmd.\n"),
    }
    assert judged_raw(changes).findings == ()


def test_a_dead_npu_that_hccn_tool_asks_for_five_minutes_is_one_finding() -> None:
    """The tool is ended at our limit twice, then the device is not asked any more."""
    found = only(judged_raw(device(5, silent(15), skipped())))

    assert (found.check_id, found.severity, found.devices) == ("hccn.tool-responds", "block", {"host3": (5,)})
    assert found.title == "hccn_tool tells nothing about an NPU"
    assert found.evidence[0].says == "hccn/5/stat: no answer within 15 s"


def test_npu_smi_that_hangs_on_a_stuck_device_is_one_finding() -> None:
    keys = ["npu-smi/topology", *(f"npu-smi/{query}/{npu}" for query in ("board", "health", "ecc") for npu in range(8))]
    found = only(judged_raw({"npu-smi/info": silent(60), **dict.fromkeys(keys, skipped())}))

    assert (found.check_id, found.hosts) == ("npu.tool-responds", ("host3",))
    assert "no answer within 60 s" in found.evidence[0].says


def test_a_driver_without_devices_is_one_finding() -> None:
    failed = captured("info-init-failed-8005")
    keys = ["npu-smi/topology", *(f"npu-smi/{query}/{npu}" for query in ("board", "health", "ecc") for npu in range(8))]
    found = only(judged_raw({"npu-smi/info": failed, **dict.fromkeys(keys, failed)}))

    assert (found.check_id, found.hosts) == ("npu.tool-responds", ("host3",))
    assert "-8005" in found.evidence[0].says


def test_a_link_that_is_down_ends_with_status_0() -> None:
    report = judged_raw(
        {"hccn/3/link": captured("hccn_tool/link-down-3"), "hccn/3/optical": captured("optical-absent-3")}
    )
    found = only(report)

    assert (found.check_id, found.devices) == ("hccn.link-up", {"host3": (3,)})
    assert found.evidence[0].says == "link status: DOWN; hccn_tool sees no optical module"


def test_single_bit_errors_of_a_capture_are_below_the_limit() -> None:
    assert ids(judged_raw({"npu-smi/ecc/4": captured("ecc-single-4")})) == []

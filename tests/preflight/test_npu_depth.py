"""What only counters, histories and the bus tell: memory errors, light, lost links, growing errors, missing cards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mindie_deploy.hosts.facts import EccCounts, LinkHistory, Optics, Unknown
from tests.preflight.builders import (
    BUSES,
    NPUS,
    cluster,
    finding,
    healthy_host,
    ids,
    judged,
    judged_one,
    only,
    overview,
    ports,
    system,
)

DARK = Optics(True, 40.0, (0.9, 0.1, 0.9, 0.9), (1.0,), "mW", ("0x0",), ("0x0",), 0.1905)
NOW = "Wed Nov 25 06:00:00 2026"
BRING_UP = (
    ("Wed Nov 25 05:01:00 2026", "UP"),
    ("Wed Nov 25 05:00:50 2026", "DOWN"),
    ("Wed Nov 25 05:00:40 2026", "UP"),
)
SINCE = ("Mon Nov 16 06:00:00 2026", "UP")


def ecc(**changes: int) -> dict[int, Any]:
    healthy = EccCounts(0, 0, 0, 0, 0)
    return {index: replace(healthy, **changes) if index == 5 else healthy for index in NPUS}


def history(*records: tuple[str, str], ups: int = 1) -> dict[int, Any]:
    return ports(2, 5, link_history=LinkHistory(ups, None, records, NOW))


@pytest.mark.parametrize(
    ("changes", "check_id", "severity", "says"),
    [
        ({"ecc": ecc(double=2, double_isolated=1)}, "npu.ecc", "block", "2 double bit errors, 1 pages isolated"),
        ({"ecc": ecc(double_next_isolated=1)}, "npu.ecc", "warn", "wait to be isolated"),
        ({"ecc": ecc(single=101)}, "npu.ecc-single", "warn", "101 single bit errors"),
        ({"hccn": ports(2, 5, optics=DARK)}, "hccn.optical", "warn", "received power 0.1 mW"),
        ({"hccn": ports(2, 5, optics=replace(DARK, rx_los=("0x3",)))}, "hccn.optical", "warn", "Rx loss of signal"),
        (
            {"hccn": history(("Wed Nov 25 05:50:00 2026", "UP"), ("Wed Nov 25 05:49:00 2026", "DOWN"), SINCE, ups=2)},
            "hccn.link-flap",
            "warn",
            "DOWN once within 24 h, last Wed Nov 25 05:49:00 2026",
        ),
        (
            {"hccn": ports(2, 5, counters_later={"mac_rx_fcs_err_pkt_num": 10})},
            "hccn.error-counters",
            "warn",
            "mac_rx_fcs_err_pkt_num +7",
        ),
    ],
)
def test_one_npu_is_named(changes: dict[str, Any], check_id: str, severity: str, says: str) -> None:
    found = only(judged_one(**changes))

    assert (found.check_id, found.severity, found.devices) == (check_id, severity, {"host3": (5,)})
    assert says in found.evidence[0].says


@pytest.mark.parametrize(
    "changes",
    [
        # The bring-up after a start, and what is long ago.
        {"hccn": history(*BRING_UP, ups=2)},
        {"hccn": history(("Mon Nov 23 05:50:00 2026", "UP"), ("Mon Nov 23 05:49:00 2026", "DOWN"), SINCE, ups=2)},
        {"hccn": history(ups=0)},
        {"hccn": ports(2, 5, link_history=LinkHistory(1, None, (SINCE,), "garbage"))},
        {"hccn": ports(2, optics=Optics(False, None, None, None, None, None, None))},
        {"hccn": ports(2, optics=Optics(None, None, (-2.0,), (1.0,), "dBm", ("Normal", "Normal"), ("-",)))},
        {"hccn": ports(2, counters_later={"mac_rx_fcs_err_pkt_num": 0})},
        {"hccn": ports(2, neighbour_port=None, neighbour_switch=None)},
        {"ecc": ecc(single=100)},
        {"ecc": {}},
        {"bus": {}},
        {"bus": Unknown("lspci was not found")},
        {"bus": {f"{bus.lower()}:00.0": "d802" for bus in (*BUSES, "c8", "c9")}},
    ],
)  # fmt: skip
def test_what_is_no_fault(changes: dict[str, Any]) -> None:
    assert judged_one(**changes).verdict == "ok"


def test_a_card_that_left_the_bus_explains_the_lost_npu() -> None:
    gone = {f"{bus.lower()}:00.0": "d802" for bus in BUSES[:7]}

    report = judged_one(bus=gone, overview=overview(lost=(7,)))

    assert only(report).check_id == "npu.pci-count"
    assert "npu.count" in only(report).hides
    assert only(judged_one(overview=overview(lost=(7,)))).check_id == "npu.count"


def test_modules_are_looked_for_only_where_npu_smi_shows_nothing() -> None:
    silent = {"overview": Unknown("dcmi module initialize failed. ret is -8005")}

    assert ids(judged_one(system=system(2, modules=("ext4",)))) == []
    assert only(judged_one(system=system(2, modules=("ext4",)), **silent)).check_id == "driver.module"
    assert only(judged_one(system=system(2), **silent)).check_id == "npu.tool-responds"


def test_what_ports_that_are_down_have_in_common() -> None:
    host = judged_one(hccn=ports(2, link_up=False))
    rail = judged({name: healthy_host(name, i, hccn=ports(i, 3, link_up=False)) for i, name in enumerate(cluster())})

    assert only(host).title == "all RoCE links of a host are down"
    assert only(rail).title == "the RoCE links of one rail are down on all hosts"
    assert only(rail).devices == {f"host{number}": (3,) for number in (1, 2, 3, 4)}


def test_a_cable_in_another_switch_and_a_wrong_clock_are_mentioned() -> None:
    report = judged_one(
        hccn=ports(2, 5, neighbour_switch="00:00:5e:00:53:77"),
        collected_at=1795586400.0 - 30 * 86400,
    )

    assert report.verdict == "ok"
    assert finding(report, "hccn.lldp-rail").devices == {"host3": (5,)}
    assert len(finding(report, "hccn.clock").devices["host3"]) == 8

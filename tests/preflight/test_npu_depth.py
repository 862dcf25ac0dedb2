"""What only counters, histories and the bus tell: memory errors, light, lost links, growing errors, missing cards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mindie_deploy.hosts.facts import EccCounts, LinkHistory, Optics, PathState, Unknown
from tests.preflight.builders import (
    BUSES,
    NPUS,
    boards,
    cluster,
    configuration,
    engine,
    finding,
    healthy_host,
    ids,
    judged,
    judged_one,
    npu,
    only,
    optics,
    overview,
    own_container,
    ports,
    system,
)

ABSENT = Optics(False, None, None, None, None, None, None)
LIBRARY = "/usr/local/dcmi/libdcmi.so"
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


def module(**changes: Any) -> dict[str, Any]:
    return {"hccn": ports(2, 5, optics=optics(**changes))}


def later(npu: int | None = 5, **counters: int) -> dict[str, Any]:
    """Counters that were 0 and are not, some seconds later."""
    return {"hccn": ports(2, npu, counters=dict.fromkeys(counters, 0), counters_later=counters)}


def history(*records: tuple[str, str], ups: int = 1) -> dict[str, Any]:
    return {"hccn": ports(2, 5, link_history=LinkHistory(ups, None, records, NOW))}


@pytest.mark.parametrize(
    ("changes", "check_id", "severity", "says"),
    [
        ({"ecc": ecc(double=2, double_isolated=1)}, "npu.ecc", "block", "2 double bit errors, 1 pages isolated"),
        ({"ecc": ecc(double_next_isolated=1)}, "npu.ecc", "warn", "wait to be isolated"),
        ({"ecc": ecc(single=101)}, "npu.ecc-single", "warn", "101 single bit errors"),
        ({"ecc": ecc(double_isolated=3)}, "npu.ecc", "warn", "3 pages are isolated for double bit errors"),
        (module(rx_power=(0.9, 0.1)), "hccn.optical", "warn", "received power 0.1 mW, the module's limit is 0.1905"),
        (module(rx_power=(0.9, 4.0)), "hccn.optical", "warn", "received power 4 mW, the module's limit is 3.1623"),
        (module(tx_power=(0.9, 0.2)), "hccn.optical", "warn", "sent power 0.2 mW, the module's limit is 0.2512"),
        (module(tx_power=(4.0,)), "hccn.optical", "warn", "sent power 4 mW, the module's limit is 3.1623"),
        (module(temperature_c=71.0), "hccn.optical", "warn", "71 degrees Celsius, the module's limit is 70"),
        (module(rx_los=("0x3",), rx_power=(0.0,)), "hccn.optical", "warn", "Rx loss of signal: 0x3"),
        (module(tx_los=("0x1",)), "hccn.optical", "warn", "Tx loss of signal: 0x1"),
        (module(rx_los=("Normal", "Abnormal")), "hccn.optical", "warn", "Rx loss of signal: Normal Abnormal"),
        ({"hccn": ports(2, 5, configuration_status="FAIL")}, "hccn.cfg", "warn", "config status:FAIL"),
        ({"hccn": ports(2, 5, configuration_status="START")}, "hccn.cfg", "warn", "config status:START"),
        (later(roce_new_pkt_rty_num=3), "hccn.error-counters", "warn", "roce_new_pkt_rty_num +3"),
        (later(mac_rx_pfc_pkt_num=1001), "hccn.pause-frames", "warn", "mac_rx_pfc_pkt_num +1001"),
        ({"boards": boards(5, subsystem_id="0x3000")}, "npu.board-uniform", "warn", "0xd802 with subsystem 0x3000"),
        (
            history(("Wed Nov 25 05:50:00 2026", "UP"), ("Wed Nov 25 05:49:00 2026", "DOWN"), SINCE, ups=2),
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
        history(*BRING_UP, ups=2),
        history(("Mon Nov 23 05:50:00 2026", "UP"), ("Mon Nov 23 05:49:00 2026", "DOWN"), SINCE, ups=2),
        history(ups=0),
        {"hccn": ports(2, 5, link_history=LinkHistory(1, None, (SINCE,), "garbage"))},
        {"hccn": ports(2, optics=ABSENT)},
        # A module that was never given limits, and counters of which one is not printed the second time.
        module(rx_power_low=0.0, rx_power_high=0.0, tx_power_low=0.0, tx_power_high=0.0, temperature_high_c=0.0),
        {"hccn": ports(2, counters={"mac_rx_bad_pkt_num": 1}, counters_later={"mac_tx_bad_pkt_num": 9})},
        later(mac_rx_pfc_pkt_num=1000),
        # A port that works sends some packets again, and is paused.
        {**later(None, roce_out_of_order_num=40, mac_tx_pfc_pkt_num=90000), "engine": engine(own_container())},
        {"hccn": ports(2, configuration_status=None)},
        {"hccn": ports(2, configuration_status="NONE")},
        {"boards": boards(None, subsystem_id=None)},
        {"management_library": PathState(LIBRARY, True, "link")},
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


def test_a_card_that_the_bus_shows_was_lost_by_the_driver() -> None:
    lost = only(judged_one(overview=overview(lost=(3, 7))))
    nobody_knows = only(judged_one(overview=overview(lost=(7,)), bus=Unknown("no answer within 15 s")))
    fewer = only(judged_one(overview=overview(lost=(7,)), bus={}))
    unread = only(judged_one(overview=overview(lost=(7,), npu2=npu(2, bus_id=None))))

    assert (lost.check_id, lost.devices) == ("npu.count", {"host3": (3, 7)})
    assert lost.title == "the driver lost NPUs whose cards the PCI bus shows"
    assert "lspci -d 19e5: shows 42:00.0, 82:00.0 all the same" in lost.evidence[0].says
    assert {one.title for one in (nobody_knows, fewer, unread)} == {
        "NPUs are missing, or there are others than configured"
    }


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


def test_a_port_that_is_down_tells_what_its_module_sees() -> None:
    dark = only(judged_one(hccn=ports(2, 5, link_up=False, optics=optics(rx_los=("0xf",)))))
    absent = only(judged_one(hccn=ports(2, 5, link_up=False, optics=ABSENT)))
    bright = only(judged_one(hccn=ports(2, 5, link_up=False)))

    assert dark.evidence[0].says == "link status: DOWN; no light arrives (Rx loss of signal: 0xf)"
    assert absent.evidence[0].says == "link status: DOWN; hccn_tool sees no optical module"
    assert bright.evidence[0].says == "link status: DOWN"
    assert "hccn.optical" in dark.hides


def test_thresholds_are_settings() -> None:
    lost = history(("Wed Nov 25 05:50:00 2026", "UP"), ("Wed Nov 25 05:49:00 2026", "DOWN"), SINCE, ups=2)
    host = healthy_host("host3", 2, ecc=ecc(double_isolated=3), **lost)

    assert judged(cluster(host3=host), hccn_link_downs_limit=1, npu_isolated_pages_limit=3).verdict == "ok"
    assert judged(cluster(host3=healthy_host("host3", 2, **later(x_err_num=7))), hccn_errors_limit=7).verdict == "ok"
    paused = judged(cluster(host3=healthy_host("host3", 2, **later(mac_rx_pfc_pkt_num=6))), hccn_pause_frames_limit=5)
    assert only(paused).check_id == "hccn.pause-frames"


def test_npus_at_one_switch_port_are_mentioned() -> None:
    same = {"neighbour_port": "400GE1/0/9", "neighbour_switch": "00:00:5E:00:53:09"}
    hosts = {name: healthy_host(name, i, hccn=ports(i, 1, **same)) for i, name in enumerate(("host1", "host2"))}
    report = judged(cluster(2, **hosts))

    assert report.verdict == "ok"
    found = finding(report, "hccn.lldp-rail")
    assert found.title == "NPUs name the same switch port as their neighbour"
    assert found.devices == {"host1": (1,), "host2": (1,)}
    assert "host1 NPU 1 and host2 NPU 1" in found.evidence[0].says


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (PathState(LIBRARY, False), "does not exist"),
        (PathState(LIBRARY, True, None, target="gone.so"), "link to gone.so"),
        (PathState(LIBRARY, True, "directory"), "is a directory"),
    ],
)
def test_the_management_library_that_the_container_mounts(state: PathState, says: str) -> None:
    found = only(judged_one(management_library=state))

    assert (found.check_id, found.severity, found.hosts) == ("driver.dcmi", "warn", ("host3",))
    assert says in found.evidence[0].says


def test_boards_of_two_kinds_in_equal_number_are_both_named() -> None:
    other = {
        name: healthy_host(name, i, boards=boards(subsystem_id="0x3000")) for i, name in ((2, "host3"), (3, "host4"))
    }
    found = only(judged(cluster(**other)))

    assert found.check_id == "npu.board-uniform"
    assert {host: len(npus) for host, npus in found.devices.items()} == dict.fromkeys(cluster(), 8)


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        ({"netmask": {5: "255.255.0.0"}}, "the file has netmask 255.255.0.0, the NPU 255.255.255.0"),
        ({"gateway": {5: "29.1.5.254"}}, "the file has gateway 29.1.5.254, the NPU 29.1.5.1"),
    ],
)
def test_a_netmask_or_gateway_that_the_next_reset_changes(kept: dict[str, dict[int, str]], says: str) -> None:
    healthy = configuration(2)
    changes = {name: {**getattr(healthy, name), **values} for name, values in kept.items()}
    found = only(judged_one(hccn_configuration=configuration(2, **changes)))

    assert (found.check_id, found.severity, found.devices) == ("hccn.conf-live", "warn", {"host3": (5,)})
    assert found.evidence[0].says == says
    assert found.remedy.startswith("Decide which is right, and set it: hccn_tool -i N -")

"""Every sample is read with exactly the values that its index gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from mindie_deploy.hosts import (
    files,
    hccn_details,
    hccn_ping,
    hccn_tool,
    npu_counters,
    npu_overview,
    npu_smi,
    npu_topology,
    pci,
)
from mindie_deploy.hosts.answer import Answer, FileText
from mindie_deploy.hosts.facts import NpuOverview, Unknown
from tests.hosts.samples import Sample, samples

COUNTER_KEYS = {
    "hbm_capacity_mb": "HBM Capacity(MB)",
    "hbm_usage_pct": "HBM Usage Rate(%)",
    "ddr_capacity_mb": "DDR Capacity(MB)",
    "aicore_pct": "Aicore Usage Rate(%)",
    "aivector_pct": "Aivector Usage Rate(%)",
    "aicube_pct": "Aicube Usage Rate(%)",
    "npu_pct": "NPU Utilization(%)",
    "aicpu_pct": "Aicpu Usage Rate(%)",
    "ctrlcpu_pct": "Ctrlcpu Usage Rate(%)",
    "hbm_clock_mhz": "HBM Clock Speed(MHz)",
    "hbm_temp_c": "HBM Temperature(C)",
    "temp_c": "Temperature(C)",
    "power_w": "NPU Real-time Power(W)",
    "aicore_freq_mhz": "Aicore Freq(MHZ)",
    "aicore_cur_freq_mhz": "Aicore curFreq(MHZ)",
    "aicore_count": "Aicore Count",
    "hbm_single": "HBM Single Bit Error Count",
    "hbm_double": "HBM Double Bit Error Count",
    "hbm_agg_single": "HBM Single Bit Aggregate Total Err Cnt",
    "hbm_agg_double": "HBM Double Bit Aggregate Total Err Cnt",
    "hbm_isolated_single": "HBM Single Bit Isolated Pages Count",
    "hbm_isolated_double": "HBM Double Bit Isolated Pages Count",
    "hbm_next_isolated_single": "HBM Single Bit Next-Isolated Pages Count",
    "hbm_next_isolated_double": "HBM Double Bit Next-Isolated Pages Count",
}


def check_info(one: Sample) -> None:
    found = npu_overview.overview(one.answer)
    if "error" in one.expect:
        assert isinstance(found, Unknown)
        assert one.expect["error"] in found.reason
        return
    assert isinstance(found, NpuOverview), found
    assert found.tool_version == (one.expect["tool_version"] or "")
    assert found.driver_version == (one.expect["reported_version"] or "")
    assert (found.processes is not None) == one.expect["has_process_section"]
    read = []
    for npu in found.npus:
        processes = [
            {"pid": process.pid, "name": process.name, "mem_mib": process.memory_mib}
            for process in found.processes or ()
            if (process.npu, process.chip) == (npu.id, npu.chip)
        ]
        read.append(
            {
                "id": npu.id,
                "name": npu.name,
                "health": npu.health,
                "power_w": npu.power_w,
                "temp_c": npu.temperature_c,
                "hugepages": [npu.hugepages_used, npu.hugepages_total],
                "chip": npu.chip,
                "phy_or_device_id": npu.physical_id,
                "bus_id": npu.bus_id,
                "aicore_pct": npu.aicore_percent,
                "mem_used_mib": npu.memory_used_mib,
                "mem_total_mib": npu.memory_total_mib,
                "hbm_used_mib": npu.hbm_used_mib,
                "hbm_total_mib": npu.hbm_total_mib,
                "processes": processes,
            }
        )
    # The index has what is printed; a failed read is printed as 0, and for us such a value is not known.
    printed = [dict(npu, power_w=npu["power_w"] or None, temp_c=npu["temp_c"] or None) for npu in one.expect["npus"]]
    assert read == printed
    if "missing_ids" in one.expect:
        assert set(range(8)) - {npu.id for npu in found.npus} == set(one.expect["missing_ids"])
    if "warning" in one.expect:
        assert any(one.expect["warning"] in warning for warning in found.warnings)
    elif one.name.startswith("generated"):
        assert not found.warnings


def check_board(one: Sample) -> None:
    found = npu_smi.board(one.answer, one.expect.get("npu_id"))
    if "error" in one.expect:
        assert isinstance(found, Unknown) and one.expect["error"] in found.reason
        return
    assert not isinstance(found, Unknown), found
    if "software_version" in one.expect:
        assert found.driver_version == one.expect["software_version"]
        assert found.compatibility == one.expect["compatibility"]
    firmware = one.expect["firmware_version"]
    assert found.firmware_version == (None if firmware == "NA" else firmware)
    assert found.pci_device_id == one.expect.get("pci_device", "0xD802")


def check_health(one: Sample) -> None:
    if "mcu_health" in one.expect:
        assert npu_smi.card_health(one.answer) == {"0": one.expect["health"], "MCU": one.expect["mcu_health"]}
        return
    found = npu_smi.health(one.answer)
    if "error" in one.expect:
        assert isinstance(found, Unknown) and one.expect["error"] in found.reason
        return
    assert not isinstance(found, Unknown), found
    assert found.word == one.expect["health"]
    assert list(found.codes) == one.expect["error_codes"]
    assert len(found.explanations) == one.expect.get("error_info_count", len(found.codes))
    assert list(found.unexplained) == one.expect.get("unexplained", [])


def check_counters(one: Sample) -> None:
    found = npu_counters.counters(one.answer, one.command)
    if "error" in one.expect:
        assert isinstance(found, Unknown) and one.expect["error"] in found.reason
        return
    assert not isinstance(found, Unknown), found
    assert list(found.chips) == [0]
    for key, value in one.expect.items():
        if key == "npu_id":
            assert found.npu == value
        elif key == "mcu_temp_c":
            assert found.controller == {"Temperature(C)": value}
        elif key != "chip_count":
            assert found.chips[0][COUNTER_KEYS[key]] == value


def check_topology(one: Sample) -> None:
    found = npu_topology.topology(one.answer)
    if "error" in one.expect:
        assert isinstance(found, Unknown) and one.expect["error"] in found.reason
        return
    assert not isinstance(found, Unknown), found
    assert set(found.links.values()) == {one.expect["all_pairs"]}
    assert len(found.links) == one.expect["npus"] * (one.expect["npus"] - 1)
    assert list(found.cpu_affinity.values()) == one.expect["cpu_affinity"]
    assert len(found.nics) == one.expect.get("nic_columns", 0)


def check_list(one: Sample) -> None:
    ids = {npu["id"]: npu["chip_count"] for npu in one.expect["npus"]}
    assert npu_smi.listed(one.answer) == (one.expect["total_count"], ids)


def check_map(one: Sample) -> None:
    found = npu_smi.mapping(one.answer)
    assert not isinstance(found, Unknown), found
    assert len(found) == one.expect["rows"]
    npus = [row for row in found if row.logic_id is not None]
    if "logic_ids" in one.expect:
        assert [row.logic_id for row in npus] == one.expect["logic_ids"]
        assert {row.name for row in npus} == {one.expect["chip_name"]}
    else:
        assert len(npus) == one.expect["npu_rows"]
        assert len(found) - len(npus) == one.expect["mcu_rows"]
        assert sorted(set(range(8)) - {row.npu for row in npus}) == one.expect["missing_ids"]


def check_processes(one: Sample) -> None:
    found = npu_counters.processes(one.answer, one.expect["npu_id"])
    assert not isinstance(found, Unknown), found
    read = [{"pid": process.pid, "name": process.name, "mem_mib": process.memory_mib} for process in found]
    assert read == one.expect["processes"]


def check_version(one: Sample) -> None:
    assert npu_smi.tool_version(one.answer) == one.expect["tool_version"]


def check_product(one: Sample) -> None:
    problem = npu_smi.refusal(one.answer, "product")
    assert problem is not None and one.expect["error"] in problem.reason


def check_help(one: Sample) -> None:
    assert set(one.expect["types_contain"]) <= set(npu_smi.query_types(one.text))


def check_address(one: Sample) -> None:
    if "ips" in one.expect:
        assert isinstance(hccn_tool.address(one.answer), Unknown)  # eight answers in one: no device's
        lines = one.text.splitlines()
        answers = [Answer(0, "\n".join(lines[i : i + 2])) for i in range(0, len(lines), 2)]
        assert [hccn_tool.address(answer) for answer in answers] == one.expect["ips"]
        assert {hccn_tool.netmask(answer) for answer in answers} == {one.expect["netmask"]}
    elif one.expect.get("error") == "usage":
        assert hccn_tool.trouble(one.answer) is hccn_tool.Trouble.USAGE
        assert isinstance(hccn_tool.address(one.answer), Unknown)
    else:
        assert hccn_tool.address(one.answer) == one.expect["ip"]
        assert hccn_tool.netmask(one.answer) == one.expect.get("netmask")


def check_error(one: Sample, reader: Callable[[Answer], object]) -> None:
    trouble = hccn_tool.trouble(one.answer)
    assert trouble is not None and trouble.value == one.expect["error"]
    assert isinstance(reader(one.answer), Unknown)


def check_link(one: Sample) -> None:
    if "error" in one.expect:
        check_error(one, hccn_tool.link_up)
    else:
        assert hccn_tool.link_up(one.answer) is (one.expect["link"] == "UP")


def check_net_health(one: Sample) -> None:
    if "error" in one.expect:
        check_error(one, hccn_tool.net_health)
    else:
        assert hccn_tool.net_health(one.answer) == one.expect["status"]


def check_netdetect(one: Sample) -> None:
    assert hccn_tool.netdetect(one.answer) == one.expect["address"]


def check_gateway(one: Sample) -> None:
    assert hccn_tool.gateway(one.answer) == one.expect["gateway"]
    assert hccn_tool.gateway_interface(one.answer) == one.expect["iface"]


def check_tls(one: Sample) -> None:
    if one.expect.get("error") == "no_certificate":
        assert hccn_tool.tls(one.answer, 0) is None
    elif isinstance(one.expect["switch"], list):
        assert isinstance(hccn_tool.tls(one.answer), Unknown)
        read = [hccn_tool.tls(Answer(0, line), device) for device, line in enumerate(one.text.splitlines())]
        assert read == [bool(value) for value in one.expect["switch"]]
    else:
        assert hccn_tool.tls(one.answer, 1) is bool(one.expect["switch"])
        assert isinstance(hccn_tool.tls(one.answer, 2), Unknown)  # the answer of another device


def check_ping(one: Sample) -> None:
    if "error" in one.expect:
        check_error(one, hccn_ping.ping)
        assert hccn_ping.own_link_down(one.answer) is (one.expect["error"] == "link_down")
        return
    if "devices" in one.expect:
        parts = [Answer(0, "device " + part) for part in one.text.split("device ")[1:]]
        found = [hccn_ping.ping(part) for part in parts]
        assert [ping.device for ping in found if isinstance(ping, hccn_ping.Ping)] == one.expect["devices"]
        assert all(isinstance(ping, hccn_ping.Ping) and ping.loss_percent == 0.0 for ping in found)
        return
    ping = hccn_ping.ping(one.answer, one.expect.get("device"), one.expect.get("address"))
    assert isinstance(ping, hccn_ping.Ping), ping
    assert (ping.sent, ping.received) == (one.expect["sent"], one.expect["received"])
    assert ping.loss_percent == one.expect["loss_pct"]


def check_optical(one: Sample) -> None:
    found = hccn_details.optics(one.answer)
    assert not isinstance(found, Unknown), found
    assert found.temperature_c == one.expect["temp_c"]
    if "present" in one.expect:
        assert found.present is (one.expect["present"] == "present")
        assert found.rx_power == (tuple(one.expect["rx_power_mw"]) if one.expect["rx_power_mw"] else None)
    if "tx_los" in one.expect:
        assert (found.tx_los, found.rx_los) == ((one.expect["tx_los"],), (one.expect["rx_los"],))
    elif "rx_los" in one.expect:
        assert found.rx_los == tuple(one.expect["rx_los"])
        assert found.unit == "dBm" and found.rx_power == (-35.23, -35.23, -0.15, -0.12)


def check_stat(one: Sample) -> None:
    found = hccn_details.counters(one.answer)
    assert not isinstance(found, Unknown), found
    assert {key: found[key] for key in one.expect} == one.expect


def check_link_history(one: Sample) -> None:
    found = hccn_details.link_history(one.answer)
    assert not isinstance(found, Unknown), found
    assert found.up_count == one.expect["link_up_count"]
    assert found.down_count == one.expect.get("link_down_count")
    assert len(found.records) == one.expect.get("records", 3)
    last = found.records[0][1] if found.records else None
    assert (f"LINK {last}" if last else None) == one.expect["last"]


def check_lldp(one: Sample) -> None:
    assert hccn_details.neighbour_port(one.answer) == one.expect["ifname"]
    assert hccn_details.neighbour_frame_size(one.answer) == one.expect.get("max_frame")


def check_vnic(one: Sample) -> None:
    found = hccn_details.vnic(one.answer)
    assert found == hccn_details.Vnic(one.expect["link"] == "UP", one.expect["ip"], one.expect["netmask"])


def check_routes(one: Sample) -> None:
    found = hccn_details.routes(one.answer)
    expect = one.expect
    assert found == hccn_details.Routes(expect["default_gateway"], expect["iface"], expect["routes"])


def check_unknown_command(one: Sample) -> None:
    check_error(one, hccn_tool.link_up)


def file_of(one: Sample) -> FileText:
    return FileText(one.command.split()[-1], one.text)


def check_version_file(one: Sample) -> None:
    found = files.version_file(file_of(one))
    assert not isinstance(found, Unknown), found
    assert found.version == one.expect["version"]
    assert found.compatible is not None and found.compatible_with == "firmware"
    assert f"[{','.join(found.compatible)}]" == one.expect["fw_range"]


def check_hccn_configuration(one: Sample) -> None:
    found = files.hccn_configuration(file_of(one))
    assert not isinstance(found, Unknown), found
    assert found.address == one.expect["addresses"]
    assert set(found.netmask.values()) == {one.expect["netmask"]}
    assert set(found.gateway.values()) == {one.expect["gateway"]}


def check_install_info(one: Sample) -> None:
    found = files.install_info(file_of(one))
    assert not isinstance(found, Unknown), found
    if "driver_path" in one.expect:
        assert found["Driver_Install_Path_Param"] == one.expect["driver_path"]
        assert (found["Driver_Install_For_All"] == "yes") is one.expect["for_all"]
        assert found["Driver_Install_Type"] == one.expect["install_type"]
    else:
        assert {key: found[key] for key in one.expect} == one.expect


def check_os_release(one: Sample) -> None:
    found = files.os_release(file_of(one))
    assert not isinstance(found, Unknown), found
    assert (found["ID"], found["VERSION_ID"]) == (one.expect["id"], one.expect["version_id"])


def check_lspci(one: Sample) -> None:
    found = pci.accelerators(one.text)
    assert len(found) == one.expect["count"] and set(found.values()) == {one.expect["device"]}


def simple(reader: Callable[[Answer], object], key: str, wanted: Callable[[Any], object] = lambda x: x) -> Any:
    def check(one: Sample) -> None:
        assert reader(one.answer) == wanted(one.expect[key])

    return check


# What each command is read by; `ls -l` and rank tables are not ours to read (stat says the same, the rest is written).
CHECKS: tuple[tuple[str, Any], ...] = (
    (r"npu-smi info", check_info),
    (r"npu-smi info -l", check_list),
    (r"npu-smi info -m", check_map),
    (r"npu-smi info -h", check_help),
    (r"npu-smi -v", check_version),
    (r"npu-smi info .*-t board.*|npu-smi info -t board .*", check_board),
    (r"npu-smi info .*-t health.*", check_health),
    (r"npu-smi info .*-t (usages|memory|common|power|ecc).*", check_counters),
    (r"npu-smi info -t topo", check_topology),
    (r"npu-smi info -t product.*", check_product),
    (r"npu-smi info -t proc-mem.*", check_processes),
    (r".*hccn_tool -i \S+ -ip -g", check_address),
    (r".*hccn_tool -i \S+ -link -g", check_link),
    (r".*hccn_tool -i \S+ -net_health -g", check_net_health),
    (r".*hccn_tool -i \S+ -netdetect -g", check_netdetect),
    (r".*hccn_tool -i \S+ -gateway -g", check_gateway),
    (r".*hccn_tool -i \S+ -tls -g.*", check_tls),
    (r".*hccn_tool -i \S+ -speed -g", simple(hccn_tool.speed_mbps, "speed_mbps")),
    (r".*hccn_tool -i \S+ -mtu -g", simple(hccn_tool.mtu, "mtu")),
    (r".*hccn_tool -i \S+ -mac -g", simple(hccn_tool.mac, "mac")),
    (r".*hccn_tool -i \S+ -ping -g .*", check_ping),
    (r".*hccn_tool -i \S+ -optical -g.*", check_optical),
    (r".*hccn_tool -i \S+ -(stat|hw_stats) -g", check_stat),
    (r".*hccn_tool -i \S+ -link_stat -g", check_link_history),
    (r".*hccn_tool -i \S+ -lldp -g", check_lldp),
    (r".*hccn_tool -i \S+ -vnic -g", check_vnic),
    (r".*hccn_tool -i \S+ -route -g", check_routes),
    (r".*hccn_tool -i \S+ -fec -g", simple(hccn_details.fec_mode, "fec")),
    (r".*hccn_tool -i \S+ -process -g", simple(hccn_details.communication_process, "process", lambda x: x == "exist")),
    (r".*hccn_tool -i \S+ -cfg status", simple(hccn_details.configuration_status, "config_status")),
    (r".*hccn_tool -i \S+ -nosuch -g", check_unknown_command),
    (r"cat \S+/driver/version.info", check_version_file),
    (r"cat /etc/hccn.conf", check_hccn_configuration),
    (r"cat \S*install.info", check_install_info),
    (r"cat /etc/os-release", check_os_release),
    (r"lspci .*", check_lspci),
    (r"ls -l /dev/devmm_svm|rank.table.file.*", None),
)


@pytest.mark.parametrize("one", samples(), ids=lambda one: one.name)
def test_sample_is_read_as_its_index_says(one: Sample) -> None:
    check = next(check for pattern, check in CHECKS if re.fullmatch(pattern, one.command))
    if check is None:
        pytest.skip("not read by this room")
    check(one)


def test_every_sample_file_is_in_an_index() -> None:
    assert len(samples()) > 100

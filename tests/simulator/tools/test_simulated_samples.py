"""The tools print byte for byte what their public source prints for the same state, and end with the same status."""

from __future__ import annotations

import calendar
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools import hccn, smi, state
from tools.answer import Answer

SAMPLES = Path(__file__).parents[2] / "samples"
INDEX = {
    Path(entry["stdout"]).stem: entry
    for entry in yaml.safe_load((SAMPLES / "generated" / "index.yaml").read_text(encoding="utf-8"))
}
NEW_YEAR = calendar.timegm((2026, 1, 1, 0, 0, 0))

ECC_SUM = "node type=HBM, sensor type=Memory, event state=uncorrectable ECC"
HEARTBEAT = "node type=CPU, sensor type=Heartbeat Sensor, event state=Heartbeat Lost"
BOARD = {"serial": "EXAMPLE0000000001"}

# What differs from eight plain NPUs: edits of single NPUs by id, and of the host under "host".
NPU_SMI: dict[str, dict[Any, dict[str, Any]]] = {
    "version": {},
    "info-init-failed-8005": {"host": {"driver": {"loaded": False}}},
    "info-driver-incomplete-neutral": {"host": {"driver": {"install_status": None}}},
    "l-8": {},
    "m-lost-3": {3: {"lost": True}},
    "board-compat-ok-0": {0: BOARD},
    "board-compat-nok-5": {
        5: BOARD,
        "host": {
            "driver": {"compatible_firmware": [["8.0.0", "8.9.99"]]},
            "firmware": {"compatible_driver": [["24.1", "24.1."]]},
        },
    },
    "board-firmware-unreadable-4": {4: {**BOARD, "unreadable": ["firmware"]}},
    "health-1code-3": {3: {"health": "Critical", "error_codes": [{"code": "80E01801", "text": ECC_SUM}]}},
    "health-3codes-one-unexplained-2": {
        2: {
            "health": "Warning",
            "error_codes": [
                {"code": "80E01801", "text": ECC_SUM},
                {"code": "81078603"},
                {"code": "A419321B", "text": HEARTBEAT},
            ],
        }
    },
    "health-card-0": {},
    "ecc-zero-0": {},
    "ecc-single-4": {4: {"ecc": {"single": 17, "single_total": 230, "single_isolated": 1}}},
    "ecc-not-supported-chip-0": {0: {"ecc": {"supported": False}}},
    "usages-busy-2": {
        2: {
            "hbm_used_mib": 61000, "aicore_percent": 87, "aivector_percent": 41, "aicpu_percent": 12,
            "ctrlcpu_percent": 7, "utilization_percent": 91, "aicube_percent": 64,
        }
    },
    "memory-0": {},
    "common-5-hot": {
        5: {
            "hbm_used_mib": 58000, "aicore_percent": 100, "current_frequency_mhz": 1000, "temperature_c": 91,
            "power_w": 301.0, "mcu_temperature_c": 47,
        }
    },
    "topo-all-hccs-default": {"host": {"dialect": {"topology": "nic"}}},
    "topo-xlink-neutral": {"host": {"dialect": {"topology": "xlink"}}},
    "topo-lost-3": {3: {"lost": True}},
    "product-0": {},
    "proc-mem-two-3": {
        3: {
            "processes": [
                {"pid": 1601114, "name": "python3", "mib": 18429},
                {"pid": 1601115, "name": "ray::RayWorkerW", "mib": 19100},
            ]
        }
    },
    "power-2": {2: {"power_w": 121.7}},
    "error-card-lost-3": {3: {"lost": True}},
    "error-chip-5": {},
    "error-no-card": {},
}  # fmt: skip

PORT: dict[str, Any] = {"address": "10.10.0.10", "gateway": "10.10.0.1", "netdetect": "10.10.0.1"}
STAT = {
    "mac_tx_total_pkt_num": 918273645, "mac_tx_total_oct_num": 734618916000, "mac_rx_total_pkt_num": 918270001,
    "mac_rx_total_oct_num": 734616000800, "roce_rx_rc_pkt_num": 900000123, "roce_rx_all_pkt_num": 900000123,
    "roce_tx_rc_pkt_num": 900003333, "roce_tx_all_pkt_num": 900003333, "roce_cqe_num": 4455667,
}  # fmt: skip

HCCN: dict[str, dict[str, Any]] = {
    "ip-set-0": PORT,
    "ip-none-0": {"address": None},
    "link-up-0": PORT,
    "link-down-3": {"link": "DOWN"},
    "busy-link-0": {"busy": True},
    "permission-denied-link-0": {"denied": True},
    "net-health-success": PORT,
    "net-health-receive-timeout": {"net_health": "Receive timeout"},
    "net-health-time-exceeded": {"net_health": "Time exceeded"},
    "net-health-init": {"net_health": "Init"},
    "net-health-detect-ip-set": {"net_health": "Detect ip set"},
    "net-health-read-fails-0": {"fails": ["net_health"]},
    "netdetect-set-0": PORT,
    "gateway-set-2": PORT,
    "tls-on-preset-1": {"tls": {"switch": 1}},
    "tls-none-0": {"tls": None},
    "speed-200g-0": PORT,
    "speed-100g-4": {"speed_mbps": 100000},
    "mtu-1500-0": PORT,
    "mac-0": {"mac": "02:00:5e:10:20:30"},
    "vnic-down-5": {"vnic": {"link": "DOWN", "address": "192.168.1.105"}},
    "optical-ok-0": PORT,
    "optical-absent-3": {"optical": {"present": False}},
    "optical-v2-rx-los-0": {"optical": {"rx_los": 3, "rx_lol": 3}},
    "stat-clean-0": {"stat": STAT},
    "link-stat-stable-0": {"link_history": [{"state": "UP", "ago_s": 864000}]},
    "link-stat-no-record-7": {"link_never_up": True},
    "ping-ok-0": {**PORT, "ping_ms": [0.114, 0.067, 0.063]},
    "ping-loss-33-1": {**PORT, "ping_ms": [0.121, 0, 0.066], "ping_lost": [1]},
    "ping-link-down-3": {**PORT, "link": "DOWN"},
    "ping-bad-address-0": PORT,
    "lldp-neighbour-0": {"lldp": {"interface": "400GE1/0/3"}},
    "route-0": PORT,
    "process-exist-0": PORT,
    "cfg-status-fail-0": {"config_status": "FAIL"},
    "error-device-9": {},
    "error-health-timeout-3": {},
    "error-unknown-command-0": {},
}


def expected(name: str) -> Answer:
    """The sample as an answer."""
    entry = INDEX[name]
    texts = [(SAMPLES / entry[stream]).read_bytes().decode("utf-8") for stream in ("stdout", "stderr")]
    return Answer(texts[0], texts[1], entry["exit_status"])


def arguments(name: str) -> list[str]:
    """The sample's command line without the program."""
    return str(INDEX[name]["command"]).split()[1:]


def make(host: dict[str, Any], npus: list[dict[str, Any]]) -> dict[str, Any]:
    """A full state."""
    return state.validate({**host, "npus": npus}, "test")


def plain_npus() -> list[dict[str, Any]]:
    """Eight NPUs with nothing but what every sample shares."""
    bus = ("C1", "C2", "81", "82", "01", "02", "41", "42")
    return [{"id": npu, "bus_id": f"0000:{bus[npu]}:00.0"} for npu in range(8)]


def layout(name: str, host: dict[str, Any]) -> dict[str, Any]:
    """The host's own fields, with the build and the version that the sample was printed by."""
    entry = INDEX[name]
    merged = {key: dict(value) for key, value in host.items()}
    merged.setdefault("driver", {})["version"] = entry["tool_version"] or "25.2.0"
    merged.setdefault("dialect", {})["table"] = entry["build"]
    return merged


@pytest.mark.parametrize("name", sorted(NPU_SMI))
def test_npu_smi_prints_the_sample(name: str) -> None:
    edits = NPU_SMI[name]
    npus = [{**npu, **edits.get(npu["id"], {})} for npu in plain_npus()]
    host = layout(name, edits.get("host", {}))
    if name == "info-driver-incomplete-neutral":
        npus = from_expectation(name)
    assert smi.answer(arguments(name), make(host, npus)) == expected(name)


def from_expectation(name: str) -> list[dict[str, Any]]:
    """NPUs with the values that a reader should get from an `npu-smi info` sample; ids that it lacks are lost."""
    shown = {npu["id"]: npu for npu in INDEX[name]["expect"]["npus"]}
    npus = []
    for npu in plain_npus():
        values = shown.get(npu["id"])
        if values is None:
            npus.append({**npu, "lost": True})
            continue
        processes = [{"pid": p["pid"], "name": p["name"], "mib": p["mem_mib"]} for p in values["processes"]]
        unreadable = [] if values["name"] else ["name"]
        npus.append({
            **npu, "chip_name": values["name"] or "910B3", "health": values["health"], "power_w": values["power_w"],
            "temperature_c": values["temp_c"], "bus_id": values["bus_id"], "aicore_percent": values["aicore_pct"],
            "hbm_total_mib": values["hbm_total_mib"], "processes": processes, "unreadable": unreadable,
            "hbm_used_mib": values["hbm_used_mib"] - sum(process["mib"] for process in processes),
        })  # fmt: skip
    return npus


TABLES = sorted(name for name in INDEX if name.startswith("info-") and "npus" in (INDEX[name]["expect"] or {}))


@pytest.mark.parametrize("name", TABLES)
def test_npu_smi_info_prints_the_table_of_the_sample(name: str) -> None:
    npus = from_expectation(name)
    if name == "info-sensor-read-fails-3-neutral":
        npus[3].update(unreadable=["power", "temperature"], power_w=95.0, temperature_c=40)
    host = {"driver": {"install_status": None}} if "incomplete" in name else {}
    assert smi.answer(["info"], make(layout(name, host), npus)) == expected(name)


@pytest.mark.parametrize("name", sorted(HCCN))
def test_hccn_tool_prints_the_sample(name: str) -> None:
    words = arguments(name)
    number = int(words[1])
    npus = [{**npu, "hccn": HCCN[name]} if npu["id"] == number else npu for npu in plain_npus()]
    if name == "error-health-timeout-3":
        npus[3] = {**npus[3], "dead": True}
    full = make({}, npus)

    def network() -> list[Any]:
        from tools.hccn_ping import End

        peer = state.validate({"npus": [{"hccn": {"address": words[-1]}}]}, "peer")["npus"][0]["hccn"]
        return [End("peer", number, peer, lost=False)]

    around = hccn.Surroundings("host", NEW_YEAR, network)
    asked = hccn.request(words, full)
    if isinstance(asked, hccn.Request):
        asked = hccn.device_refusal(asked, full, around) or hccn.answer(asked, full, around)
    assert asked == expected(name)


def test_every_generated_sample_is_compared() -> None:
    assert set(NPU_SMI) | set(TABLES) | set(HCCN) == set(INDEX)


GENUINE_TABLES = ("info-25.2.0-910B3-one-busy", "info-25.5.2-910B4-npu5-only", "info-24.1.rc1.b030-910B3-8npu")


@pytest.mark.parametrize("name", GENUINE_TABLES)
def test_npu_smi_info_prints_what_operators_captured(name: str) -> None:
    captured = (SAMPLES / "npu-smi" / f"{name}.txt").read_text(encoding="utf-8")
    npus: list[dict[str, Any]] = []
    first = re.compile(r"\| (\d+) +(910\w+) +\| (\w+) +\| ([\d.]+) +(\d+) +0 +/ 0 +\|")
    second = re.compile(r"\| 0 +\| (\S+) +\| (\d+) +0 +/ 0 +(\d+) */ (\d+) +\|")
    for line in captured.splitlines():
        if match := first.fullmatch(line):
            npus.append({"id": int(match[1]), "chip_name": match[2], "health": match[3], "power_w": float(match[4]),
                         "temperature_c": int(match[5])})  # fmt: skip
        elif match := second.fullmatch(line):
            npus[-1].update(bus_id=match[1], aicore_percent=int(match[2]), hbm_used_mib=int(match[3]),
                            hbm_total_mib=int(match[4]))  # fmt: skip
        elif match := re.fullmatch(r"\| (\d+) +0 +\| (\d+) +\| (\S+) +\| (\d+) +\|", line):
            owner = next(npu for npu in npus if npu["id"] == int(match[1]))
            owner["processes"] = [{"pid": int(match[2]), "name": match[3], "mib": int(match[4])}]
            owner["hbm_used_mib"] -= int(match[4])
    version = re.search(r"Version: (\S+)", captured)
    assert version
    printed = smi.answer(["info"], make({"driver": {"version": version[1]}}, npus)).stdout
    # The third capture was pasted without its process block.
    assert printed.startswith(captured.rstrip("\n")) if name.startswith("info-24.1") else printed == captured


def test_the_wide_table_is_that_of_the_26_0_capture() -> None:
    captured = (SAMPLES / "npu-smi" / "info-26.0.rc1-910B4-wide.txt").read_text(encoding="utf-8")
    npu = {"chip_name": "910B4", "power_w": 82.6, "temperature_c": 32, "hbm_used_mib": 2871, "hbm_total_mib": 32768}
    full = make({"driver": {"version": "26.0.rc1"}, "dialect": {"table": "wide"}}, [npu])
    assert smi.answer(["info"], full).stdout.startswith(captured.rstrip("\n"))


def test_the_matrix_of_an_old_driver_is_the_default() -> None:
    captured = (SAMPLES / "npu-smi" / "topo-910B1-8x-hccs.txt").read_text(encoding="utf-8")
    assert smi.answer(["info", "-t", "topo"], make({}, plain_npus())).stdout.lstrip() == captured


def test_health_codes_are_those_of_the_capture() -> None:
    captured = (SAMPLES / "npu-smi" / "health-alarm-3codes.txt").read_text(encoding="utf-8")
    texts = [line.partition(" : ")[2] for line in captured.splitlines()[2:] if line]
    codes = [
        {"code": code, "text": text} for code, text in zip(captured.splitlines()[1].split()[3:], texts, strict=True)
    ]
    full = make({}, [{"health": "Alarm", "error_codes": codes}])
    assert smi.answer(["info", "-i", "0", "-c", "0", "-t", "health"], full).stdout == captured


@pytest.mark.parametrize(
    ("file", "words", "port"),
    [
        ("ip-29.1.112.213", "-ip -g", {"address": "29.1.112.213", "netmask": "255.255.0.0"}),
        ("netdetect", "-netdetect -g", {"netdetect": "11.12.165.1"}),
        ("net-health-socket-failed", "-net_health -g", {"net_health": "Socket fail"}),
    ],
)
def test_older_hccn_tool_prints_what_operators_captured(file: str, words: str, port: dict[str, Any]) -> None:
    full = make({"dialect": {"hccn": "older"}}, [{"hccn": port}])
    asked = hccn.request(["-i", "0", *words.split()], full)
    assert isinstance(asked, hccn.Request)
    captured = (SAMPLES / "hccn" / f"{file}.txt").read_text(encoding="utf-8")
    assert hccn.answer(asked, full, hccn.Surroundings()) == Answer(captured, "", 0)

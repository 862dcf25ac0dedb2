"""The state of a faultless host as a file says it: what differs per NPU; the rest are the schema's defaults."""

from __future__ import annotations

from typing import Any

# Bus ids and idle readings of an 8-NPU 910B3 board: public capture of driver 25.2.0 (one NPU busy there).
BUS_IDS = ("C1", "C2", "81", "82", "01", "02", "41", "42")
IDLE_POWER_W = (94.8, 90.5, 90.6, 98.8, 96.7, 95.8, 97.8, 90.8)
IDLE_TEMPERATURE_C = (36, 34, 33, 35, 38, 37, 38, 39)
IDLE_HBM_MIB = (3407, 3398, 3400, 3400, 3399, 3400, 3401, 3413)


def healthy_host(index: int, hosts: int, npus: int) -> dict[str, Any]:
    """The `index`-th of `hosts` hosts. Device d has 10.20.d.(11 + index): a subnet for each rail, gateway .1."""
    if not 0 <= index < hosts <= 200 or not 1 <= npus <= 16:
        raise ValueError("0 <= index < hosts <= 200 and 1 <= npus <= 16")
    return {
        "description": f"healthy Atlas 800T A2, host {index + 1} of {hosts}",
        "npus": [_npu(index, npu) for npu in range(npus)],
    }


def _npu(host: int, npu: int) -> dict[str, Any]:
    place = npu % 8
    bus = BUS_IDS[place] if npu < 8 else f"{0xD0 + npu:02X}"
    return {
        "id": npu,
        "power_w": IDLE_POWER_W[place],
        "temperature_c": IDLE_TEMPERATURE_C[place],
        "hbm_used_mib": IDLE_HBM_MIB[place],
        "bus_id": f"0000:{bus}:00.0",
        "serial": f"EXAMPLE{host + 1:04d}{npu:06d}",
        "hccn": {
            "address": f"10.20.{npu}.{11 + host}",
            "gateway": f"10.20.{npu}.1",
            "netdetect": f"10.20.{npu}.1",
            "mac": f"02:00:5e:{host + 1:02x}:00:{npu:02x}",
            "lldp": {"mac": f"02:00:00:11:22:{npu:02x}", "interface": f"400GE1/0/{host * 8 + npu + 1}"},
            "vnic": {"address": f"192.168.1.{100 + npu}"},
        },
    }

"""`npu-smi info -t TYPE -i N [-c 0]`: key and value lines (N/npu_info_print*.c, N/npu_card_info.c, npu_chip_info.c).

A card query (no -c) has a head (NPU ID, Chip Count), the rows, and a foot (Chip ID); a chip query the rows alone.
"""

from __future__ import annotations

from .answer import Answer, row
from .light import Any, Callable
from .npu import Npu
from .versions import compatibility

ECC_WIDTH = 40


def board(state: dict[str, Any], npu: Npu, chip: bool) -> Answer:
    """Versions and PCI ids of the card, or the chip's identity with -c."""
    default_build = state["dialect"]["table"] == "default"
    if chip:
        return Answer(_chip_board(npu, state))
    firmware = firmware_of(state, npu)
    verdict = npu["compatibility"] or compatibility(state, firmware)
    rows = [
        ("NPU ID", npu.id), ("Product Name", "NA"), ("Model", "NA"),
        ("Manufacturer", "Huawei" if default_build else "NA"), ("Serial Number", npu["serial"]),
        ("Software Version", state["driver"]["version"]), ("Firmware Version", firmware or "NA"),
        ("Compatibility", verdict), ("Board ID", "0x33"), ("PCB ID", "NA"), ("BOM ID", 1),
        ("PCIe Bus Info", npu.bus), ("Slot ID", npu.id), ("Class ID", "NA"), ("PCI Vendor ID", "0x19E5"),
        ("PCI Device ID", "0xD802"), ("Subsystem Vendor ID", "0x19E5"),
        ("Subsystem Device ID", f"0x{int(npu['subsystem_id'], 16):04X}"), ("Chip Count", 1),
    ]  # fmt: skip
    return Answer("".join(row(key, value) for key, value in rows))


def firmware_of(state: dict[str, Any], npu: Npu) -> str | None:
    """Firmware version that the device reports; None when it cannot be read."""
    if "firmware" in npu["unreadable"]:
        return None
    return str(npu["firmware_version"] or state["firmware"]["version"])


def _chip_board(npu: Npu, state: dict[str, Any]) -> str:
    """N/npu_info_print_ch.c, print_ascend_chip_info; the identifiers are invented."""
    die = " ".join(f"{(0x1A2B3C00 + npu.id * 0x11 + part):08X}" for part in range(5))
    rows = [
        ("NPU ID", npu.id), ("Chip ID", 0), ("Chip Type", "Ascend"), ("Chip Name", npu.name), ("Chip Version", "V1"),
        ("Board ID", "0x33"), ("PCB ID", "NA"), ("BOM ID", 1), ("VDie ID", die), ("NDie ID", die),
        ("Chip Position ID", 0), ("PCIe Bus Info", npu.bus), ("Firmware Version", firmware_of(state, npu) or "NA"),
    ]  # fmt: skip
    return "".join(row(key, value) for key, value in rows)


def health(state: dict[str, Any], npu: Npu, chip: bool) -> Answer:
    """Health word; with -c also the codes (print_diagnosis_info)."""
    if not chip:
        foot = row("Chip ID", 0) + "\n" + row("Health", npu["mcu_health"]) + row("Chip Name", "MCU") + "\n"
        return Answer(_head(npu) + row("Health", npu["health"]) + foot)
    codes = npu["error_codes"]
    if not codes:
        return Answer(row("Health Status", npu["health"]) + row("Error Code", "NA") + row("Error Information", "NA"))
    numbers = [int(code["code"], 16) for code in codes]
    text = row("Health Status", npu["health"]) + row("Error Code", " ".join(f"{number:04X}" for number in numbers))
    text += f"\t{'Error Information':<30} :"
    for index, code in enumerate(codes):
        if code["text"] is None:  # neither TAB nor key, and no line of its own when it is the first
            text += f"Failed to get error information for error code : 0x{numbers[index]:04x}\n"
        else:
            text += f" {code['text']}\n" if index == 0 else f"\n\t{' ':<30} : {code['text']}\n"
    return Answer(text)


def ecc(state: dict[str, Any], npu: Npu, chip: bool) -> Answer:
    """Counters (show_hbm_ecc_info). Without record support: header only, or a refusal of the chip query; status 0."""
    counts = npu["ecc"]
    if not counts["supported"]:
        return Answer("This device does not support querying ecc.\n" if chip else _head(npu, ECC_WIDTH))
    older = state["dialect"]["records"] == "older"
    names = [
        ("Single Bit Error Count", "single"), ("Double Bit Error Count", "double"),
        ("Single Bit Aggregate Total Err Cnt", "single_total"), ("Double Bit Aggregate Total Err Cnt", "double_total"),
        ("Single Bit Isolated Pages Count", "single_isolated"), ("Double Bit Isolated Pages Count", "double_isolated"),
    ]  # fmt: skip
    lines = "".join(row(f"DDR {name}", 0, ECC_WIDTH) for name, _ in names) if older else ""
    if not older:
        names += [("Single Bit Next-Isolated Pages Count", "single_next"),
                  ("Double Bit Next-Isolated Pages Count", "double_next")]  # fmt: skip
    lines += "".join(row(f"HBM {name}", counts[key], ECC_WIDTH) for name, key in names)
    return _framed(npu, lines, chip, ECC_WIDTH)


def usages(state: dict[str, Any], npu: Npu, chip: bool) -> Answer:
    """Rates. DDR rows are 0 on a 910B (print_chip_usages_info)."""
    rows = [
        ("DDR Capacity(MB)", 0), ("DDR Usage Rate(%)", 0), ("DDR Hugepages Total(page)", 0),
        ("DDR Hugepages Usage Rate(%)", 0), ("HBM Capacity(MB)", npu.hbm_total), ("HBM Usage Rate(%)", npu.hbm_percent),
        ("Aicore Usage Rate(%)", npu.aicore), ("Aivector Usage Rate(%)", npu["aivector_percent"]),
        ("Aicpu Usage Rate(%)", npu["aicpu_percent"]), ("Ctrlcpu Usage Rate(%)", npu["ctrlcpu_percent"]),
        ("DDR Bandwidth Usage Rate(%)", 0), ("HBM Bandwidth Usage Rate(%)", npu["hbm_bandwidth_percent"]),
    ]  # fmt: skip
    if state["dialect"]["records"] == "current":
        rows += [("NPU Utilization(%)", npu.utilization), ("Aicube Usage Rate(%)", npu["aicube_percent"])]
    return _framed(npu, "".join(row(key, value) for key, value in rows), chip)


def memory(state: dict[str, Any], npu: Npu, chip: bool) -> Answer:
    """Capacity, clock and temperature of the HBM."""
    rows = [
        ("DDR Capacity(MB)", 0), ("DDR Clock Speed(MHz)", 0), ("HBM Capacity(MB)", npu.hbm_total),
        ("HBM Clock Speed(MHz)", 1600), ("HBM Temperature(C)", npu["hbm_temperature_c"]),
        ("HBM Manufacturer ID", "0xFF"),
    ]  # fmt: skip
    return _framed(npu, "".join(row(key, value) for key, value in rows), chip)


def power(state: dict[str, Any], npu: Npu, chip: bool) -> Answer:
    """Power, W."""
    return _framed(npu, row("NPU Real-time Power(W)", f"{npu.power:.1f}"), chip)


def temperature(state: dict[str, Any], npu: Npu, chip: bool) -> Answer:
    """Temperature (print_chip_temp_info, server board)."""
    return _framed(npu, row("NPU Temperature (C)", npu.temperature), chip)


def common(state: dict[str, Any], npu: Npu, chip: bool) -> Answer:
    """Two records, the chip and the board controller (print_card_common_info)."""
    rows = [
        ("Chip ID", 0), ("Memory Usage Rate(%)", 0), ("HBM Usage Rate(%)", npu.hbm_percent),
        ("Aicore Usage Rate(%)", npu.aicore), ("Aicore Freq(MHZ)", npu["frequency_mhz"]),
        ("Aicore curFreq(MHZ)", npu["current_frequency_mhz"]), ("Aicore Count", 20),
        ("Temperature(C)", npu.temperature), ("NPU Real-time Power(W)", f"{npu.power:.1f}"),
    ]  # fmt: skip
    controller = "\n" + row("Chip Name", "mcu") + row("Temperature(C)", npu["mcu_temperature_c"])
    body = "".join(row(key, value) for key, value in rows)
    return Answer(body.partition("\n")[2] if chip else _head(npu) + body + controller)


def process_memory(state: dict[str, Any], npu: Npu, chip: bool) -> Answer:
    """HBM per process (N/npu_chip_info.c, proc-mem)."""
    lines = ""
    for process in npu.processes:
        lines += "" if process.name else "\tGet pid name failed.\n"
        lines += f"\tProcess id:{process.pid:<7} Process name:{process.name:<17} Process memory(MB):{process.mib}\n"
    return _framed(npu, lines or "\tNo process in device.\n", chip)


def _head(npu: Npu, width: int = 30) -> str:
    return row("NPU ID", npu.id, width) + row("Chip Count", 1, width) + "\n"


def _framed(npu: Npu, lines: str, chip: bool, width: int = 30) -> Answer:
    return Answer(lines if chip else _head(npu, width) + lines + row("Chip ID", 0, width) + "\n")


RECORDS: dict[str, Callable[[dict[str, Any], Npu, bool], Answer]] = {
    "board": board, "health": health, "ecc": ecc, "usages": usages, "memory": memory, "power": power,
    "temp": temperature, "common": common, "proc-mem": process_memory,
}  # fmt: skip

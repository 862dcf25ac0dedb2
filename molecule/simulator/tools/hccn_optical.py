"""hccn_tool -optical -g and -optical -g v2 (H/hccn_tool/tool.c, H/hccn_product_ext/tool_optical.c)."""

from __future__ import annotations

import math

from .answer import Answer
from .light import Any

LANES = range(4)
DARK_MW = 0.0003  # a lane without light still reads noise
NA_KEYS = (
    "Vcc", "Tx Power", "Rx Power", "Vcc High Thres", "Vcc Low Thres", "Temp High Thres", "Temp Low Thres",
    "TxPower High Thres", "TxPower Low Thres", "RxPower High Thres", "RxPower Low Thres",
)  # fmt: skip


def optical(module: dict[str, Any], older: bool) -> Answer:
    """The plain form. Absent: status 0, read-outs NA, one power line without lane number."""
    present = module["present"]
    rows = [
        ("present", "present" if present else "not present"),
        ("temperature", f"{module['temperature_c']} C" if present else "not supported"),
        ("high power enable reg", "enabled" if present else "not enabled"),
        ("vendor name", module["vendor"]), ("vendor part number", module["part"]),
        ("vendor serial number", module["serial"]), ("vendor org unique id", "0x0 0x18 0x82"),
        ("xsfp identifier", "QSFP+ or later"), ("xsfp wave length", f"{module['wavelength_nm']} nm"),
        ("manufact date code", module["date"]),
    ]  # fmt: skip
    if not present:
        return _printed(rows + [(key, "NA") for key in NA_KEYS])
    rows.append(("Vcc", f"{module['vcc_mv']:.2f} mV"))
    for lane in LANES:
        rows.append((f"Tx Power{lane}", f"{module['tx_power_mw'][lane]:.4f} mW"))
        rows.append((f"Rx Power{lane}", f"{_received(module, lane):.4f} mW"))
    rows += [
        ("Vcc High Thres", "3465.00 mV"), ("Vcc Low Thres", "3135.00 mV"), ("Temp High Thres", "70 C"),
        ("Temp Low Thres", "0 C"), ("TxPower High Thres", "3.1623 mW"), ("TxPower Low Thres", "0.2512 mW"),
        ("RxPower High Thres", "3.1623 mW"), ("RxPower Low Thres", "0.1905 mW"),
    ]  # fmt: skip
    rows += [(f"Tx Bias{lane}", f"{module['tx_bias_ma'][lane]:.4f} mA") for lane in LANES]
    rows += [
        ("Tx Los Flag", f"0x{module['tx_los']:x}"), ("Rx Los Flag", f"0x{module['rx_los']:x}"),
        ("Tx LoL Flag", f"0x{module['tx_lol']:x}"), ("Rx LoL Flag", f"0x{module['rx_lol']:x}"),
    ]  # fmt: skip
    rows += [(f"{side} SNR Lane{lane}", "not supported") for side in ("Host", "Media") for lane in LANES]
    if not older:
        rows += [("Physical Code", "NA"), ("vendor rev", "NA"), ("Specification compliance", " ".join(["0x00"] * 8))]
    return _printed(rows)


def _printed(rows: list[tuple[str, Any]]) -> Answer:
    return Answer("optical info:\n" + "".join(f"{key:<21}: {value}\n" for key, value in rows))


def _received(module: dict[str, Any], lane: int) -> float:
    """Received power of a lane, mW."""
    return DARK_MW if module["rx_los"] >> lane & 1 else float(module["rx_power_mw"][lane])


def optical_v2(module: dict[str, Any]) -> Answer:
    """The second form: flags per lane in words, powers in dBm."""
    double, single = "=" * 92 + "\n", "-" * 92 + "\n"
    flags = [("TxFault", 0), ("RxLos", module["rx_los"]), ("TxLos", module["tx_los"]), ("TxLol", module["tx_lol"]),
             ("RxLol", module["rx_lol"])]  # fmt: skip
    text = f"{double}State-flag Diagnostic Monitoring:\n{single}Items            Status\n{single}"
    for name, mask in flags:
        cells = "| ".join(f"{'Abnormal' if mask >> lane & 1 else 'Normal':<10}" for lane in LANES)
        text += f"{f'{name} Flag':<17}{cells}\n"
    text += f"High power enable reg: {'enabled' if module['present'] else 'not enabled'}\n{single}{double}"
    text += f"Digital Diagnostic Monitoring:\n{single}"
    text += _cells("Items", "Value", ("HighAlarm", "HighWarn", "LowAlarm", "LowWarn"), "Status").rstrip() + "\n"
    text += _cells("Temperature(C)", f"{module['temperature_c']:.2f}", ("75.00", "70.00", "-5.00", "0.00"))
    text += _cells("Voltage(V)", f"{module['vcc_mv'] / 1000:.2f}", ("3.63", "3.46", "2.97", "3.13"))
    for lane in LANES:
        limits = ("13.00", "12.00", "3.00", "4.00")
        text += _cells(f"Bias lane{lane}(mA)", f"{module['tx_bias_ma'][lane]:.2f}", limits)
    for lane in LANES:
        limits = ("7.00", "5.00", "-10.20", "-7.20")
        text += _cells(f"RxPower Lane{lane}(dBm)", f"{_dbm(_received(module, lane)):.2f}", limits)
    for lane in LANES:
        limits = ("7.00", "5.00", "-9.00", "-6.00")
        text += _cells(f"TxPower Lane{lane}(dBm)", f"{_dbm(module['tx_power_mw'][lane]):.2f}", limits)
    for side in ("MediaSNR", "HostSNR"):
        for lane in LANES:
            text += _cells(f"{side} Lane{lane}(dB)", "-", ("-", "-", "-", "-"))
    return Answer(text)


def _dbm(milliwatts: float) -> float:
    return 10 * math.log10(max(milliwatts, 0.0001))


def _cells(name: str, value: str, limits: tuple[str, str, str, str], status: str = "-") -> str:
    return f"{name:<20}{value:<12}" + "".join(f"{limit:<12}" for limit in limits) + f"{status:<12}\n"

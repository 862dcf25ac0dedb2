"""lspci as far as the NPUs: plain, or `-d 19e5:d802` (d802 is the 910B family); form of public captures."""

from __future__ import annotations

from typing import Any

from .answer import Answer


def answer(arguments: list[str], state: dict[str, Any]) -> Answer:
    """The NPUs on the bus, by address. A lost NPU stays on the bus unless `pci` is false."""
    rest = list(arguments)
    if rest[:1] == ["-n"] or rest[:1] == ["-nn"] or rest[:1] == ["-D"]:
        return Answer("", f"simulated lspci: {rest[0]} is not simulated\n", 1)
    if rest and (rest[0] != "-d" or len(rest) != 2):
        return Answer("", "simulated lspci: only `lspci` and `lspci -d VENDOR:DEVICE` are simulated\n", 1)
    if rest and rest[1].lower() not in ("19e5:d802", "19e5:"):
        return Answer()
    buses = sorted(npu["bus_id"].lower().partition(":")[2] for npu in state["npus"] if npu["pci"])
    return Answer(
        "".join(f"{bus} Processing accelerators: Huawei Technologies Co., Ltd. Device d802 (rev 20)\n" for bus in buses)
    )

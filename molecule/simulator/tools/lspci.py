"""lspci as far as the NPUs: plain, by number (-n), `-d 19e5:d802` (d802 is the 910B family); forms of captures."""

from __future__ import annotations

from .answer import Answer
from .light import Any


def answer(arguments: list[str], state: dict[str, Any]) -> Answer:
    """The NPUs on the bus, by address. A lost NPU stays on the bus unless `pci` is false."""
    rest = list(arguments)
    numbers = rest[:1] == ["-n"]
    if numbers:
        rest = rest[1:]
    elif rest[:1] == ["-nn"] or rest[:1] == ["-D"]:
        return Answer("", f"simulated lspci: {rest[0]} is not simulated\n", 1)
    if rest and (rest[0] != "-d" or len(rest) != 2):
        return Answer("", "simulated lspci: only `lspci [-n] [-d VENDOR:DEVICE]` is simulated\n", 1)
    if rest and rest[1].lower() not in ("19e5:d802", "19e5:"):
        return Answer()
    words = "1200: 19e5:d802" if numbers else "Processing accelerators: Huawei Technologies Co., Ltd. Device d802"
    buses = sorted(npu["bus_id"].lower().partition(":")[2] for npu in state["npus"] if npu["pci"])
    return Answer("".join(f"{bus} {words} (rev 20)\n" for bus in buses))

"""`npu-smi info -t topo`, `-l` and `-m`: what the host has and how it hangs together."""

from __future__ import annotations

from .answer import Answer, row
from .light import Any
from .npu import Npu, lost_count

CELL = 11
NICS = 4


def topology(state: dict[str, Any], npus: list[Npu]) -> Answer:
    """The matrix. A lost device makes the whole query fail with -8001, status 191 (N/npu_info.c)."""
    if lost_count(state):
        return Answer('Failed to query "topo" info.\nFailed to execute npu-smi info. ret is -8001.\n', status=191)
    form = state["dialect"]["topology"]
    nic = form == "nic"
    ids = [npu.id for npu in npus]
    head = "".join(f"{f'NPU{number}':<{CELL}}" for number in ids)
    head += "".join(f"{f'NIC{index}':<12}" for index in range(NICS)) if nic else ""
    lines = [f"\t   {head}CPU Affinity\n"]
    for number in ids:
        cells = "".join(f"{_word(state, form, number, other):<{CELL}}" for other in ids)
        cells += f"{'NA':<{CELL}}" * NICS if nic else ""
        cpus = state["topology"]["cpus"]
        lines.append(f"{f'NPU{number}':<{CELL}}{cells}{cpus[number] if number < len(cpus) else ''}\n")
    if nic:
        for index in range(NICS):
            cells = f"{'NA':<{CELL}}" * len(ids)
            cells += "".join(f"{'X' if other == index else 'NA':<{CELL}}" for other in range(NICS))
            lines.append(f"{f'NIC{index}':<{CELL}}{cells}\n")
        lines.append("\n" + "".join(f"NIC{index}: \n" for index in range(NICS)))
    return Answer("".join(lines) + "\n" + LEGENDS[form])


def _word(state: dict[str, Any], form: str, first: int, second: int) -> str:
    if first == second:
        return "X"
    link: str = state["topology"]["link"]
    for pair in state["topology"]["pairs"]:
        if set(pair["npus"]) == {first, second}:
            link = pair["link"]
    if form == "xlink":
        # The 98-column build has another word for HCCS; npu-tool's table prints an unknown pair as an empty cell.
        return {"HCCS": "XLink", "NA": ""}.get(link, link)
    return link


def _legend(pix: str, pxb: str, last: str, gap: str = "\n") -> str:
    return (
        f"Legend:\n{gap}"
        "  X    = Self\n"
        "  SYS  = Path traversing PCIe and NUMA nodes. Nodes are connected through SMP, such as QPI, UPI.\n"
        "  PHB  = Path traversing PCIe and the PCIe host bridge of a CPU.\n"
        f"  PIX  = {pix}\n  PXB  = {pxb}\n{last}"
    )


# "multipul" is what drivers print; the newest default build has it corrected.
LEGENDS = {
    "hccs": _legend(
        "Path traversing a single PCIe switch", "Path traversing multipul PCIe switches",
        "  HCCS = Connection traversing HCCS.\n", gap="",
    ),
    "xlink": _legend(
        "Path traversing a single PCIe switch", "Path traversing multipul PCIe switches",
        "  XLink = Connection traversing XLink.\n  NA   = Unknown relationship.\n",
    ),
    "nic": _legend(
        "Path traversing a single PCIe switch.", "Path traversing multiple PCIe switches.",
        "  HCCS = Connection traversing HCCS.\n  NA   = Unknown relationship.\n",
    ),
}  # fmt: skip


def listing(state: dict[str, Any], npus: list[Npu]) -> Answer:
    """`info -l`: the total stays, a lost device is NPU ID -1 (D/dcmi_init, dcmi_init_board_info_exit_abnormally)."""
    text = row("Total Count", len(state["npus"])) + "\n"
    for identity, chips in [(-1, 0)] * lost_count(state) + [(npu.id, 1) for npu in npus]:
        text += row("NPU ID", identity) + row("Chip Count", chips) + "\n"
    return Answer(text)


def mapping(state: dict[str, Any], npus: list[Npu]) -> Answer:
    """`info -m` (N/npu_info_print.c, print_mapping_info)."""
    lines = [_cells("NPU ID", "Chip ID", "Chip Logic ID", f"{'Chip Name':<30}")]
    lines += [_cells(-1, 0, "-", f"{'Mcu':<30}") for _ in range(lost_count(state))]
    for npu in npus:
        lines.append(_cells(npu.id, 0, npu.id, f"Ascend {npu.name}"))
        lines.append(_cells(npu.id, 1, "-", f"{'Mcu':<30}"))
    return Answer("".join(lines))


def _cells(*cells: object) -> str:
    *front, last = cells
    return "\t" + "".join(f"{cell!s:<30} " for cell in front) + f"{last}\n"

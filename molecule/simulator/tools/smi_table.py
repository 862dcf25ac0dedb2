"""`npu-smi info`: the table, in the three forms that are public.

neutral: 98 columns, drivers 23.0.rc2 to 25.5.2 (N/npu_info_print_ch.c). default: 99 columns (N/npu_info_print.c).
wide: 116 columns, from one public capture of 26.0.rc1, which shows no process block; its block here is ours.
"""

from __future__ import annotations

from .answer import Answer
from .light import Any, NamedTuple
from .npu import Npu


class Form(NamedTuple):
    """Widths of one form: the third column, and the formats of its cells."""

    third: int  # characters between the last two bars
    heads: tuple[str, str]
    version: str
    first: str
    second: str
    process: int  # width of the process memory cell


FORMS = {
    "neutral": Form(
        52,
        (
            " Power(W)    Temp(C)           Hugepages-Usage(page)",
            " AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        ",
        ),
        "{tool:<24} Version: {driver:<52}",
        " {power:<11.1f} {temp:<17} {zero:<5}/ {zero:<13} ",
        " {aicore:<11} {zero:<5}/ {zero:<10} {used:<5}/ {total:<13} ",
        23,
    ),
    "default": Form(
        53,
        (
            " Power(W)    Temp(C)           Hugepages-Usage(page) ",
            " AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)         ",
        ),
        "{tool:<24} Version: {driver:<53}",
        " {power:<11.1f} {temp:<17} {zero:<6}/ {zero:<13} ",
        " {aicore:<11} {zero:<5}/ {zero:<10} {used:<6}/ {total:<13} ",
        24,
    ),
    "wide": Form(
        70,
        (
            " Power(W)             Temp(C)                 Hugepages-Usage(page)   ",
            " AICore(%)            Memory-Usage(MB)        HBM-Usage(MB)           ",
        ),
        "{tool:<35} Version: {driver:<59}",
        " {power:<20.1f} {temp:<23} {zero:<5}/ {zero:<17}",
        " {aicore:<20} {zero:<5}/ {zero:<16} {used:<5}/ {total:<17}",
        41,
    ),
}

WARNING = (
    "[WARNING]The driver package may not be completely installed, "
    "which may cause function abnormal. Please reinstall it.\n"
)


def overview(state: dict[str, Any], npus: list[Npu], tool_version: str) -> Answer:
    """The whole output. A lost device leaves no trace: D/dcmi_init/src/dcmi_init_for_server.c."""
    form = FORMS[state["dialect"]["table"]]
    double = f"+{'=' * 27}+{'=' * 15}+{'=' * form.third}+\n"
    single = double.replace("=", "-")
    full = f"+{'-' * (form.third + 44)}+\n"
    banner = form.version.format(tool=tool_version, driver=state["driver"]["version"])
    lines = [
        full,
        f"| npu-smi {banner} |\n",
        single,
        f"| {'NPU   Name':<26}| {'Health':<14}|{form.heads[0]}|\n",
        f"| {'Chip':<26}| {'Bus-Id':<14}|{form.heads[1]}|\n",
        double,
    ]
    for npu in npus:
        lines.extend(_device_rows(form, npu))
        lines.append(double)
    if state["dialect"]["processes"] == "shown":
        lines += [
            single,
            f"| {'NPU     Chip':<26}| {'Process id':<14}| {'Process name':<25}"
            f"| {'Process memory(MB)':<{form.process}} |\n",
            double,
        ]
        for npu in npus:
            lines.extend(_process_rows(form, npu))
            lines.append(double)
    if state["driver"]["install_status"] != "complete" or not state["files"]["install_info"]["present"]:
        lines.append(WARNING)  # N/npu_info_print.c, check_file
    return Answer("".join(lines))


def _device_rows(form: Form, npu: Npu) -> list[str]:
    cells = {
        "power": npu.power, "temp": npu.temperature, "aicore": npu.aicore, "zero": 0,
        "used": npu.hbm_used, "total": npu.hbm_total,
    }  # fmt: skip
    first = f"| {npu.id:<5} {npu.name:<20}| {npu['health']:<14}|{form.first.format(**cells)}|\n"
    second = f"| {0:<26}| {npu.bus:<14}|{form.second.format(**cells)}|\n"
    # A health number without a word drops the first row alone: print_card_total_info_with_HBM_first.
    return [second] if npu["health"] == "unnamed" else [first, second]


def _process_rows(form: Form, npu: Npu) -> list[str]:
    if not npu.processes:
        return [f"| {f'No running processes found in NPU {npu.id}':<{form.third + 42}} |\n"]
    return [
        f"| {npu.id:<7} {0:<18}| {process.pid:<14}| {process.name:<25}| {process.mib:<{form.process}} |\n"
        for process in npu.processes
    ]

"""npu-smi: the command line, and which answer belongs to it (N/npu_smi.c, npu_cmd_parse.c, npu_parameter_parse.c).

All text goes to stdout. Statuses are the low byte of the library's code: 187 = -8005, 191 = -8001, 211 unknown command,
215 bad parameter.
"""

from __future__ import annotations

from .answer import Answer
from .claims import Claim
from .light import Any, Iterable, Sequence
from .npu import Npu, usable
from .smi_records import RECORDS
from .smi_table import overview
from .smi_topology import listing, mapping, topology

INVALID = 215
TYPES = (
    "board", "flash", "memory", "usages", "sensors", "temp", "power", "volt", "mac-addr", "common", "health", "product",
    "ecc", "ip", "sys-time", "i2c_check", "work-mode", "ecc-enable", "p2p-enable", "ssh-enable", "license",
    "customized-info", "device-share", "device-share-cfg-recover", "nve-level", "aicpu-config", "pcie-err",
    "mcu-monitor", "err-count", "boot-area", "vnpu-mode", "info-vnpu", "vnpu-svm", "cpu-num-cfg",
    "first-power-on-date", "proc-mem", "phyid-remap", "vnpu-cfg-recover", "key-manage", "template-info", "pkcs-enable",
    "p2p-mem-cfg", "pwm-mode", "pwm-duty-ratio", "boot-select", "topo", "xlink", "sio-info", "spod-info",
    "tls-csr-get", "tls-cert", "tls-cert-period", "rootkey", "xlink-bw", "cpu-freq-up", "sys-log-info", "xlink-credit",
    "custom-op", "custom-op-cfg-recover", "custom-op-secverify-enable", "custom-op-secverify-mode", "op-timeout",
    "current-fault-event", "custom-op-secverify-cert", "multi-die-policy", "multi-die-policy-cfg-recover",
)  # fmt: skip


def answer(arguments: Sequence[str], state: dict[str, Any], claims: Iterable[Claim] = ()) -> Answer:
    """What `npu-smi ARGUMENTS` prints on a host in this state."""
    if not arguments:
        return Answer(_main_help(), status=INVALID)
    command, *rest = arguments
    if command not in ("info", "-v", "-h", "--help", "set", "upgrade", "clear"):
        return Answer("Command or option is not found.\n" + _main_help(), status=211)
    npus = usable(state, claims)
    if not npus:  # every command starts the driver library first, -v and -h too: N/npu_smi.c, npu_main
        return Answer("dcmi module initialize failed. ret is -8005\n", status=187)
    tool_version = state["driver"]["tool_version"] or state["driver"]["version"]
    if command == "-v":
        return Answer(f"npu-smi version: {tool_version}\n")
    if command in ("-h", "--help"):
        return Answer(_main_help())
    if command != "info":
        return Answer(f"simulated npu-smi: {command} changes devices, which is not simulated\n", status=INVALID)
    if not rest:
        return overview(state, npus, tool_version)
    return _info(rest, state, npus)


def _info(arguments: list[str], state: dict[str, Any], npus: list[Npu]) -> Answer:
    help_text = _info_help("xlink" if state["dialect"]["table"] == "neutral" else "hccs")
    if arguments in (["-h"], ["--help"]):
        return Answer(help_text)
    if arguments == ["-l"]:
        return listing(state, npus)
    if arguments == ["-m"]:
        return mapping(state, npus)
    options, problem = _options(arguments, state, npus)
    if problem:
        refused = problem.startswith("This device does not support")
        return Answer(problem, status=0) if refused else Answer(problem + help_text, status=INVALID)
    kind, card, chip = options["-t"], options.get("-i"), "-c" in options
    if kind == "topo":
        return topology(state, npus)
    if kind not in RECORDS:  # on a 910B -t product is refused: D/dcmi_basic_info_intf.c, dcmi_get_product_type
        return Answer(f"This device does not support querying {kind}.\n")
    if card is None:
        return Answer(f"\nThis command must input card id.\n\n{help_text}", status=INVALID)
    npu = next(npu for npu in npus if npu.id == int(card))
    return RECORDS[kind](state, npu, chip)


def _options(arguments: list[str], state: dict[str, Any], npus: list[Npu]) -> tuple[dict[str, str], str]:
    """The options by name, or the text of the first mistake (npu_cmd_parse.c: options come in pairs, in any order)."""
    options: dict[str, str] = {}
    for index in range(0, len(arguments), 2):
        name = arguments[index]
        value = arguments[index + 1] if index + 1 < len(arguments) else ""
        if name in options or name not in ("-t", "-i", "-c"):
            return {}, f"Error parameter of {name}\n"
        if name == "-t" and value.replace("hccs", "xlink") not in TYPES:
            return {}, "Error parameter of -t\n"
        if name == "-i" and not any(value == str(npu.id) for npu in npus):
            return {}, "Invalid card id.\nError parameter of -i\n"
        if name == "-c" and value != "0":
            return {}, "Invalid chip id.\nError parameter of -c\n"
        options[name] = value
    if "-t" not in options:
        return {}, "\nInput parameter format error.\n"
    return options, ""


def _main_help() -> str:
    return (
        "Usage: npu-smi <Command|-h|-v> [Options...]\n\nnpu-smi Command:\n"
        "\t-h            Show this help text and exit\n\t-v            Show npu-smi version\n"
        "\tinfo          Show information of npu\n"
    )


def _info_help(words: str) -> str:
    lines = []
    for types in _TYPE_LINES:
        text = types.replace("xlink", words)
        lines.append(f"{' ' * 22}{text}\n")
    return (
        "Usage: npu-smi info <watch|proc|-h|-m|-l|-t type> [Options...]\n\nCommands:\n"
        "       watch          Show all device's status in scrolling format\n"
        "       proc           Show device's matrix process status in scrolling format\n"
        "       -h, --help     Show this help text and exit\n"
        "       -m             Show all device's mapping information\n"
        "       -l             Show all device's topology information\n"
        "       -t type        Show information for type\n" + "".join(lines) + "\nOptions:\n"
        "       -i %d          Card ID\n       -c %d          Chip ID\n       -p %d          Chip Physical ID\n"
    )


def _wrapped() -> list[str]:
    """The types in the lines of the tool's help: so many a line, the next line further in."""
    counts = (9, 8, 6, 5, 6, 5, 5, 7, 6, 3, 3, 3)
    lines, start = [], 0
    for index, count in enumerate(counts):
        part = ", ".join(TYPES[start : start + count])
        start += count
        lines.append(("type: " if index == 0 else " " * 6) + part + ("." if start >= len(TYPES) else ","))
    return lines


_TYPE_LINES = _wrapped()

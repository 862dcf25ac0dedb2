"""The `npu-smi info` queries that print numbers: usages, memory, common, power, ecc, proc-mem.

Not every board answers each of them, and what "not supported" looks like differs (a sentence, or zeros for ecc).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import EccCounts, NpuProcess, Unknown
from mindie_deploy.hosts.npu_smi import refusal
from mindie_deploy.hosts.text import excerpt, lines_of, records, whole

PROCESS = re.compile(r"Process id:\s*(\d{1,18})\s+Process name:(.*?)\s*Process memory\(MB\):\s*(\d{1,18})\b", re.ASCII)
NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True)
class Counters:
    """The numbers of one NPU by chip and by the tool's own words ("HBM Usage Rate(%)"), its controller's apart.

    The controller ("mcu") prints some of the same words, with other values: a plain mapping of keys would mix them.
    """

    npu: int
    chips: dict[int, dict[str, float]]
    controller: dict[str, float]


def counters(answer: Answer, what: str, npu: int | None = None) -> Counters | Unknown:
    """Reads an answer of `-t usages`, `memory`, `common`, `power` or `ecc`. `what` is the query, for messages.

    Values that are no numbers are left out: a missing word is not zero.
    """
    if problem := refusal(answer, what):
        return problem
    head, *groups = _groups(answer.stdout) or [[]]
    own = whole(dict(head).get("NPU ID", ""))
    if own is None or (npu is not None and own != npu):
        return Unknown(f"{what}: no record of the NPU: {excerpt(answer.stdout) or 'it printed nothing'}")
    chips: dict[int, dict[str, float]] = {}
    controller: dict[str, float] = {}
    for group in groups:
        words = dict(group)
        numbers = {key: float(value) for key, value in group if key != "Chip ID" and NUMBER.fullmatch(value)}
        chip = whole(words.get("Chip ID", ""))
        is_controller = words.get("Chip Name", "").lower() == "mcu"
        if len(words) != len(group) or chip in chips or (chip is not None and is_controller):
            return Unknown(f"{what}: a value is printed twice, or two records have run together")
        if chip is not None:
            chips[chip] = numbers
        elif is_controller:
            controller = numbers
        else:
            return Unknown(f"{what}: a record without a chip: {excerpt(answer.stdout)}")
    if not chips:
        return Unknown(f"{what}: there is nothing but a heading")
    return Counters(own, chips, controller)


def ecc(answer: Answer, npu: int) -> EccCounts | Unknown:
    """Reads `npu-smi info -t ecc -i N`: the HBM rows of the NPU, its dies summed up.

    A driver without support prints zeros, which cannot be told from a healthy NPU; one without records prints the
    heading alone, which is Unknown.
    """
    what = "npu-smi info -t ecc"
    found = counters(answer, what, npu)
    if isinstance(found, Unknown):
        return found

    def total(word: str) -> int | None:
        values = [numbers[f"HBM {word}"] for numbers in found.chips.values() if f"HBM {word}" in numbers]
        return int(sum(values)) if values else None

    single, double = total("Single Bit Error Count"), total("Double Bit Error Count")
    if single is None or double is None:
        return Unknown(f"{what}: it shows no counts of the HBM")
    return EccCounts(
        single=single,
        double=double,
        single_isolated=total("Single Bit Isolated Pages Count"),
        double_isolated=total("Double Bit Isolated Pages Count"),
        double_next_isolated=total("Double Bit Next-Isolated Pages Count"),
    )


def processes(answer: Answer, npu: int) -> tuple[NpuProcess, ...] | Unknown:
    """Reads `npu-smi info -t proc-mem -i N`: the processes of an NPU, its chips in order of their records."""
    what = "npu-smi info -t proc-mem"
    if problem := refusal(answer, what):
        return problem
    if dict(records(answer.stdout)).get("NPU ID") != str(npu):
        return Unknown(f"{what}: no record of NPU {npu}: {excerpt(answer.stdout) or 'it printed nothing'}")
    found: list[NpuProcess] = []
    open_rows: list[tuple[int, str, int]] = []
    for line in lines_of(answer.stdout):
        if match := PROCESS.search(line):
            open_rows.append((int(match.group(1)), match.group(2).strip(), int(match.group(3))))
        elif match := re.match(r"\s*Chip ID\s*: ([0-9]{1,9})$", line):
            chip = int(match.group(1))
            found.extend(NpuProcess(npu, chip, pid, name, memory) for pid, name, memory in open_rows)
            open_rows = []
    if open_rows:
        return Unknown(f"{what}: the list of NPU {npu} is cut off")
    return tuple(found)


def _groups(text: str) -> list[list[tuple[str, str]]]:
    """Returns the records of an answer, which empty lines part."""
    groups: list[list[tuple[str, str]]] = [[]]
    for line in lines_of(text):
        if not line.strip():
            groups.append([])
        else:
            groups[-1].extend(records(line))
    return [group for group in groups if group]

"""`npu-smi info -t topo`: how every pair of NPUs of a host is linked.

Cells are eleven wide and may be blank (an unknown pair in some builds), so they are cut by width. The diagonal must be
X: a table that was shifted, by whatever means, is not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import Unknown
from mindie_deploy.hosts.npu_smi import refusal
from mindie_deploy.hosts.text import excerpt, lines_of

CELL_WIDTH = 11
LONGEST_NAME = len("NPU") + 5
UNKNOWN_PAIR = "NA"  # what the newer build prints; the older one leaves the cell blank
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
WHAT = "npu-smi info -t topo"


@dataclass(frozen=True)
class Topology:
    """The link word of every ordered pair of different NPUs, the NIC columns, and the CPUs near each NPU."""

    links: dict[tuple[int, int], str]
    nics: tuple[str, ...]
    cpu_affinity: dict[int, str]


def links(answer: Answer) -> dict[tuple[int, int], str] | Unknown:
    """Reads only the link words."""
    found = topology(answer)
    return found if isinstance(found, Unknown) else found.links


def topology(answer: Answer) -> Topology | Unknown:
    """Reads the matrix, or says why it is none."""
    if problem := refusal(answer, WHAT):
        return problem
    lines = lines_of(answer.stdout)
    start = next((i for i, line in enumerate(lines) if re.match(r"\s*NPU\d+\s+(NPU\d|NIC\d|CPU)", line)), None)
    if start is None:
        return Unknown(f"{WHAT}: no matrix: {excerpt(answer.stdout) or 'it printed nothing'}")
    names = re.findall(r"NPU\d+|NIC\d+", lines[start])
    if any(len(name) > LONGEST_NAME for name in names):
        return Unknown(f"{WHAT}: a heading of no known form: {excerpt(lines[start])}")
    npus = [name for name in names if name.startswith("NPU")]
    pairs: dict[tuple[int, int], str] = {}
    affinity: dict[int, str] = {}
    for line in lines[start + 1 :]:
        label = line.split()[0] if line.split() else ""
        if not re.fullmatch(r"NPU[0-9]{1,5}", label):
            continue
        cells = _cells(line, len(names), names.index(label) if label in names else -1)
        own = _number(label)
        if cells is None or own in affinity:
            return Unknown(f"{WHAT}: a row of no known form: {excerpt(line)}")
        affinity[own] = cells.pop()
        for name, cell in zip(names, cells, strict=True):
            if name.startswith("NPU") and name != label:
                pairs[(own, _number(name))] = cell or UNKNOWN_PAIR
    missing = [name for name in npus if _number(name) not in affinity]
    if missing or len(set(npus)) != len(npus):
        return Unknown(f"{WHAT}: the matrix has no row for {', '.join(missing) or 'each column'}")
    return Topology(pairs, tuple(name for name in names if name.startswith("NIC")), affinity)


def _cells(line: str, count: int, own: int) -> list[str] | None:
    """Returns the cells of a row and what follows them, cut by width, or by blanks where the width does not fit."""
    if own < 0:
        return None
    by_width = [line[CELL_WIDTH * i : CELL_WIDTH * (i + 1)].strip() for i in range(1, count + 1)]
    by_width.append(line[CELL_WIDTH * (count + 1) :].strip())
    words = line.split()
    by_blanks = [*words[1 : count + 1], " ".join(words[count + 1 :])] if len(words) > count else None
    for cells in (by_width, by_blanks):
        if cells and cells[own] == "X" and all(not cell or WORD.fullmatch(cell) for cell in cells[:count]):
            return cells
    return None


def _number(name: str) -> int:
    """Returns the number in NPU3."""
    return int(name[3:])

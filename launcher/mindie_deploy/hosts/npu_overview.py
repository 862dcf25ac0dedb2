"""`npu-smi info`: the table of all NPUs and of the processes on them.

The table has had at least six widths and three headings (22.x to 26.x, A2, A3, 910A, 310P, 950), so cells are split at
`|` and known by their form, never by their column. What is in the table but has no known form makes the whole table
unreadable: a row passed over would look like a lost device.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import Npu, NpuOverview, NpuProcess, Unknown, UnknownForm
from mindie_deploy.hosts.text import excerpt, lines_of, whole

HEALTH_WORDS = frozenset({"OK", "Warning", "Alarm", "Critical", "UNKNOWN"})  # npu_common.c; nothing else is printed
NOT_PRINTED = frozenset({"NA", "-", ""})
BANNER = re.compile(r"npu-smi\s+(\S+)\s+Version:\s*(\S+)")
BUS = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]{1,2}")
BORDER = re.compile(r"[+|][-=+|]+")
FIRST_CELL = re.compile(r"(\d{1,9})(?:\s+(\S.*))?", re.ASCII)
READINGS_1 = re.compile(r"(\S+)\s+(-?\d{1,9}|NA|-)\s+(\d{1,18})\s*/\s*(\d{1,18})", re.ASCII)
READINGS_2 = re.compile(r"(\S+)\s+(\d{1,18})\s*/\s*(\d{1,18})(?:\s+(\d{1,18})\s*/\s*(\d{1,18}))?", re.ASCII)
NO_PROCESSES = re.compile(r"No running processes found in NPU\s+(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class _FirstRow:
    id: int
    name: str
    health: str
    power_w: float | None
    temperature_c: int | None
    hugepages: tuple[int, int]


@dataclass
class _Table:
    """What was read so far, and what the headings promised."""

    tool_version: str = ""
    driver_version: str = ""
    has_physical_id: bool = False
    has_hbm: bool = False
    separate_name: bool = False  # Ascend 950: id and name in cells of their own, no chip number
    headed: bool = False
    first: _FirstRow | None = None
    npus: list[Npu] = field(default_factory=list)
    process_columns: tuple[str, ...] | None = None
    processes: list[NpuProcess] = field(default_factory=list)
    mentioned: set[int] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)


class _UnreadableError(Exception):
    """A row that the table cannot have."""


class _UnknownFormError(_UnreadableError):
    """A row, or a heading, of another layout than those that are known."""


def overview(answer: Answer) -> NpuOverview | Unknown:
    """Reads the answer of `npu-smi info`, or says why it is no table."""
    if answer.status != 0:
        return answer.failure("npu-smi info")
    if answer.truncated:
        return Unknown("npu-smi info printed more than was kept")
    return overview_of(answer.stdout)


def overview_of(text: str) -> NpuOverview | Unknown:
    """Reads the table from its text."""
    table = _Table()
    try:
        for line in lines_of(text):
            _take(table, line.strip())
        if table.first is not None:
            raise _UnreadableError(f"the table ends in the middle of NPU {table.first.id}")
        if not table.headed or not table.npus:
            raise _UnreadableError(f"there is no table: {excerpt(text) or 'it printed nothing'}")
    except _UnknownFormError as problem:
        return UnknownForm(f"npu-smi info: {problem}")
    except _UnreadableError as problem:
        return Unknown(f"npu-smi info: {problem}")
    warnings = list(table.warnings)
    if table.process_columns is not None:
        silent = sorted({npu.id for npu in table.npus} - table.mentioned)
        if silent:
            warnings.append(f"the process block says nothing about NPU {', '.join(map(str, silent))}")
    return NpuOverview(
        tool_version=table.tool_version,
        driver_version=table.driver_version,
        npus=tuple(table.npus),
        processes=tuple(table.processes) if table.process_columns is not None else None,
        warnings=tuple(warnings),
    )


def _take(table: _Table, line: str) -> None:
    """Takes one line: a border, a heading, a row, or something that is none of these."""
    if not line or BORDER.fullmatch(line):
        return
    if not (line.startswith("|") and line.endswith("|") and len(line) > 1):
        if line.startswith("|"):
            raise _UnreadableError(f"a row is cut off: {excerpt(line)}")
        table.warnings.append(excerpt(line))
        return
    cells = [cell.strip() for cell in line[1:-1].split("|")]
    if len(cells) == 1:
        _take_single_cell(table, cells[0])
    elif cells[0].startswith(("NPU", "Chip")) or "Bus-Id" in cells:
        _take_heading(table, cells)
    elif not table.headed:
        raise _UnreadableError(f"a row before any heading: {excerpt(line)}")
    elif table.process_columns is not None:
        _take_process(table, cells, line)
    else:
        _take_row(table, cells, line)


def _take_single_cell(table: _Table, cell: str) -> None:
    """Takes the banner, or the line that says that an NPU has no process."""
    if match := BANNER.fullmatch(cell):
        if table.tool_version:
            raise _UnreadableError("two tables in one answer")
        table.tool_version, table.driver_version = match.group(1), match.group(2)
    elif match := NO_PROCESSES.fullmatch(cell):
        table.mentioned.add(int(match.group(1)))
    else:
        table.warnings.append(excerpt(cell))


def _take_heading(table: _Table, cells: list[str]) -> None:
    """Learns from a heading which columns there are."""
    if "Health" in cells:
        table.separate_name = cells[0] == "NPU ID"
    elif "Bus-Id" in cells:
        table.headed = True
        table.has_physical_id = cells[0].endswith(("Phy-ID", "Device"))
        table.has_hbm = "HBM-Usage" in cells[-1]
    elif "Process id" in cells:
        if table.first is not None:
            raise _UnreadableError(f"NPU {table.first.id} has no second row")
        table.process_columns = tuple(cells)
    else:
        raise _UnknownFormError(f"a heading of no known form: {' | '.join(cells)}")


def _take_row(table: _Table, cells: list[str], line: str) -> None:
    """Takes one of the two rows of a chip."""
    if table.separate_name and len(cells) == 4:
        cells = [f"{cells[0]} {cells[1]}".strip(), cells[2], cells[3]]
    if len(cells) != 3:
        raise _UnknownFormError(f"a row of {len(cells)} cells, of no known form: {excerpt(line)}")
    first = _first_row(cells)
    if first is not None:
        if table.first is not None:
            raise _UnreadableError(f"NPU {table.first.id} has no second row")
        table.first = first
        return
    if table.first is None:
        # A health number without a word drops the first row, and with it the id (npu_info_print.c).
        if _second_row(table, cells, _FirstRow(-1, "", "UNKNOWN", None, None, (0, 0))) is None:
            raise _UnknownFormError(f"a row of no known form: {excerpt(line)}")
        table.warnings.append(f"the chip at {cells[1]} has no first row: npu-smi has no word for its health")
        return
    npu = _second_row(table, cells, table.first)
    if npu is None:
        raise _UnknownFormError(f"a row of no known form: {excerpt(line)}")
    if any((npu.id, npu.chip) == (other.id, other.chip) for other in table.npus):
        raise _UnreadableError(f"NPU {npu.id} chip {npu.chip} appears twice")
    table.npus.append(npu)
    table.first = None


def _first_row(cells: list[str]) -> _FirstRow | None:
    """Reads `NPU Name | Health | Power Temp HugeUsed / HugeTotal`."""
    head = FIRST_CELL.fullmatch(cells[0])
    readings = READINGS_1.fullmatch(cells[2])
    if head is None or readings is None or cells[1] not in HEALTH_WORDS:
        return None
    power = _decimal(readings.group(1))
    temperature = readings.group(2)
    if power is None and readings.group(1) not in NOT_PRINTED:
        return None
    return _FirstRow(
        id=int(head.group(1)),
        name=head.group(2) or "",
        health=cells[1],
        power_w=power or None,
        temperature_c=None if temperature in NOT_PRINTED else int(temperature) or None,
        hugepages=(int(readings.group(3)), int(readings.group(4))),
    )


def _second_row(table: _Table, cells: list[str], first: _FirstRow) -> Npu | None:
    """Reads `Chip [Phy] | Bus-Id | AICore MemUsed / MemTotal [HbmUsed / HbmTotal]`."""
    numbers = [whole(word) for word in cells[0].split()]
    wanted = 0 if table.separate_name else 2 if table.has_physical_id else 1
    readings = READINGS_2.fullmatch(cells[2])
    bus = cells[1]
    if len(numbers) != wanted or None in numbers or readings is None or not (BUS.fullmatch(bus) or bus in NOT_PRINTED):
        return None
    if table.has_hbm != (readings.group(4) is not None):
        return None
    aicore, (memory_used, memory_total) = readings.group(1), (int(readings.group(2)), int(readings.group(3)))
    if whole(aicore) is None and aicore not in NOT_PRINTED:
        return None
    hbm_total = int(readings.group(5)) if table.has_hbm else 0
    return Npu(
        id=first.id,
        chip=(numbers[0] or 0) if numbers else 0,
        name=first.name,
        health=first.health,
        physical_id=numbers[1] if table.has_physical_id else None,
        bus_id=None if bus in NOT_PRINTED or set(bus) <= set("0:.") else bus,
        power_w=first.power_w,
        temperature_c=first.temperature_c,
        aicore_percent=whole(aicore),
        hbm_used_mib=int(readings.group(4)) if hbm_total else None,
        hbm_total_mib=hbm_total or None,
        hugepages_used=first.hugepages[0],
        hugepages_total=first.hugepages[1],
        memory_used_mib=memory_used,
        memory_total_mib=memory_total,
    )


def _take_process(table: _Table, cells: list[str], line: str) -> None:
    """Takes a row of the process block, whose columns the heading names (some builds add the pid in the container)."""
    columns = table.process_columns or ()
    if len(cells) != len(columns):
        raise _UnknownFormError(f"a process row of {len(cells)} cells, of no known form: {excerpt(line)}")
    by_name = dict(zip(columns, cells, strict=True))
    place = [whole(word) for word in cells[0].split()]
    pid = whole(by_name["Process id"])
    memory = whole(by_name.get("Process memory(MB)", ""))
    if len(place) not in (1, 2) or place[0] is None or place[-1] is None or pid is None or memory is None:
        raise _UnknownFormError(f"a process row of no known form: {excerpt(line)}")
    chip = place[1] if len(place) == 2 else 0
    name = by_name.get("Process name", "")
    table.mentioned.add(place[0])
    table.processes.append(NpuProcess(npu=place[0], chip=chip or 0, pid=pid, name=name, memory_mib=memory))


def _decimal(text: str) -> float | None:
    """Returns a decimal number of plain digits, or None."""
    return float(text) if re.fullmatch(r"\d{1,6}(?:\.\d{1,6})?", text, re.ASCII) else None

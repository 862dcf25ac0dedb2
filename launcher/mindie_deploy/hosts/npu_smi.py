"""The `npu-smi info` queries whose answers are `key : value` records: board, health, list, map, version.

All text of npu-smi is on standard output, errors too, and status 0 does not mean that there is data
(`This device does not support querying X.` ends with 0).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import NpuBoard, Unknown
from mindie_deploy.hosts.npu_overview import HEALTH_WORDS
from mindie_deploy.hosts.text import clean, excerpt, lines_of, records, whole

UNSUPPORTED = re.compile(r"This device does not support querying \S+?\.")
FAILED = re.compile(r"Failed to (?:query|execute)[^\n]*")
NO_EXPLANATION = re.compile(r"Failed to get error information for error code : (0x[0-9A-Fa-f]+)")
ERROR_CODE = re.compile(r"[0-9A-Fa-f]{4,8}")
COMPATIBILITY_WORDS = frozenset({"OK", "NOK", "UNKNOWN", "NOT SUPPORT"})
VERSION_TEXT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")


@dataclass(frozen=True)
class Health:
    """`-t health -i N -c 0`: the word, the codes, their explanations and the codes that the tool cannot explain."""

    word: str
    codes: tuple[str, ...]
    explanations: tuple[str, ...]
    unexplained: tuple[str, ...]


@dataclass(frozen=True)
class MapRow:
    """One row of `npu-smi info -m`. The management controller's rows have no logic id; a lost card has id -1."""

    npu: int
    chip: int
    logic_id: int | None
    physical_id: int | None
    name: str


def refusal(answer: Answer, what: str) -> Unknown | None:
    """Returns why an answer carries no data, by its text first and its status second."""
    text = clean(answer.stdout)
    if answer.truncated:
        return Unknown(f"{what} printed more than was kept")
    if match := UNSUPPORTED.search(text) or FAILED.search(NO_EXPLANATION.sub("", text)):
        return Unknown(f"{what}: {match.group(0)}")
    if answer.status != 0:
        return answer.failure(what)
    return None


def board(answer: Answer, npu: int | None = None) -> NpuBoard | Unknown:
    """Reads `npu-smi info -t board -i N`. `npu` is the one that was asked for."""
    what = f"npu-smi info -t board -i {'N' if npu is None else npu}"
    if problem := refusal(answer, what):
        return problem
    pairs = records(answer.stdout)
    found = dict(pairs)
    if len(found) != len(pairs) or "NPU ID" not in found or "Software Version" not in found:
        return Unknown(f"{what}: no board record: {excerpt(answer.stdout) or 'it printed nothing'}")
    if whole(found["NPU ID"]) is None or (npu is not None and whole(found["NPU ID"]) != npu):
        return Unknown(f"{what}: the answer is about NPU {found['NPU ID']}")
    compatibility = found.get("Compatibility")
    return NpuBoard(
        driver_version=_version(found["Software Version"]),
        firmware_version=_version(found.get("Firmware Version", "")),
        compatibility=compatibility if compatibility in COMPATIBILITY_WORDS else None,
        pci_device_id=_given(found.get("PCI Device ID")),
        product_name=_given(found.get("Product Name")),
        serial_number=_given(found.get("Serial Number")),
        subsystem_id=_given(found.get("Subsystem Device ID")),
    )


def health(answer: Answer) -> Health | Unknown:
    """Reads `npu-smi info -t health -i N -c 0`."""
    what = "npu-smi info -t health"
    if problem := refusal(answer, what):
        return problem
    pairs = records(NO_EXPLANATION.sub("", clean(answer.stdout)))
    words = [value for key, value in pairs if key == "Health Status"]
    code_rows = [value for key, value in pairs if key == "Error Code"]
    if len(words) != 1 or words[0] not in HEALTH_WORDS or len(code_rows) != 1:
        return Unknown(f"{what}: no health record: {excerpt(answer.stdout) or 'it printed nothing'}")
    codes = () if code_rows[0] in ("", "NA") else tuple(code_rows[0].split())
    if not all(ERROR_CODE.fullmatch(code) for code in codes):
        return Unknown(f"{what}: these are no error codes: {excerpt(code_rows[0])}")
    explanations = [value for key, value in pairs if key in ("Error Information", "") and value not in ("", "NA")]
    unexplained = tuple(match.group(1) for match in NO_EXPLANATION.finditer(clean(answer.stdout)))
    return Health(words[0], codes, tuple(explanations), unexplained)


def error_codes(answer: Answer) -> tuple[str, ...] | Unknown:
    """Reads only the error codes of `npu-smi info -t health -i N -c 0`."""
    found = health(answer)
    return found if isinstance(found, Unknown) else found.codes


def card_health(answer: Answer) -> dict[str, str] | Unknown:
    """Reads `npu-smi info -t health -i N` without a chip: the health word of each chip id, and of "MCU"."""
    what = "npu-smi info -t health"
    if problem := refusal(answer, what):
        return problem
    found: dict[str, str] = {}
    word = None
    for key, value in records(answer.stdout):
        if key == "Health":
            word = value
        elif key in ("Chip ID", "Chip Name") and word is not None:
            found[value] = word
            word = None
    if not found or not set(found.values()) <= HEALTH_WORDS:
        return Unknown(f"{what}: no health record: {excerpt(answer.stdout) or 'it printed nothing'}")
    return found


def listed(answer: Answer) -> tuple[int, dict[int, int]] | Unknown:
    """Reads `npu-smi info -l`: the total it claims, and the chip count of each NPU id. A lost card has id -1."""
    what = "npu-smi info -l"
    if problem := refusal(answer, what):
        return problem
    pairs = records(answer.stdout)
    totals = [value for key, value in pairs if key in ("Total Count", "Card Count")]
    ids = [value for key, value in pairs if key == "NPU ID"]
    counts = [value for key, value in pairs if key == "Chip Count"]
    numbers = [_signed(word) for word in (*totals, *ids, *counts)]
    if len(totals) != 1 or len(ids) != len(counts) or None in numbers:
        return Unknown(f"{what}: no list: {excerpt(answer.stdout) or 'it printed nothing'}")
    return int(totals[0]), {int(key): int(value) for key, value in zip(ids, counts, strict=True)}


def mapping(answer: Answer) -> tuple[MapRow, ...] | Unknown:
    """Reads `npu-smi info -m`. Columns are told apart by two blanks or more; Phy-ID is missing in older versions."""
    what = "npu-smi info -m"
    if problem := refusal(answer, what):
        return problem
    lines = [line for line in lines_of(answer.stdout) if line.strip()]
    columns = re.split(r"\s{2,}", lines[0].strip()) if lines else []
    if columns[:2] != ["NPU ID", "Chip ID"] or columns[-1] != "Chip Name":
        return Unknown(f"{what}: no map: {excerpt(answer.stdout) or 'it printed nothing'}")
    rows = []
    for line in lines[1:]:
        cells = dict(zip(columns, re.split(r"\s{2,}", line.strip()), strict=False))
        npu, chip = _signed(cells.get("NPU ID", "")), _signed(cells.get("Chip ID", ""))
        if npu is None or chip is None or "Chip Name" not in cells:
            return Unknown(f"{what}: a row of no known form: {excerpt(line)}")
        logic, physical = cells.get("Chip Logic ID", ""), cells.get("Chip Phy-ID", "")
        rows.append(MapRow(npu, chip, whole(logic), whole(physical), cells["Chip Name"]))
    return tuple(rows)


def tool_version(answer: Answer) -> str | Unknown:
    """Reads `npu-smi -v`."""
    if problem := refusal(answer, "npu-smi -v"):
        return problem
    match = re.search(r"npu-smi version: (\S+)", clean(answer.stdout))
    return match.group(1) if match else Unknown(f"npu-smi -v: no version: {excerpt(answer.stdout)}")


def query_types(text: str) -> tuple[str, ...]:
    """Reads the words after `type:` from the help of `npu-smi info -h`: what `-t` takes in this version."""
    match = re.search(r"type:((?:[^\n]*,[ \t]*\n)*[^\n]*)", clean(text))
    words = match.group(1).replace("\n", " ").split(",") if match else []
    return tuple(word.strip(" .") for word in words if word.strip(" ."))


def _signed(text: str) -> int | None:
    """Returns a whole number that may be negative, or None."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


def _given(text: str | None) -> str | None:
    """Returns a value, or None where the tool prints that it has none."""
    return None if text in (None, "", "NA", "-") else text


def _version(text: str) -> str | None:
    """Returns a version, or None for anything that does not look like one."""
    return text if text != "NA" and VERSION_TEXT.fullmatch(text) else None

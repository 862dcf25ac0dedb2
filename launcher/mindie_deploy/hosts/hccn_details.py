"""hccn_tool: the answers that explain a fault further: optics, counters, link history, neighbour, routes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import LinkHistory, Optics, Reading, Unknown
from mindie_deploy.hosts.hccn_tool import Trouble, only, trouble, unreadable
from mindie_deploy.hosts.text import clean, is_ipv4, lines_of, records, whole

DEVICE_PREFIX = re.compile(r"^\s*\[(?:devid|device) (\d+)\]", re.ASCII)
RECORD = re.compile(r"\s*(\S.*?\d{4})\s+LINK (UP|DOWN)", re.ASCII)
TIME = re.compile(
    r"\S+ (?P<month>[A-Z][a-z]{2}) (?P<day>\d{1,2}) (?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})"
    r" (?P<year>\d{4})",
    re.ASCII,
)
# The device prints English names; strptime and strftime know those of the controller's locale, which Ansible sets.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
YEARS = range(1970, 2100)  # a clock outside of them was never set, and leaves room to add and subtract


@dataclass(frozen=True)
class Vnic:
    """`-vnic -g`: the in-chassis interface; it matters on A3 only."""

    link_up: bool
    address: str | None
    netmask: str | None


@dataclass(frozen=True)
class Routes:
    """`-route -g`: the default gateway, its interface inside the device, and the number of rows."""

    gateway: str | None
    interface: str | None
    count: int


def link_history(answer: Answer) -> Reading[LinkHistory]:
    """Reads `-link_stat -g`. "NA" for no record is an answer."""
    lines = [DEVICE_PREFIX.sub("", line) for line in lines_of(answer.stdout)]
    pairs = records("\n".join(lines))
    counts = {key: whole(value) for key, value in pairs if key.startswith("link ")}
    now = next((value for key, value in pairs if key == "current time"), None)
    up = counts.get("link up count")
    if up is None or "link change records" not in counts or len(_devices(answer)) != 1:
        return unreadable(answer, "-link_stat")
    found = [match for line in lines if (match := RECORD.fullmatch(line))]
    changes = tuple((match.group(1), match.group(2)) for match in found)
    return LinkHistory(up, counts.get("link down count"), changes, now)


def device_time(text: str | None) -> datetime | None:
    """Returns a time as the device prints it ("Wed Aug  2 03:09:26 2022"; its own clock, no zone), or None."""
    found = TIME.fullmatch(" ".join((text or "").split()))
    if not found or found["month"] not in MONTHS or int(found["year"]) not in YEARS:
        return None
    day, hour, minute, second = (int(found[name]) for name in ("day", "hour", "minute", "second"))
    try:
        return datetime(int(found["year"]), MONTHS.index(found["month"]) + 1, day, hour, minute, second)
    except ValueError:
        return None


def counters(answer: Answer) -> Reading[dict[str, int]]:
    """Reads `-stat -g` (packet statistics) or `-hw_stats -g`: every `word:number` line."""
    found: dict[str, int] = {}
    for line in lines_of(answer.stdout):
        key, colon, value = DEVICE_PREFIX.sub("", line).partition(":")
        number = whole(value.strip())
        if colon and number is not None and re.fullmatch(r"[a-z0-9_]+", key.strip()):
            if key.strip() in found:
                return Unknown("hccn_tool -stat: a counter is printed twice")
            found[key.strip()] = number
    return found or unreadable(answer, "-stat")


def optics(answer: Answer) -> Reading[Optics]:
    """Reads `-optical -g` in its first form, or in the second (`-optical -g v2`)."""
    text = clean(answer.stdout)
    if "Diagnostic Monitoring" in text:
        return _optics_second_form(answer)
    pairs = records(text)
    found = dict(pairs)
    if "present" not in found or len(found) != len(pairs):
        return unreadable(answer, "-optical")
    presence = {"present": True, "not present": False}.get(found["present"])
    rx, tx = (_lanes([found.get(f"{side} Power{lane}") for lane in range(8)], " mW") for side in ("Rx", "Tx"))
    return Optics(
        present=presence,
        temperature_c=_measured(found.get("temperature"), " C"),
        rx_power=rx,
        tx_power=tx,
        unit="mW" if rx or tx else None,
        rx_los=_flag(found.get("Rx Los Flag")),
        tx_los=_flag(found.get("Tx Los Flag")),
        rx_power_low=_measured(found.get("RxPower Low Thres"), " mW"),
        rx_power_high=_measured(found.get("RxPower High Thres"), " mW"),
        tx_power_low=_measured(found.get("TxPower Low Thres"), " mW"),
        tx_power_high=_measured(found.get("TxPower High Thres"), " mW"),
        temperature_high_c=_measured(found.get("Temp High Thres"), " C"),
    )


def neighbour_port(answer: Answer) -> Reading[str | None]:
    """Reads the switch port of `-lldp -g`; None where the switch sends no LLDP (one empty line, status 0)."""
    name = only(r"Ifname:[ \t]*(\S+)", answer)
    if name is not None:
        return name
    if answer.status == 0 and not clean(answer.text).strip():
        return None
    return unreadable(answer, "-lldp")


def neighbour_switch(answer: Answer) -> Reading[str | None]:
    """Reads the switch's own address (Chassis ID) of `-lldp -g`; None where it is not sent in that form."""
    port = neighbour_port(answer)
    if isinstance(port, Unknown):
        return port
    return only(r"MAC:[ \t]*((?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2})", answer)


def neighbour_frame_size(answer: Answer) -> int | None:
    """Reads the largest frame that the switch announces in `-lldp -g`, in bytes, or None."""
    match = re.search(r"^Maximum Frame Size TLV\n[ \t]*(\d{1,6})[ \t]*$", clean(answer.stdout), re.MULTILINE | re.ASCII)
    return int(match.group(1)) if match else None


def vnic(answer: Answer) -> Reading[Vnic]:
    """Reads `-vnic -g`."""
    word = only(r"vnic link status:[ \t]*(UP|DOWN)", answer)
    if word is None:
        return unreadable(answer, "-vnic")
    values = [only(rf"vnic {key}:[ \t]*(\S+)", answer) for key in ("ipaddr", "netmask")]
    address, netmask = (value if value and is_ipv4(value) else None for value in values)
    return Vnic(word == "UP", address, netmask)


def routes(answer: Answer) -> Reading[Routes]:
    """Reads `-route -g`. A table with only its heading has no route."""
    lines = [line for line in lines_of(answer.stdout) if line.strip()]
    if not lines or lines[0].strip() != "Routing table:":
        return unreadable(answer, "-route")
    rows = [line.split() for line in lines[2:]]
    if any(len(row) != 8 for row in rows):
        return Unknown("hccn_tool -route: a row of no known form")
    default = next((row for row in rows if row[0] == "default"), None)
    return Routes(default[1] if default else None, default[7] if default else None, len(rows))


def communication_process(answer: Answer) -> Reading[bool]:
    """Reads `-process -g`: whether the communication process of the device runs."""
    word = only(r"device hccp process:[ \t]*(exist|not exist)", answer)
    return unreadable(answer, "-process") if word is None else word == "exist"


def configuration_status(answer: Answer) -> Reading[str | None]:
    """Reads `-cfg status`: whether /etc/hccn.conf was applied after a reset (NONE, START, FAIL, SUCCESS).

    None where the tool does not know the question.
    """
    word = only(r"config status:[ \t]*(NONE|START|FAIL|SUCCESS)", answer)
    if word is None and trouble(answer) in (Trouble.USAGE, Trouble.UNSUPPORTED):
        return None
    return unreadable(answer, "-cfg") if word is None else word


def fec_mode(answer: Answer) -> Reading[str]:
    """Reads `-fec -g`."""
    word = only(r"fec mode:[ \t]*([A-Za-z][A-Za-z0-9 -]*?)", answer)
    return unreadable(answer, "-fec") if word is None else word


def _optics_second_form(answer: Answer) -> Reading[Optics]:
    """Reads the tables of `-optical -g v2`: power in dBm, flags as a word per lane."""
    flags: dict[str, tuple[str, ...]] = {}
    values: dict[str, str] = {}
    for line in lines_of(answer.stdout):
        if match := re.fullmatch(
            r"(\w+) Flag\s+((?:Normal|Abnormal|-)(?:\s*\|\s*(?:Normal|Abnormal|-))*)", line.strip()
        ):
            flags[match.group(1)] = tuple(word.strip() for word in match.group(2).split("|"))
        elif match := re.match(r"(\w+(?: [Ll]ane\d)?)\((\S+?)\)\s+(\S+)", line.strip()):
            values[match.group(1)] = match.group(3)
    if "RxLos" not in flags:
        return unreadable(answer, "-optical")
    rx, tx = (_lanes([values.get(f"{side}Power Lane{lane}") for lane in range(8)], "") for side in ("Rx", "Tx"))
    return Optics(
        present=None,
        temperature_c=_measured(values.get("Temperature"), ""),
        rx_power=rx,
        tx_power=tx,
        unit="dBm" if rx or tx else None,
        rx_los=flags["RxLos"],
        tx_los=flags.get("TxLos"),
    )


def _devices(answer: Answer) -> set[str]:
    """Returns the devices that prefixes of lines name."""
    return {match.group(1) for line in lines_of(answer.stdout) if (match := DEVICE_PREFIX.match(line))}


def _measured(text: str | None, unit: str) -> float | None:
    """Returns the number before a unit, or None for a value that is not one ("NA", "not supported")."""
    if text is None or not text.endswith(unit):
        return None
    number = text.removesuffix(unit)
    return float(number) if re.fullmatch(r"-?\d{1,6}(?:\.\d{1,6})?", number, re.ASCII) else None


def _lanes(texts: list[str | None], unit: str) -> tuple[float, ...] | None:
    """Returns the values of the lanes that are printed, None where there is none or one cannot be read."""
    printed = [text for text in texts if text is not None]
    numbers = tuple(number for text in printed if (number := _measured(text, unit)) is not None)
    return numbers if numbers and len(numbers) == len(printed) else None


def _flag(text: str | None) -> tuple[str, ...] | None:
    """Returns a flag register as it is printed (0x0), or None."""
    return (text,) if text and re.fullmatch(r"0x[0-9A-Fa-f]+", text) else None

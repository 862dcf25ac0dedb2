"""What the NPUs' RoCE ports went through: light, lost links, and the switch at the other end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from math import inf

from mindie_deploy.hosts.facts import HostFacts, LinkHistory, Optics, Reading, Unknown
from mindie_deploy.hosts.hccn_details import device_time
from mindie_deploy.preflight.checks.hccn import LINK, SOURCE
from mindie_deploy.preflight.context import Context, known_hccn
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check

BRING_UP = timedelta(minutes=10)  # a link goes up and down a few times when the device starts
SENDS = "the optical module of an NPU's port sends too little light"
TOO_MUCH = "the light at an NPU's port is too strong"
HOT = "the optical module of an NPU's port is too hot"
LONGEST_ZONE = timedelta(hours=15)  # the device prints no time zone, hosts live between UTC-12 and UTC+14


@check(
    "hccn.optical",
    title="the optical module of an NPU's port receives too little light",
    severity="warn",
    command="hccn_tool -i N -optical -g",
    needs=("hccn.optics",),
    caused_by=(*LINK, "hccn.speed-200g"),
    unknown="info",
    why="A weak module loses packets under load, or the link at the worst moment. Boards with copper cables tell "
    "nothing here.",
    remedy="Clean or reseat the fibre and the module; exchange them with those of a good port and see what moves "
    "along; replace the bad one.",
    source=f"{SOURCE}; the limits are those that the module prints itself",
)
def optical(host: HostFacts, context: Context) -> Iterator[Problem]:
    for index, optics in known_hccn(host, context, "optics").items():
        title, says = _optical_fault(optics)
        if says:
            yield Problem(host.name, says, index, title=title)


def _optical_fault(optics: Optics) -> tuple[str | None, str]:
    """Returns the gravest fault of a module with its title (None: the check's own); no text where there is none."""
    if lost := _flagged(optics.rx_los):
        return None, f"Rx loss of signal: {lost}"
    if lost := _flagged(optics.tx_los):
        return SENDS, f"Tx loss of signal: {lost}"
    rx, tx = optics.rx_power or (), optics.tx_power or ()
    rx_high, tx_high = _upper(optics.rx_power_high), _upper(optics.tx_power_high)
    if rx and optics.rx_power_low is not None and min(rx) < optics.rx_power_low:
        return None, f"received power {min(rx):g} {optics.unit}, the module's limit is {optics.rx_power_low:g}"
    if tx and optics.tx_power_low is not None and min(tx) < optics.tx_power_low:
        return SENDS, f"sent power {min(tx):g} {optics.unit}, the module's limit is {optics.tx_power_low:g}"
    if rx and max(rx) > rx_high:
        return TOO_MUCH, f"received power {max(rx):g} {optics.unit}, the module's limit is {rx_high:g}"
    if tx and max(tx) > tx_high:
        return TOO_MUCH, f"sent power {max(tx):g} {optics.unit}, the module's limit is {tx_high:g}"
    if optics.temperature_c is not None and optics.temperature_c > _upper(optics.temperature_high_c):
        says = f"{optics.temperature_c:g} degrees Celsius, the module's limit is {optics.temperature_high_c:g}"
        return HOT, says
    return None, ""


def _upper(limit: float | None) -> float:
    """Returns an upper limit; modules that were never given one print 0."""
    return limit if limit else inf


def _flagged(flags: tuple[str, ...] | None) -> str:
    """Returns the lost-signal flags as they are printed if one of them is set, else nothing."""
    lost = [flag for flag in flags or () if flag == "Abnormal" or (flag.startswith("0x") and int(flag, 16))]
    return " ".join(flags or ()) if lost else ""


def no_light(optics: Reading[Optics]) -> str:
    """Returns what the optical module tells about a link that is down: not there, or dark; nothing where it is well."""
    if isinstance(optics, Unknown):
        return ""
    if optics.present is False and optics.rx_power is None:
        return "hccn_tool sees no optical module"
    lost = _flagged(optics.rx_los)
    return f"no light arrives (Rx loss of signal: {lost})" if lost else ""


@check(
    "hccn.link-flap",
    title="the RoCE link of an NPU was lost not long ago",
    severity="warn",
    command="hccn_tool -i N -link_stat -g",
    needs=("hccn.link_history",),
    caused_by=LINK,
    unknown="info",
    why="A link that comes and goes ends a running deployment: HCCL does not connect again.",
    remedy="Look for a bad cable, module or switch port (hccn_tool -i N -optical -g, -lldp -g), and at the switch's "
    "log for the times named. What counts: mindie_hccn_link_down_hours, mindie_hccn_link_downs_limit.",
    source=SOURCE,
)
def link_flap(host: HostFacts, context: Context) -> Iterator[Problem]:
    within = timedelta(hours=context.settings.hccn_link_down_hours)
    for index, history in known_hccn(host, context, "link_history").items():
        lost = _lost(history, within)
        if len(lost) > context.settings.hccn_link_downs_limit:
            times = "once" if len(lost) == 1 else f"{len(lost)} times"
            yield Problem(host.name, f"DOWN {times} within {within.total_seconds() / 3600:g} h, last {lost[0]}", index)


def _lost(history: LinkHistory, within: timedelta) -> list[str]:
    """Returns when the link was lost, newest first, by the device's clock; without the bring-up after its start."""
    now = device_time(history.now)
    if now is None:
        return []
    moments = [(text, device_time(text), state) for text, state in history.records]
    known = [moment for _, moment, _ in moments if moment is not None]
    # The oldest record is the first link after the device's start, if none was dropped from the list.
    whole = history.up_count <= sum(state == "UP" for _, _, state in moments)
    settled = min(known) + BRING_UP if known and whole else datetime.min
    return [
        text
        for text, moment, state in moments
        if state == "DOWN" and moment is not None and moment > settled and timedelta(0) <= now - moment <= within
    ]


@check(
    "hccn.lldp-rail",
    title="NPUs of one rail are on different switches",
    severity="info",
    scope="cluster",
    command="hccn_tool -i N -lldp -g",
    needs=("hccn.neighbour_switch", "hccn.neighbour_port"),
    caused_by=LINK,
    unknown="info",
    why="Where each rail (the same NPU index of all hosts) has a switch of its own, one port on another switch is a "
    "cable in the wrong socket. In other fabrics it means nothing. A switch port that two NPUs name is split, or "
    "something between them passes LLDP on.",
    remedy="Compare the cabling with the plan; nothing to do if it is wanted.",
    source="practice",
)
def lldp_rail(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    for index in context.npus:
        switches: dict[str, list[str]] = {}
        for name, host in hosts.items():
            switch = known_hccn(host, context, "neighbour_switch").get(index)
            if switch:
                switches.setdefault(switch.lower(), []).append(name)
        rest = sorted(switches.items(), key=lambda one: -len(one[1]))[1:]
        if len(switches) == 2 and len(rest[0][1]) == 1 and sum(map(len, switches.values())) > 2:
            yield Problem(rest[0][1][0], f"switch {rest[0][0]}, the others of this rail are on another", index)
    for (switch, port), places in _neighbours(hosts, context).items():
        for name, index in places if len(places) > 1 else ():
            told = " and ".join(f"{other} NPU {npu}" for other, npu in places)
            says = f"{port} of switch {switch} is the neighbour of {told}"
            yield Problem(name, says, index, title="NPUs name the same switch port as their neighbour")


def _neighbours(hosts: Mapping[str, HostFacts], context: Context) -> dict[tuple[str, str], list[tuple[str, int]]]:
    """Returns the NPUs at each port of each switch, where LLDP names both."""
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for name, host in hosts.items():
        ports = known_hccn(host, context, "neighbour_port")
        for index, switch in known_hccn(host, context, "neighbour_switch").items():
            if switch and ports.get(index):
                found.setdefault((switch.lower(), ports[index]), []).append((name, index))
    return found


@check(
    "hccn.clock",
    title="the clock of an NPU is wrong",
    severity="info",
    command="hccn_tool -i N -link_stat -g",
    needs=("hccn.link_history",),
    caused_by=LINK,
    unknown="info",
    why="Times in the device's logs cannot be compared with the host's. Nothing depends on it but the reading of logs.",
    remedy="It is set by the driver when the device starts; a reset or reboot puts it right.",
    source=SOURCE,
)
def clock(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.collected_at, Unknown):
        return
    own = datetime.fromtimestamp(host.collected_at, UTC).replace(tzinfo=None)
    for index, history in known_hccn(host, context, "link_history").items():
        now = device_time(history.now)
        if now is not None and abs(now - own) > LONGEST_ZONE:
            yield Problem(host.name, f"{history.now}, the host's own clock says {own:%Y-%m-%d %H:%M:%S} UTC", index)


@check(
    "hccn.cfg",
    title="/etc/hccn.conf was not applied to an NPU",
    severity="warn",
    command="hccn_tool -i N -cfg status",
    needs=("hccn.configuration_status",),
    caused_by=(*LINK, "hccn.ip-present", "hccn.conf-present", "hccn.conf-live"),
    unknown="info",
    why="After a reset the driver sets each port up as the file says. Where that failed, the port may lack a part of "
    "it that nobody looks at: routes, ARP entries, priorities.",
    remedy="Compare the file with hccn_tool -i N -ip -g, -gateway -g, -route -g and -arp -g; then, while nothing runs: "
    "hccn_tool -i N -cfg recovery.",
    source=SOURCE,
)
def configuration_applied(host: HostFacts, context: Context) -> Iterator[Problem]:
    for index, status in known_hccn(host, context, "configuration_status").items():
        if status == "FAIL":
            yield Problem(host.name, "config status:FAIL", index)
        elif status == "START":
            title = "/etc/hccn.conf is being applied to an NPU just now"
            remedy = "Wait a minute and check again. If it stays so, reset the NPU or reboot the host."
            yield Problem(host.name, "config status:START", index, title=title, remedy=remedy)

"""What the NPUs' RoCE ports went through: light, lost links, errors, and the switch at the other end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from mindie_deploy.hosts.facts import HostFacts, LinkHistory, Optics, Unknown
from mindie_deploy.hosts.hccn_details import device_time
from mindie_deploy.preflight.checks.hccn import LINK, SOURCE
from mindie_deploy.preflight.context import Context, known_hccn
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check

BRING_UP = timedelta(minutes=10)  # a link goes up and down a few times when the device starts
LONGEST_ZONE = timedelta(hours=15)  # the device prints no time zone, hosts live between UTC-12 and UTC+14
ERROR_WORDS = ("err", "bad", "fcs", "discard", "drop")


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
        for says in _optical_faults(optics):
            yield Problem(host.name, says, index)


def _optical_faults(optics: Optics) -> Iterator[str]:
    for side, flags in (("Rx", optics.rx_los), ("Tx", optics.tx_los)):
        lost = [flag for flag in flags or () if flag == "Abnormal" or (flag.startswith("0x") and int(flag, 16))]
        if lost:
            yield f"{side} loss of signal: {' '.join(flags or ())}"
            return
    low = optics.rx_power_low
    if low is not None and optics.rx_power and min(optics.rx_power) < low:
        yield f"received power {min(optics.rx_power):g} {optics.unit}, the module's limit is {low:g}"


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
    "log for the times named. How far back it counts: mindie_hccn_link_down_hours.",
    source=SOURCE,
)
def link_flap(host: HostFacts, context: Context) -> Iterator[Problem]:
    within = timedelta(hours=context.settings.hccn_link_down_hours)
    for index, history in known_hccn(host, context, "link_history").items():
        lost = _lost(history, within)
        if lost:
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
    "hccn.error-counters",
    title="errors of an NPU's port are growing",
    severity="warn",
    command="hccn_tool -i N -stat -g, twice",
    needs=("hccn.counters", "hccn.counters_later"),
    caused_by=(*LINK, "hccn.speed-200g", "hccn.optical"),
    unknown="info",
    why="Packets with errors are sent again: the whole deployment waits for this port.",
    remedy="Clean or replace cable and optical module; check FEC and speed on both ends; watch the counters with "
    "hccn_tool -i N -stat -g.",
    source=SOURCE,
)
def error_counters(host: HostFacts, context: Context) -> Iterator[Problem]:
    later = known_hccn(host, context, "counters_later")
    for index, before in known_hccn(host, context, "counters").items():
        grown = {
            name: later[index][name] - value
            for name, value in before.items()
            if any(word in name for word in ERROR_WORDS) and index in later and later[index].get(name, 0) > value
        }
        if grown:
            told = ", ".join(f"{name} +{difference}" for name, difference in sorted(grown.items()))
            yield Problem(host.name, f"{told} while the check ran", index)


@check(
    "hccn.lldp-rail",
    title="NPUs of one rail are on different switches",
    severity="info",
    scope="cluster",
    command="hccn_tool -i N -lldp -g",
    needs=("hccn.neighbour_switch",),
    caused_by=LINK,
    unknown="info",
    why="Where each rail (the same NPU index of all hosts) has a switch of its own, one port on another switch is a "
    "cable in the wrong socket. In other fabrics it means nothing.",
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
            yield Problem(host.name, f"{history.now}, the host's own clock says {own:%a %b %d %H:%M:%S %Y} UTC", index)

"""The ways between NPUs of different hosts, tried with pings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import HostFacts, Unknown
from mindie_deploy.preflight.checks.hccn import net_health_failed
from mindie_deploy.preflight.context import Context, known_hccn
from mindie_deploy.preflight.finding import Problem, Severity
from mindie_deploy.preflight.ping_causes import Cause, causes
from mindie_deploy.preflight.ping_matrix import Pair, Place, pairs_of
from mindie_deploy.preflight.registry import check

Hosts = Mapping[str, HostFacts]
NET_HEALTH = "hccn.net-health"
# What is wrong and what to do, by the kind of the cause.
LOST: Mapping[str, tuple[str, str]] = {
    "everything": (
        "no NPU reaches an NPU of another host",
        "Look at what all ports have in common: the switches between the hosts, the VLAN, the netmasks "
        "(hccn_tool -i N -ip -g), the gateways (hccn_tool -i N -gateway -g).",
    ),
    "host": (
        "no NPU of a host reaches other hosts or is reached",
        "Look at what the ports of this host have in common: its addresses, netmasks and gateways (hccn_tool -i N "
        "-ip -g, -gateway -g), the VLAN of its switch ports, the uplink of its switch.",
    ),
    "between": (
        "no NPU of a host reaches an NPU of another",
        "Look at what lies between these two hosts: the link between their switches, routes (hccn_tool -i N "
        "-route -g), filters on the switches.",
    ),
    "across": (
        "NPUs of different rails do not reach one another",
        "If the rails are networks of their own by design, this is right: set mindie_check_pings to rails. Else set "
        "gateways (hccn_tool -i N -gateway -s gateway A) and let the switches route between the rails.",
    ),
    "rail": (
        "the NPUs of one rail do not reach one another",
        "Look at the switch of this rail (the same NPU index of all hosts): VLAN, port group, uplinks. With two hosts "
        "it may as well be the port of either NPU: hccn_tool -i N -lldp -g names the switch port.",
    ),
    "npu": (
        "an NPU does not reach other hosts or is not reached",
        "Look at this port: is it cabled to the switch of another rail (hccn_tool -i N -lldp -g names the switch "
        "port)? The VLAN there, address and gateway (-ip -g, -gateway -g), the ARP table (-arp -g).",
    ),
    "pair": (
        "an NPU does not reach another",
        "Look at the way between the two: routes (hccn_tool -i N -route -g), the ARP table (-arp -g), filters on the "
        "switches.",
    ),
}
LOSS_TITLE = "packets between NPUs are lost"
LOSS_REMEDY = (
    "Repeat by hand: hccn_tool -i N -ping -g address A. Look for a bad cable or module (hccn_tool -i N -optical -g, "
    "-stat -g) and a congested or wrongly configured switch port (PFC, ECN)."
)
MOST_PAIRS = 3


@check(
    "hccn.cross-ping-matrix",
    title="NPUs do not reach one another",
    severity="block",
    scope="cluster",
    command="hccn_tool -i N -ping -g address A",
    caused_by=(
        "hccn.tool-present",
        "hccn.tool-responds",
        "hccn.link-up",
        "hccn.ip-present",
        "hccn.ip-unique",
        "hccn.subnet",
        NET_HEALTH,
    ),
    unknown="warn",
    why="Every rank talks to others over this network. Where one pair cannot, HCCL waits until it times out and then "
    "names a rank that may be innocent. A ping proves that packets arrive; it shows neither MTU nor TLS nor bandwidth.",
    remedy=LOST["pair"][1],
    source="MindIE's four-host guide (ping of all addresses of the rank table); hccn_tool's public source",
)
def cross_ping(hosts: Hosts, context: Context) -> Iterator[Problem]:
    """Names the widest cause: everything, a host, a rail, an NPU, a pair. Lost packets come after lost pings."""
    explained = set(_ill(hosts, context))
    pairs = [pair for pair in pairs_of(hosts) if explained.isdisjoint((pair.source, pair.target))]
    for cause in causes(pairs, lambda pair: pair.lost_all):
        title, remedy = LOST[cause.kind]
        yield from _problems(cause, title, remedy, "warn" if cause.kind == "across" else None)
    for cause in causes([pair for pair in pairs if not pair.lost_all], lambda pair: pair.lost_some):
        # Any network may lose a packet once: a single ping is no proof.
        yield from _problems(cause, LOSS_TITLE, LOSS_REMEDY, "warn" if cause.kind == "pair" else None)
    for pair in pairs:
        if not pair.is_known:
            yield Problem(pair.source[0], pair.reason, pair.source[1], kind="unknown")
    for name, host in hosts.items():
        if isinstance(host.reach, Unknown):
            yield Problem(name, host.reach.reason, kind="unknown")


def _ill(hosts: Hosts, context: Context) -> Iterator[Place]:
    """Yields NPUs whose net health already says that their network is broken: their pings, and those of others to
    them, need no finding of their own. Where that check does not block, they do."""
    if NET_HEALTH in (*context.settings.checks_skip, *context.settings.checks_warn):
        return
    for name, host in hosts.items():
        for npu, word in known_hccn(host, context, "net_health").items():
            if net_health_failed(word):
                yield name, npu


def _problems(cause: Cause, title: str, remedy: str, severity: Severity | None) -> Iterator[Problem]:
    says = _says(cause)
    for host, npu in cause.places:
        yield Problem(host, says, npu, severity=severity, title=title, remedy=remedy)


def _says(cause: Cause) -> str:
    told = "; ".join(_pair_text(pair) for pair in cause.pairs[:MOST_PAIRS])
    if len(cause.pairs) == 1:
        return told
    sent = sum(pair.sent or 0 for pair in cause.pairs)
    received = sum(pair.received or 0 for pair in cause.pairs)
    more = f"; and {len(cause.pairs) - MOST_PAIRS} more" if len(cause.pairs) > MOST_PAIRS else ""
    return f"{len(cause.pairs)} pings lost {_share(sent, received)} of their packets: {told}{more}"


def _pair_text(pair: Pair) -> str:
    source, target = (f"{host} NPU {npu}" for host, npu in (pair.source, pair.target))
    return f"{source} to {target} ({pair.address}) lost {_share(pair.sent or 0, pair.received or 0)}"


def _share(sent: int, received: int) -> str:
    return f"{100 * (sent - received) / max(sent, 1):.0f} %"

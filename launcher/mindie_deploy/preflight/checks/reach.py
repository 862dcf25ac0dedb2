"""The ways between the hosts: pings from NPU to NPU, and TCP ports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import HostFacts, PortProbe, ReachFacts, Unknown
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem, places_text
from mindie_deploy.preflight.ping_matrix import Cause, Pair, causes, pairs_of
from mindie_deploy.preflight.registry import check

Hosts = Mapping[str, HostFacts]
TITLES = {
    "everything": "no NPU reaches an NPU of another host",
    "host": "no NPU of a host reaches other hosts or is reached",
    "rail": "the NPUs of one rail do not reach one another",
    "npu": "an NPU does not reach other hosts or is not reached",
    "pair": "an NPU does not reach another",
}
REMEDIES = {
    "everything": "Look at what all ports have in common: the switches between the hosts, the VLAN, the gateways "
    "(hccn_tool -i N -gateway -g), the netmasks.",
    "host": "Look at what the host's ports have in common: the VLAN of its switch ports, its gateways and netmasks "
    "(hccn_tool -i N -gateway -g, -ip -g), its uplink.",
    "rail": "Look at the switch of this rail (the same NPU index of all hosts): VLAN, uplinks, port group.",
    "npu": "Look at this port: is it cabled to the switch of another rail (hccn_tool -i N -lldp -g)? VLAN of its "
    "switch port, address and gateway (-ip -g, -gateway -g), ARP table (-arp -g).",
    "pair": "Look at the way between the two: routes (hccn_tool -i N -route -g), ARP (-arp -g), filters on "
    "the switches.",
}
LOSS_TITLE = "packets between NPUs are lost"
LOSS_REMEDY = (
    "Look for a bad cable or module (hccn_tool -i N -optical -g, -stat -g) and a congested or wrongly configured "
    "switch port (PFC, ECN, MTU); ping again by hand: hccn_tool -i N -ping -g address A."
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
        "hccn.net-health",
    ),
    unknown="warn",
    why="Every rank talks to others over this network. Where one pair cannot, HCCL waits for 20 minutes and then names "
    "a rank that may be innocent. A ping proves that packets arrive, not the bandwidth.",
    remedy=REMEDIES["pair"],
    source="MindIE's four-host guide (ping of all addresses of the rank table); hccn_tool's public source",
)
def cross_ping(hosts: Hosts, context: Context) -> Iterator[Problem]:
    """Names the widest cause: everything, a host, a rail, an NPU, a pair. Lost packets come after lost pings."""
    pairs = pairs_of(hosts)
    for cause in causes(pairs, lambda pair: pair.lost_all):
        yield from _problems(cause, TITLES[cause.kind], REMEDIES[cause.kind])
    for cause in causes([pair for pair in pairs if not pair.lost_all], lambda pair: pair.lost_some):
        yield from _problems(cause, LOSS_TITLE, LOSS_REMEDY)
    for pair in pairs:
        if not pair.is_known:
            yield Problem(pair.source[0], pair.reason, pair.source[1], kind="unknown")
    for name, host in hosts.items():
        if isinstance(host.reach, Unknown):
            yield Problem(name, host.reach.reason, kind="unknown")


def _problems(cause: Cause, title: str, remedy: str) -> Iterator[Problem]:
    says = _says(cause)
    for host, npu in cause.places:
        yield Problem(host, says, npu, title=title, remedy=remedy)


def _says(cause: Cause) -> str:
    if cause.kind == "pair":
        return _pair_text(cause.pairs[0])
    sent = sum(pair.sent or 0 for pair in cause.pairs)
    received = sum(pair.received or 0 for pair in cause.pairs)
    told = "; ".join(_pair_text(pair) for pair in cause.pairs[:MOST_PAIRS])
    more = f"; and {len(cause.pairs) - MOST_PAIRS} more" if len(cause.pairs) > MOST_PAIRS else ""
    return f"{received} of {sent} packets of {len(cause.pairs)} pings arrived: {told}{more}"


def _pair_text(pair: Pair) -> str:
    source, target = (f"{host} NPU {npu}" for host, npu in (pair.source, pair.target))
    return f"{source} to {target} ({pair.address}): {pair.received} of {pair.sent}"


@check(
    "ports.reachable",
    title="a port of a host cannot be reached from others",
    severity="block",
    scope="cluster",
    command="a TCP connection to a listener made for the check",
    unknown="info",
    why="Followers register with the leader over TCP and give up after 120 s; the leader waits for ever. Weights "
    "travel between hosts the same way.",
    remedy="Open the port on the host named: firewall-cmd --add-port PORT/tcp (and --permanent), ufw allow PORT/tcp, "
    "or the site's nft rules; look for filters between the hosts. Elsewhere, ip route get ADDRESS shows the way.",
    source="MindIE's FAQ (a firewall on the leader: followers do not register)",
)
def ports_reachable(hosts: Hosts, context: Context) -> Iterator[Problem]:
    """One statement for each port of each host; where only some hosts fail, they are named."""
    asked: dict[tuple[str, int], dict[str, PortProbe]] = {}
    for name, host in hosts.items():
        for probe in host.reach.ports if isinstance(host.reach, ReachFacts) else ():
            if probe.peer in hosts:
                asked.setdefault((probe.peer, probe.port), {})[name] = probe
    for (peer, port), probes in asked.items():
        here = hosts[peer].reach
        refused = here.not_listening.get(port) if isinstance(here, ReachFacts) else None
        if refused is not None:
            yield Problem(peer, f"no listener could be made on port {port}: {refused}", kind="unknown")
            continue
        failed: dict[str, list[str]] = {}
        for name, probe in probes.items():
            if isinstance(probe.outcome, Unknown):
                yield Problem(name, f"{peer}, port {port}: {probe.outcome.reason}", kind="unknown")
            elif probe.outcome != "answered":
                failed.setdefault(_outcome_text(probe), []).append(name)
        if failed:
            first = next(iter(probes.values()))
            told = "; ".join(f"from {places_text(dict.fromkeys(names, ()))}: {says}" for says, names in failed.items())
            good = [name for name in probes if not any(name in names for names in failed.values())]
            others = f"; {', '.join(good)} can" if good else ""
            yield Problem(peer, f"port {port} ({first.setting}) at {first.address} {told}{others}")


def _outcome_text(probe: PortProbe) -> str:
    words = {
        "refused": "refused, though a listener was started there",
        "silent": probe.says or "no answer",
        "no-route": probe.says or "no way there",
        "stranger": "something else answered there, not the listener",
    }
    return words.get(str(probe.outcome), str(probe.outcome))

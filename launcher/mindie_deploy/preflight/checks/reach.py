"""TCP between the hosts: the ports that one needs on another, and the way there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from mindie_deploy.hosts.facts import HostFacts, PortProbe, ReachFacts, Unknown
from mindie_deploy.hosts.hccl_ports import hccl_ports
from mindie_deploy.hosts.targets import HCCL
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem, places_text
from mindie_deploy.preflight.registry import check
from mindie_deploy.preflight.way_causes import Cause, Way, way_causes

Hosts = Mapping[str, HostFacts]
Probes = dict[Way, list[PortProbe]]
COMMAND = "a TCP connection to a listener made for the check"
NO_ANSWER = ("silent", "no-route")
LISTENER_UNKNOWN = "whether our listener was there is not known: that host gave no answer when it was to ask others"
OPEN = (
    "Open the port on the host named: firewall-cmd --permanent --add-port PORT/tcp and firewall-cmd --reload, ufw "
    "allow PORT/tcp, or the site's own rules (nft list ruleset shows them)."
)
MOST_WAYS = 3


@check(
    "net.host-route",
    title="a host does not answer others at its address",
    severity="block",
    scope="cluster",
    command=COMMAND,
    unknown="info",
    why="Followers register with the leader over TCP and give up after 120 tries; the leader waits for ever.",
    remedy="On the host that asks: ip route get ADDRESS, ping -c 3 ADDRESS. On the other: is a firewall closed to all "
    "but SSH (firewall-cmd --list-all, ufw status, nft list ruleset)? If the hosts reach one another by other "
    "addresses than those of the inventory, set mindie_host_address.",
    source="MindIE's FAQ (a follower does not reach the leader); practice",
)
def host_route(hosts: Hosts, context: Context) -> Iterator[Problem]:
    """Names hosts that nobody reaches, hosts that reach nobody, and what is left."""
    probes = _probes(hosts)
    for cause in _lost_ways(hosts, probes):
        says = _says(cause, probes)
        for place in cause.hosts:
            yield Problem(place, says)


@check(
    "ports.reachable",
    title="a port of a host cannot be reached from others",
    severity="block",
    scope="cluster",
    command=COMMAND,
    caused_by=("net.host-route",),
    unknown="info",
    why="Followers register with the leader over TCP and give up after 120 tries; the leader waits for ever. Weights "
    "travel between hosts the same way.",
    remedy=f"{OPEN} If it is open there, look for filters between the hosts.",
    source="MindIE's FAQ (a firewall on the leader: followers do not register)",
)
def ports_reachable(hosts: Hosts, context: Context) -> Iterator[Problem]:
    """One statement for each port of each host, and for each host that does not reach the other at all."""
    every = _probes(hosts)
    blamed = {way: place for cause in _lost_ways(hosts, every) for way, place in cause.blamed()}
    probes = {way: [one for one in mine if one.setting != HCCL] for way, mine in every.items()}
    for peer, host in hosts.items():
        to_peer = {way[0]: mine for way, mine in probes.items() if way[1] == peer}
        for port in dict.fromkeys(probe.port for mine in to_peer.values() for probe in mine):
            if _no_listener(host, port) is not None:
                continue
            asked = {name: probe for name, mine in to_peer.items() for probe in mine if probe.port == port}
            good = [name for name, probe in asked.items() if probe.outcome == "answered"]
            failed: dict[str, dict[str, PortProbe]] = {}
            for name, probe in asked.items():
                if _is_failed(probe):
                    failed.setdefault(blamed.get((name, peer), peer), {})[name] = probe
            for place, some in failed.items():
                yield _problem(place, peer, some, good)
    hccl = hccl_ports(context.settings)
    yield from _not_known(hosts, probes, lambda port: hccl is None or port not in hccl.ports)


@check(
    "ports.hccl-reachable",
    title="hosts do not reach one another at HCCL's ports",
    severity="warn",
    scope="cluster",
    command=COMMAND,
    caused_by=("net.host-route",),
    unknown="info",
    why="Where HCCL gathers the ranks by itself, each host connects to these ports of others (from 60000 on, or as "
    "mindie_environment says); a closed one makes the ranks wait until HCCL_CONNECT_TIMEOUT (EI0006). With a rank "
    "table alone it may do without them. One port of each host was tried, from every other.",
    remedy="Open all ports of HCCL on the hosts named, for the others: firewall-cmd --permanent --add-port "
    "60000-60031/tcp and firewall-cmd --reload, ufw allow 60000:60031/tcp, or the site's own rules (nft list ruleset "
    "shows them). If they are open there, look for filters between the hosts.",
    source="HCCL user guide (HCCL_IF_BASE_PORT)",
)
def hccl_reachable(hosts: Hosts, context: Context) -> Iterator[Problem]:
    """Hosts that answer at no port at all are apart, at the places where their own finding is."""
    probes = _probes(hosts)
    hccl = {way: mine for way, all_of in probes.items() if (mine := [one for one in all_of if one.setting == HCCL])}
    known = {
        way: mine
        for way, mine in hccl.items()
        if _no_listener(hosts[way[1]], mine[0].port) is None and not isinstance(mine[0].outcome, Unknown)
    }
    lost = _lost_ways(hosts, probes)
    elsewhere = {way for cause in lost for way in cause.ways}
    tried = [way for way in known if way not in elsewhere]
    for cause in (*lost, *way_causes(tried, [way for way in tried if _is_failed(known[way][0])])):
        ways = tuple(way for way in cause.ways if way in known)
        for place in cause.hosts if ways else ():
            yield Problem(place, _says(replace(cause, ways=ways), known))
    ports = hccl_ports(context.settings)
    yield from _not_known(hosts, hccl, lambda port: ports is not None and port in ports.ports)


def _lost_ways(hosts: Hosts, probes: Probes) -> list[Cause]:
    """Returns why hosts get no sign at all from others of which they need a port. One that went away is no proof."""
    needed = {
        way: mine
        for way, mine in probes.items()
        if isinstance(hosts[way[1]].reach, ReachFacts) and any(probe.setting != HCCL for probe in mine)
    }
    return way_causes(needed, [way for way, mine in needed.items() if _is_lost(mine)])


def _says(cause: Cause, probes: Probes) -> str:
    """Says it of the first ways, and how many others there are."""
    told = [_way_text(way, probes[way]) for way in cause.ways[:MOST_WAYS]]
    count = len(cause.ways)
    if count == 1:
        return told[0]
    more = f"; and {count - MOST_WAYS} more" if count > MOST_WAYS else ""
    host = cause.hosts[0]
    whole = {
        "everything": f"none of {count} ways is open",
        "unreached": f"none of {count} hosts reaches {host}",
        "reaches-nobody": f"{host} reaches none of {count} hosts",
    }
    return f"{whole[cause.kind]}: {'; '.join(told)}{more}"


def _way_text(way: Way, probes: list[PortProbe]) -> str:
    ports = ", ".join(str(probe.port) for probe in probes)
    word = "port" if len(probes) == 1 else "ports"
    return f"{way[0]} to {way[1]} ({probes[0].address}), {word} {ports}: {_text(probes[0])}"


def _problem(place: str, peer: str, failed: Mapping[str, PortProbe], good: list[str]) -> Problem:
    """Says how one port failed; the API's port is no need of other hosts, only a sign of what clients will see."""
    first = next(iter(failed.values()))
    ways: dict[str, list[str]] = {}
    for name, probe in failed.items():
        ways.setdefault(_text(probe), []).append(name)
    told = "; ".join(f"from {_names(names)}: {way}" for way, names in ways.items())
    others = f"; {_names(good)} can" if good else ""
    says = f"port {first.port} ({first.setting}) of {peer} ({first.address}) {told}{others}"
    if first.setting != "mindie_port":
        return Problem(place, says)
    title = "the port of the API cannot be reached from other hosts"
    remedy = "If clients need it, open it on the leader: firewall-cmd --permanent --add-port PORT/tcp and firewall-cmd "
    remedy += "--reload, or ufw allow PORT/tcp. If they come another way, nothing has to be done."
    return Problem(place, says, severity="warn", title=title, remedy=remedy)


def _not_known(hosts: Hosts, probes: Probes, concerns: Callable[[int], bool]) -> Iterator[Problem]:
    """Yields the ports without a listener, and the connections of which nothing is known, of the ports concerned."""
    silent = {(way[1], one.port) for way, mine in probes.items() for one in mine if one.outcome != "answered"}
    tried = {(way[1], one.port) for way, mine in probes.items() for one in mine}
    for name, host in hosts.items():
        without = host.reach.not_listening if isinstance(host.reach, ReachFacts) else {}
        ports = dict.fromkeys((*without, *(port for peer, port in tried if peer == name)))
        for port in sorted(port for port in ports if concerns(port)):
            reason = _no_listener(host, port)
            if reason is not None and ((name, port) in silent or (name, port) not in tried):
                yield Problem(name, f"port {port}: {reason}", kind="unknown")
    unknown: dict[tuple[str, int, str], list[str]] = {}
    for way, mine in probes.items():
        for one in mine:
            if isinstance(one.outcome, Unknown) and _no_listener(hosts[way[1]], one.port) is None:
                unknown.setdefault((way[0], one.port, one.outcome.reason), []).append(way[1])
    for (name, port, reason), peers in unknown.items():
        yield Problem(name, f"{_names(peers)}, port {port}: {reason}", kind="unknown")


def _no_listener(host: HostFacts, port: int) -> str | None:
    """Returns why an answer from a port of the host says nothing, None where our listener or deployment was there."""
    return host.reach.not_listening.get(port) if isinstance(host.reach, ReachFacts) else LISTENER_UNKNOWN


def _probes(hosts: Hosts) -> Probes:
    """Returns the connections that were tried."""
    found: Probes = {}
    for name, host in hosts.items():
        for probe in host.reach.ports if isinstance(host.reach, ReachFacts) else ():
            if probe.peer in hosts:
                found.setdefault((name, probe.peer), []).append(probe)
    return found


def _is_lost(probes: list[PortProbe]) -> bool:
    """Tells whether a host gave no sign at all. One silent port is a filter; several may be one, too."""
    told = any(probe.outcome == "no-route" for probe in probes)
    return all(probe.outcome in NO_ANSWER for probe in probes) and (told or len(probes) > 1)


def _is_failed(probe: PortProbe) -> bool:
    return not isinstance(probe.outcome, Unknown) and probe.outcome != "answered"


def _text(probe: PortProbe) -> str:
    if probe.outcome == "refused":
        return "refused"
    if probe.outcome == "stranger":
        return f"something else than our listener answered ({probe.says})" if probe.says else "something else answered"
    return probe.says or ("no answer" if probe.outcome == "silent" else "no way there")


def _names(hosts: list[str]) -> str:
    return places_text(dict.fromkeys(hosts, ()))

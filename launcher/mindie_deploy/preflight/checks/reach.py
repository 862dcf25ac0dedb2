"""TCP between the hosts: the ports that one needs on another, and the way there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import HostFacts, PortProbe, ReachFacts, Unknown
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem, places_text
from mindie_deploy.preflight.registry import check

Hosts = Mapping[str, HostFacts]
Probes = dict[str, list[PortProbe]]  # by the host that asked
COMMAND = "a TCP connection to a listener made for the check"
NO_ANSWER = ("silent", "no-route")
LISTENER_UNKNOWN = "whether our listener was there is not known: that host gave no answer when it was to ask others"


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
    """Names the host that nobody reaches, or those that do not reach it where others do."""
    for peer, probes in _probes(hosts).items():
        if not isinstance(hosts[peer].reach, ReachFacts):
            continue  # it may have gone meanwhile
        lost = [name for name, mine in probes.items() if _is_lost(mine)]
        for place in [peer] if len(lost) == len(probes) else lost:
            told = [name for name in lost if place in (peer, name)]
            first = probes[told[0]]
            ports = ", ".join(str(probe.port) for probe in first)
            yield Problem(
                place,
                f"no answer of {peer} ({first[0].address}), ports {ports}, from {_names(told)}: {_text(first[0])}",
            )


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
    remedy="Open the port on the host named: firewall-cmd --permanent --add-port PORT/tcp and firewall-cmd --reload, "
    "ufw allow PORT/tcp, or the site's own rules (nft list ruleset shows them). If it is open there, look for filters "
    "between the hosts.",
    source="MindIE's FAQ (a firewall on the leader: followers do not register)",
)
def ports_reachable(hosts: Hosts, context: Context) -> Iterator[Problem]:
    """One statement for each port of each host, and for each host that does not reach the other at all."""
    for peer, probes in _probes(hosts).items():
        here = hosts[peer].reach
        lost = [name for name, mine in probes.items() if _is_lost(mine)]
        nobody = len(lost) == len(probes)
        for port in dict.fromkeys(probe.port for mine in probes.values() for probe in mine):
            asked = {name: probe for name, mine in probes.items() for probe in mine if probe.port == port}
            refused = here.not_listening.get(port) if isinstance(here, ReachFacts) else LISTENER_UNKNOWN
            yield from _unknown(peer, asked, refused)
            if refused is not None:
                continue
            failed = {name: probe for name, probe in asked.items() if _is_failed(probe)}
            good = [name for name, probe in asked.items() if probe.outcome == "answered"]
            for name in () if nobody else lost:
                if name in failed:
                    yield _problem(name, peer, {name: failed.pop(name)}, good)
            if failed:
                yield _problem(peer, peer, failed, good)


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


def _unknown(peer: str, asked: Mapping[str, PortProbe], refused: str | None) -> Iterator[Problem]:
    if refused is not None and any(probe.outcome != "answered" for probe in asked.values()):
        port = next(iter(asked.values())).port
        yield Problem(peer, f"port {port}: {refused}", kind="unknown")
        return
    for name, probe in asked.items():
        if isinstance(probe.outcome, Unknown):
            yield Problem(name, f"{peer}, port {probe.port}: {probe.outcome.reason}", kind="unknown")


def _probes(hosts: Hosts) -> dict[str, Probes]:
    """Returns the connections that were tried to each host."""
    found: dict[str, Probes] = {}
    for name, host in hosts.items():
        for probe in host.reach.ports if isinstance(host.reach, ReachFacts) else ():
            if probe.peer in hosts:
                found.setdefault(probe.peer, {}).setdefault(name, []).append(probe)
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

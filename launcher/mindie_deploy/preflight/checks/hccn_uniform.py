"""The NPUs' RoCE ports of all hosts against one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mindie_deploy.hosts.facts import HostFacts, Unknown
from mindie_deploy.preflight.checks.hccn import LINK, SOURCE, TOOL, network_of, parse_address
from mindie_deploy.preflight.checks.hccn_history import no_light
from mindie_deploy.preflight.context import Context, known_hccn
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.majority import odd_npus, split
from mindie_deploy.preflight.ping_matrix import pairs_of, reaches_peers
from mindie_deploy.preflight.registry import check

Hosts = Mapping[str, HostFacts]


@check(
    "hccn.link-up",
    title="the RoCE link of an NPU is down",
    severity="block",
    scope="cluster",
    command="hccn_tool -i N -link -g",
    needs=("hccn.link_up",),
    caused_by=TOOL,
    why="The ranks of different hosts talk over this port; HCCL waits for the missing one until it times out.",
    remedy="Check cable, optical module (hccn_tool -i N -optical -g) and switch port (hccn_tool -i N -lldp -g names "
    "it). hccn_tool -i N -link_stat -g tells since when.",
    source=SOURCE,
)
def link_up(hosts: Hosts, context: Context) -> Iterator[Problem]:
    """Names what the ports that are down have in common: a whole host, or the same port of all hosts."""
    down = {
        name: [index for index, is_up in known_hccn(host, context, "link_up").items() if not is_up]
        for name, host in hosts.items()
    }
    for name, indexes in down.items():
        for index in indexes:
            title = remedy = None
            if len(context.npus) > 1 and len(indexes) == len(context.npus):
                title = "all RoCE links of a host are down"
                remedy = "Look at what its ports have in common: the switch that they lead to, its power, the cables."
            elif len(hosts) > 1 and all(index in others for others in down.values()):
                title = "the RoCE links of one rail are down on all hosts"
                remedy = "Look at the switch of this rail (the same NPU index of all hosts): its power, its port group."
            says = "; ".join(filter(None, ("link status: DOWN", no_light(hosts[name].hccn[index].optics))))
            yield Problem(name, says, index, title=title, remedy=remedy)


@check(
    "hccn.ip-unique",
    title="two NPUs have the same address",
    severity="block",
    scope="cluster",
    command="hccn_tool -i N -ip -g",
    needs=("hccn.address",),
    caused_by=("hccn.ip-present",),
    why="Traffic for one reaches the other. MindIE does not notice a doubled address in the rank table; HCCL hangs.",
    remedy="Give one of them a free address of its rail: hccn_tool -i N -ip -s address A netmask M.",
    source="MindIE-LLM, ranktable_config.cpp (nobody checks doubled device_ip)",
)
def ip_unique(hosts: Hosts, context: Context) -> Iterator[Problem]:
    holders: dict[str, list[tuple[str, int]]] = {}
    for name, host in hosts.items():
        for index, text in known_hccn(host, context, "address").items():
            address = parse_address(text)
            if address is not None:
                holders.setdefault(str(address), []).append((name, index))
    for text, places in holders.items():
        if len(places) > 1:
            told = " and ".join(f"{name} NPU {index}" for name, index in places)
            for name, index in places:
                yield Problem(name, f"{text} is the address of {told}", index)


@check(
    "hccn.subnet",
    title="NPUs of one rail are in different networks without a gateway",
    severity="warn",
    scope="cluster",
    command="hccn_tool -i N -ip -g, -gateway -g",
    needs=("hccn.address", "hccn.netmask", "hccn.gateway"),
    caused_by=("hccn.ip-present", "hccn.ip-unique"),
    why="NPUs with the same index talk to one another across hosts. Without a common network or a gateway only static "
    "routes would carry their packets: hence a warning. Lost pings make it a block, pings that arrive clear it.",
    remedy="Put the NPUs with the same index of all hosts into one network with the same netmask, or set gateways.",
    source="practice",
)
def subnet(hosts: Hosts, context: Context) -> Iterator[Problem]:
    pairs = pairs_of(hosts)
    for index in context.npus:
        networks: dict[str, str] = {}
        routed: set[str] = set()
        for name, host in hosts.items():
            device = host.hccn.get(index)
            network = None if device is None else network_of(device.address, device.netmask)
            if device is None or network is None or isinstance(device.gateway, Unknown):
                continue
            networks[name] = str(network)
            if parse_address(device.gateway) is not None:
                routed.add(name)
        found = split(networks)
        masks = split({name: network.partition("/")[2] for name, network in networks.items()})
        unrouted = len(routed) < len(networks)
        told = "; ".join(f"{network} on {', '.join(names)}" for network, names in found.groups.items())
        for name in found.odd if unrouted else masks.odd:
            reaches = reaches_peers(pairs, (name, index))
            if not reaches:
                title = None if unrouted else "NPUs of one rail have different netmasks"
                yield Problem(name, told, index, severity=None if reaches is None else "block", title=title)


@check(
    "hccn.tls-uniform",
    title="the TLS switch of NPUs differs",
    severity="block",
    scope="cluster",
    command="hccn_tool -i N -tls -g",
    needs=("hccn.tls",),
    caused_by=TOOL,
    why="NPUs with TLS cannot talk to NPUs without it: HCCL reports errors or times out 20 minutes later. A port that "
    "never got a certificate counts as off.",
    remedy="Set the switch the same everywhere, normally off, on each NPU named: hccn_tool -i N -tls -s enable 0. Do "
    "it while nothing runs.",
    source="DeepSeek-R1 README; MindIE's FAQ (HCCL connect time-out)",
    fix="tls",
)
def tls_uniform(hosts: Hosts, context: Context) -> Iterator[Problem]:
    yield from odd_npus(_values(hosts, context, "tls", lambda value: "on" if value else "off"), "TLS is")


@check(
    "hccn.tls-off",
    title="TLS is on between the NPUs",
    severity="info",
    scope="cluster",
    command="hccn_tool -i N -tls -g",
    needs=("hccn.tls",),
    caused_by=("hccn.tls-uniform", *TOOL),
    why="The published guides switch it off: it costs speed and needs valid certificates on all NPUs.",
    remedy="Nothing, if it is wanted. Else: hccn_tool -i N -tls -s enable 0 on every NPU.",
    source="DeepSeek-R1 README",
    fix="tls",
)
def tls_off(hosts: Hosts, context: Context) -> Iterator[Problem]:
    values = _values(hosts, context, "tls", lambda value: "on" if value else "off")
    if values and all(value == "on" for value in values.values()):
        for name, index in values:
            yield Problem(name, "tls switch[1]", index)


@check(
    "hccn.mtu-uniform",
    title="the MTU of NPUs differs",
    severity="warn",
    scope="cluster",
    command="hccn_tool -i N -mtu -g",
    needs=("hccn.mtu",),
    caused_by=LINK,
    unknown="info",
    why="Large packets are lost or split on the way to the port with the smaller one; a ping does not show it.",
    remedy="hccn_tool -i N -mtu -s value V, the same on all NPUs and not above the switch's.",
    source=SOURCE,
)
def mtu_uniform(hosts: Hosts, context: Context) -> Iterator[Problem]:
    yield from odd_npus(_values(hosts, context, "mtu", lambda value: None if value is None else str(value)), "MTU")


def _values(
    hosts: Hosts, context: Context, attribute: str, text: Callable[[Any], str | None]
) -> dict[tuple[str, int], str]:
    """Returns a value of every NPU of the cluster where it is known, as text."""
    found = {
        (name, index): text(value)
        for name, host in hosts.items()
        for index, value in known_hccn(host, context, attribute).items()
    }
    return {place: value for place, value in found.items() if value is not None}

"""The NPUs' RoCE ports (HCCN), one by one, as hccn_tool and /etc/hccn.conf show them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import HostFacts, Unknown
from mindie_deploy.preflight.context import Context, known_hccn
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.ping_matrix import pairs_of, reaches_peers
from mindie_deploy.preflight.registry import check

SOURCE = "hccn_tool's public source (hicann/driver); captures"
TOOL = ("hccn.tool-responds",)
LINK = ("hccn.tool-responds", "hccn.link-up")
DETECT_REMEDY = "Set one that answers, usually the gateway's: hccn_tool -i N -netdetect -s address A."
NOT_YET = ("init", "detect ip set")  # words of net_health that mean that nothing was probed yet
# Words that tell of the prober and not of the network.
NOT_KNOWN = ("", "unknown", "socket fail", "socket failed", "thread error")


def parse_address(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Returns an address that a NPU can have, or None: for no text, no address, 0.0.0.0 and ::."""
    try:
        address = ipaddress.ip_address((text or "").strip())
    except ValueError:
        return None
    return None if address.is_unspecified else address


@check(
    "hccn.ip-present",
    title="an NPU has no address",
    severity="block",
    command="hccn_tool -i N -ip -g",
    needs=("hccn.address",),
    caused_by=LINK,
    why="The rank table holds the address of every NPU. One with a placeholder starts and then hangs.",
    remedy="Set it: hccn_tool -i N -ip -s address A netmask M (it is kept in /etc/hccn.conf). If /etc/hccn.conf has "
    "the address, the port lost it: hccn_tool -i N -cfg recovery, or reboot.",
    source=f"{SOURCE}; gpustack issues 2551, 2821, 3498 (rank table with placeholders)",
)
def ip_present(host: HostFacts, context: Context) -> Iterator[Problem]:
    for index, address in known_hccn(host, context, "address").items():
        if parse_address(address) is None:
            yield Problem(host.name, f"address {address}" if address else "no address is set", index)


@check(
    "hccn.gateway",
    title="an NPU's gateway does not fit",
    severity="warn",
    command="hccn_tool -i N -gateway -g",
    needs=("hccn.gateway", "hccn.address", "hccn.netmask"),
    caused_by=("hccn.ip-present", "hccn.ip-unique", "hccn.subnet"),
    unknown="info",  # a flat network needs no gateway
    why="Packets to NPUs in other networks are lost when the gateway is outside of the NPU's network, or when one NPU "
    "has none although the others need theirs.",
    remedy="hccn_tool -i N -gateway -s gateway A with an address in the NPU's own network.",
    source=SOURCE,
)
def gateway(host: HostFacts, context: Context) -> Iterator[Problem]:
    gateways = {index: parse_address(text) for index, text in known_hccn(host, context, "gateway").items()}
    routed = sum(address is not None for address in gateways.values())
    for index, address in gateways.items():
        device = host.hccn[index]
        network = network_of(device.address, device.netmask)
        if address is not None and network is not None and address not in network:
            yield Problem(host.name, f"gateway {address} is not in {network}", index)
        elif address is None and routed > len(gateways) / 2:
            yield Problem(host.name, "no gateway is set, but most NPUs of the host have one", index)


@check(
    "hccn.netdetect",
    title="an NPU has no address to probe its network with",
    severity="warn",
    command="hccn_tool -i N -netdetect -g",
    needs=("hccn.netdetect",),
    caused_by=LINK,
    why="Without it the driver cannot tell whether the network behind the port works, and net health says nothing.",
    remedy="hccn_tool -i N -netdetect -s address A, usually with the gateway's or the switch's address.",
    source=SOURCE,
    fix="netdetect",
)
def netdetect(host: HostFacts, context: Context) -> Iterator[Problem]:
    for index, address in known_hccn(host, context, "netdetect").items():
        if parse_address(address) is None:
            yield Problem(host.name, "no detect address is set", index)


@check(
    "hccn.net-health",
    title="the network behind an NPU's port does not answer",
    severity="block",
    scope="cluster",
    command="hccn_tool -i N -net_health -g",
    needs=("hccn.net_health",),
    caused_by=("hccn.link-up", "hccn.ip-present", "hccn.ip-unique", "hccn.gateway", "hccn.netdetect"),
    unknown="warn",
    why="The driver probes the detect address of each port by itself; one that gets no answer can hardly reach other "
    "hosts. Where its pings to other hosts arrive, only the detect address is wrong.",
    remedy="hccn_tool -i N -ping -g address A with the detect address and with an NPU of another host; check VLAN and "
    "configuration of the switch port. If only the detect address is wrong, correct it: -netdetect -s address A.",
    source=SOURCE,
)
def net_health(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    pairs = pairs_of(hosts)
    for name, host in hosts.items():
        for index, word in known_hccn(host, context, "net_health").items():
            says, plain = f"net health status: {word}", word.strip().lower()
            if net_health_failed(word) and reaches_peers(pairs, (name, index)):
                says = f"{says}; all pings to and from other hosts arrive"
                title = "the detect address of an NPU's port does not answer"
                yield Problem(name, says, index, severity="warn", title=title, remedy=DETECT_REMEDY)
            elif net_health_failed(word):
                yield Problem(name, says, index)
            elif plain in NOT_YET:
                title = "the network behind an NPU's port was not probed yet"
                yield Problem(name, says, index, severity="warn", title=title)
            elif plain in NOT_KNOWN:
                yield Problem(name, says, index, kind="unknown")


def net_health_failed(word: str) -> bool:
    """Tells whether net detection says that the network behind a port is broken."""
    return word.strip().lower() not in ("success", *NOT_YET, *NOT_KNOWN)


@check(
    "hccn.speed-200g",
    title="an NPU's port does not run at full speed",
    severity="block",
    command="hccn_tool -i N -speed -g",
    needs=("hccn.speed_mbps",),
    caused_by=LINK,
    why="All ranks wait for the slowest port; a port that fell back is usually a bad optic or a wrong switch setting.",
    remedy="Check the optical module and the switch port's speed and FEC. If your fabric has another speed by "
    "design, set mindie_hccn_speed_mbps.",
    source="Atlas 800T A2: eight 200GE RoCE ports",
)
def speed(host: HostFacts, context: Context) -> Iterator[Problem]:
    for index, speed_mbps in known_hccn(host, context, "speed_mbps").items():
        if speed_mbps is None:
            yield Problem(host.name, "Speed: Unknown!", index, kind="unknown")
        elif speed_mbps != context.settings.hccn_speed_mbps:
            yield Problem(host.name, f"Speed: {speed_mbps} Mb/s, expected {context.settings.hccn_speed_mbps}", index)


@check(
    "hccn.not-host-net",
    title="an address of the host lies in the NPUs' network",
    severity="warn",
    command="hccn_tool -i N -ip -g and the host's addresses",
    needs=("system", "hccn.address", "hccn.netmask"),
    caused_by=("hccn.ip-present", "hccn.ip-unique"),
    unknown="info",
    why="The NPUs' network is one of its own; where it overlaps with the host's, packets may take the wrong way.",
    remedy="Give the NPUs or the host addresses of another network.",
    source="practice",
)
def not_host_net(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.system, Unknown):
        return
    if isinstance(host.system.addresses, Unknown):
        yield Problem(host.name, host.system.addresses.reason, kind="unknown")
        return
    own = [address for address in map(parse_address, host.system.addresses) if address and not address.is_loopback]
    for index, device in host.hccn.items():
        network = network_of(device.address, device.netmask)
        overlapping = [str(address) for address in own if network is not None and address in network]
        if overlapping and index in context.npus:
            yield Problem(host.name, f"{', '.join(overlapping)} of the host is in {network}", index)


def network_of(address: object, netmask: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Returns the network of a port, or None where address or mask is not known or not usable."""
    if not isinstance(address, str) or not isinstance(netmask, str) or parse_address(address) is None:
        return None
    try:
        return ipaddress.ip_network(f"{address.strip()}/{netmask.strip()}", strict=False)
    except ValueError:
        return None

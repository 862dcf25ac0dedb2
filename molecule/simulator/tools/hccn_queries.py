"""hccn_tool's short queries: what each prints for a port in a given state (H/hccn_tool/tool.c, tool_ops.c)."""

from __future__ import annotations

from . import hccn_errors as errors
from .answer import Answer
from .hccn_stat import link_history, statistics
from .hccn_tls import show_tls
from .light import Any, Callable, NamedTuple


class Port(NamedTuple):
    """One device's network port and what an answer needs to know besides."""

    number: int
    state: dict[str, Any]  # the hccn section of the NPU
    older: bool  # prints the words of drivers before the newest source
    now: float  # seconds since 1970
    calls: int  # how many times this query was answered before (for counters that grow)


def ip(port: Port) -> Answer:
    """Address and mask; nothing on stdout when none is set."""
    if port.state["address"] is None:
        return errors.NO_ADDRESS
    return Answer(f"ipaddr:{port.state['address']}\nnetmask:{port.state['netmask']}\n")


def link(port: Port) -> Answer:
    """DOWN is status 0 too: tool_link_get_linkstatus."""
    return Answer(f"link status: {port.state['link']}\n")


def net_health(port: Port) -> Answer:
    """Word of the device's own net detection."""
    word = port.state["net_health"]
    return Answer(f"net health status: {'Socket failed' if port.older and word == 'Socket fail' else word}\n")


def net_detect(port: Port) -> Answer:
    """0.0.0.0 when none is set: tool_get_netdetect."""
    return Answer(f"netdetect {'address' if port.older else 'addr'}: {port.state['netdetect'] or '0.0.0.0'}\n")


def gateway(port: Port) -> Answer:
    """Default gateway."""
    if port.state["gateway"] is None:
        return errors.NO_GATEWAY
    return Answer(f"default gateway:{port.state['gateway']}, Iface:{interface(port)}\n")


def interface(port: Port) -> str:
    """Name of the port on the device."""
    return str(port.state["interface"] or f"eth{port.number}")


def lldp(port: Port) -> Answer:
    """TLV text of the neighbour; one empty line without neighbour (ds_net.c, dsmi_lldp_get_neighbor_info)."""
    neighbour = port.state["lldp"]
    if neighbour is None or port.state["link"] == "DOWN":
        return Answer("\n")
    return Answer(
        f"Chassis ID TLV\n\tMAC: {neighbour['mac']}\nPort ID TLV\n\tIfname: {neighbour['interface']}\n"
        "Time To Live TLV\n\t120\nEnd of LLDPDU TLV\n"
    )


def speed(port: Port) -> Answer:
    """Mbit/s."""
    value = port.state["speed_mbps"]
    return Answer("Speed: Unknown!\n" if value is None else f"Speed: {value} Mb/s\n")


def mtu(port: Port) -> Answer:
    """MTU."""
    return Answer(f"mtu:{port.state['mtu']}\n")


def mac(port: Port) -> Answer:
    """MAC address."""
    return Answer(f"mac addr: {port.state['mac']}\n")


def vnic(port: Port) -> Answer:
    """The port inside the host."""
    values = port.state["vnic"]
    return Answer(
        f"vnic link status: {values['link']}\nvnic ipaddr: {values['address']}\nvnic netmask: {values['netmask']}\n"
    )


def route(port: Port) -> Answer:
    """Heading, rows of the device, and an empty line."""
    own, vnic_state = port.state, port.state["vnic"]
    name = interface(port)
    rows = []
    if own["address"] is not None:
        if own["gateway"] is not None:
            rows.append(("default", own["gateway"], "0.0.0.0", "UG", name))
        rows.append((_network(own["address"], own["netmask"]), "*", own["netmask"], "U", name))
    rows.append(("127.0.0.1", "*", "255.255.255.255", "UH", "lo"))
    rows.append((_network(vnic_state["address"], vnic_state["netmask"]), "*", vnic_state["netmask"], "U", "end0v0"))
    text = "Destination     Gateway         Genmask         Flags Metric Ref    Use Iface\n"
    for destination, via, mask, flags, port_name in rows:
        text += f"{destination:<16}{via:<16}{mask:<16}{flags:<6}{0:<7}{0:<3}{0:>7} {port_name}\n"
    return Answer(f"Routing table:\n{text}\n")


def _network(address: str, mask: str) -> str:
    pairs = zip(address.split("."), mask.split("."), strict=True)
    return ".".join(str(int(byte) & int(kept)) for byte, kept in pairs)


def arp(port: Port) -> Answer:
    """Heading, rows of the device, and an empty line."""
    return Answer("arp table:\n" + "".join(f"{line}\n" for line in port.state["arp"]) + "\n")


def process(port: Port) -> Answer:
    """Whether the communication process of the device runs."""
    return Answer(f"device hccp process: {'exist' if port.state['process'] else 'not exist'}\n")


def stat(port: Port) -> Answer:
    """Packet counters."""
    return statistics(port.state, port.calls)


def link_stat(port: Port) -> Answer:
    """History of the link."""
    return link_history(port.number, port.state, port.now, port.older)


def tls(port: Port) -> Answer:
    """Switch and certificates."""
    return show_tls(port.number, port.state["tls"], port.now)


QUERIES: dict[str, Callable[[Port], Answer]] = {
    "ip": ip, "link": link, "net_health": net_health, "netdetect": net_detect, "gateway": gateway, "lldp": lldp,
    "speed": speed, "mtu": mtu, "mac": mac, "vnic": vnic, "route": route, "arp": arp, "process": process,
    "stat": stat, "link_stat": link_stat, "tls": tls,
}  # fmt: skip
# Busy and permission show as such only where the failure passes through dsmi_analysis_dsmi_ret_to_uda
# (src/custom/network/dsmi/ascend910B/ds_net.c); these three turn every failure into "Command execute failed!".
HIDES_BUSY = frozenset({"ip", "net_health", "vnic"})

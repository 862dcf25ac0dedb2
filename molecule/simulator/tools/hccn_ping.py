"""hccn_tool -ping: answered from the state of both ends (H/hccn_product_ext/ds_net_ext.c, dsmi_ping_fun).

The lines between banner and summary are made by the device; their form and times are those of public captures. Any
`recv time out` makes the tool add an error on stderr and end with 1, though the summary is complete.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from zlib import crc32

from . import hccn_errors as errors
from .answer import Answer
from .light import Any, Callable, Iterable, Iterator, NamedTuple

PACKETS = 3


class End(NamedTuple):
    """One port of the whole network: where it is and its hccn section; `lost` when its NPU does not answer."""

    host: str
    number: int
    port: dict[str, Any]
    lost: bool


def ends(states: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[End]:
    """All ports of all hosts."""
    for host, state in states:
        for npu in state["npus"]:
            yield End(host, npu["id"], npu["hccn"], npu["lost"] or npu["dead"] or not state["driver"]["loaded"])


def ping(source: End, address: str, network: Callable[[], Iterable[End]]) -> Answer:
    """Three packets from `source` to `address`. `network` is asked only when a packet leaves."""
    try:
        IPv4Address(address)
    except ValueError:
        return errors.ADDRESS
    if source.port["link"] == "DOWN":
        return errors.LINK_DOWN  # no banner: the device refuses before it sends
    target = next((end for end in network() if reaches(source, end, address)), None)
    lost = set(range(PACKETS)) if target is None else {*source.port["ping_lost"], *target.port["ping_lost"]}
    times = _times(source, address)
    lines = [f"device {source.number} PING {address}"]
    for packet in range(PACKETS):
        answered = f"recv seq={packet},time={times[packet]:.6f}ms"
        lines.append(f"recv time out seq={packet}" if packet in lost else answered)
    received = PACKETS - len(lost)
    lines.append(f"{PACKETS} packets transmitted, {received} received, {100 * len(lost) / PACKETS:.2f}% packet loss")
    text = "\n".join(lines) + "\n"
    return Answer(text, errors.FAILED.stderr, errors.FAILED.status) if lost else Answer(text)


def reaches(source: End, target: End, address: str) -> bool:
    """Whether a packet to `address` gets from one port to the other and back."""
    own, other = source.port, target.port
    if other["address"] != address or target.lost or other["link"] == "DOWN" or own["address"] is None:
        return False
    if own["fabric"] != other["fabric"] or address in own["cannot_reach"] or own["address"] in other["cannot_reach"]:
        return False
    return _sends(own, address) and _sends(other, own["address"])


def _sends(port: dict[str, Any], address: str) -> bool:
    """Whether a port knows a way: the address is in its subnet, or a gateway is (routing itself is taken to work)."""
    subnet = IPv4Interface(f"{port['address']}/{port['netmask']}").network
    if IPv4Address(address) in subnet:
        return True
    return port["gateway"] is not None and IPv4Address(port["gateway"]) in subnet


def _times(source: End, address: str) -> list[float]:
    """Milliseconds. The first packet waits for ARP: 0.11 to 0.16, then 0.060 to 0.068, as captures show."""
    given: list[float] = source.port["ping_ms"]
    seed = crc32(f"{source.host}/{source.number}/{address}".encode()).to_bytes(4, "big")
    made_up = [0.11 + seed[0] % 50 / 1000, 0.06 + seed[1] % 9 / 1000, 0.06 + seed[2] % 9 / 1000]
    return [given[packet] if packet < len(given) else made_up[packet] for packet in range(PACKETS)]

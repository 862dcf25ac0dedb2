"""What the second round trip asks, planned from the facts of the first: who pings whom, and which ports are tried.

Each NPU takes one ping at a time, NPUs and hosts work at once: the time is that of the peers of one NPU, not that of
all pings. An NPU without link or address is left out on both sides: its own finding says why. Ports come before pings:
listeners are there for as short a time as can be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mindie_deploy.hosts.answer import number_of, text_of
from mindie_deploy.hosts.collection import specification
from mindie_deploy.hosts.items_npu import hccn_item

if TYPE_CHECKING:
    from mindie_deploy.cluster.settings import Settings

PING_TIMEOUT_S = 15
# The first packet of a pair may be lost while the address is resolved: what arrives in part is asked again.
LOST_SOME = r"[1-9][0-9]* received, (?!0\.0+%)"
CONNECT_PATIENCE_S = 5  # a lost SYN is sent again after 1 and 3 s
CONNECT_TIMEOUT_S = 2 * CONNECT_PATIENCE_S + 2  # to connect, and to hear the word
SLACK_S = 20
LONGEST_S = 1200
CONNECTIONS_AT_ONCE = 32

Question = dict[str, object]
Targets = Mapping[str, Mapping[str, object]]


def questions(name: str, targets: Targets, settings: Settings, nonce: str) -> dict[str, dict[str, object]]:
    """Returns what the host `name` has to ask: `asked` in our words, `ports` and `pings` for mindie_collect.

    `targets` are those of targets.targets; `nonce` is the word that our listeners say, one for each run. `ports` and
    `pings` have no items where there is nothing to ask.
    """
    pings = list(_pings(name, targets, settings))
    probes = list(_probes(name, targets, nonce))
    whole = specification(settings)
    rounds = -(-len(probes) // CONNECTIONS_AT_ONCE)
    each = max(Counter(number_of(ping["npu"]) for ping in pings).values(), default=0)
    return {
        "asked": {
            "pings": pings,
            "ports": probes,
            "listen": listened(targets[name]),
            "not_tried": targets[name].get("not_tried", {}),
        },
        "ports": {
            "items": [_connect_item(probe) for probe in probes],
            "limit": SLACK_S + rounds * CONNECT_TIMEOUT_S,
            "parallel": CONNECTIONS_AT_ONCE,
        },
        "pings": {
            "programs": whole["programs"],
            "values": whole["values"],
            "items": [_ping_item(ping) for ping in pings],
            "limit": min(LONGEST_S, SLACK_S + PING_TIMEOUT_S * each),
            "parallel": settings.npus_per_host + 8,
        },
    }


def listened(target: Mapping[str, object]) -> list[int]:
    """Returns the ports on which a host needs a listener of ours."""
    return [number_of(one["port"]) or 0 for one in _ports(target) if not one["ours"]]


def _others(name: str, targets: Targets) -> tuple[str, ...]:
    """Returns the other hosts. Each begins with the next one: not all ask the same host at once."""
    order = list(targets)
    at = order.index(name)
    return (*order[at + 1 :], *order[:at])


def _pings(name: str, targets: Targets, settings: Settings) -> Iterator[Question]:
    if settings.check_pings == "off":
        return
    for npu in _addresses(targets[name]):
        for peer in _others(name, targets):
            for peer_npu, address in _addresses(targets[peer]).items():
                if settings.check_pings == "full" or peer_npu == npu:
                    key = f"ping/{npu}/{peer}/{peer_npu}"
                    yield {"key": key, "npu": npu, "peer": peer, "peer_npu": peer_npu, "address": address}


def _addresses(target: Mapping[str, object]) -> dict[int, str]:
    """Returns the addresses by NPU; JSON has made texts of the numbers."""
    npus = target["npus"]
    return {int(npu): text_of(address) for npu, address in npus.items()} if isinstance(npus, Mapping) else {}


def _ports(target: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    ports = target["ports"]
    return ports if isinstance(ports, list) else []


def _probes(name: str, targets: Targets, nonce: str) -> Iterator[Question]:
    for peer in _others(name, targets):
        target = targets[peer]
        for one in _ports(target):
            yield {
                "key": f"port/{peer}/{one['port']}",
                "peer": peer,
                "address": target["address"],
                "port": one["port"],
                "setting": one["setting"],
                "expect": "" if one["ours"] else nonce,
            }


def _connect_item(probe: Question) -> Question:
    return {
        "key": probe["key"],
        "connect": {"address": probe["address"], "port": probe["port"], "expect": probe["expect"]},
        "patience": CONNECT_PATIENCE_S,
        "timeout": CONNECT_TIMEOUT_S,
    }


def _ping_item(ping: Question) -> Question:
    words = ["-ping", "-g", "address", text_of(ping["address"])]
    return hccn_item(text_of(ping["key"]), number_of(ping["npu"]) or 0, words, PING_TIMEOUT_S, again=[LOST_SOME])

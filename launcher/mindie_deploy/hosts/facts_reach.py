"""What hosts and NPUs said about reaching one another: plain frozen values, no judgement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mindie_deploy.hosts.reading import Reading

Connected = Literal["answered", "stranger", "refused", "silent", "no-route"]


@dataclass(frozen=True)
class PeerPing:
    """One NPU's ping of an NPU of another host. `sent` and `received` count packets."""

    npu: int
    peer: str
    peer_npu: int
    address: str
    packets: Reading[tuple[int, int]]  # sent, received


@dataclass(frozen=True)
class PortProbe:
    """One host's connection to a port of another.

    answered: our own listener, or our own deployment, is there. stranger: something else took the connection.
    silent: no answer in time. no-route: the network or a firewall says that there is no way.
    """

    peer: str
    address: str
    port: int
    setting: str
    outcome: Reading[Connected]
    says: str = ""


@dataclass(frozen=True)
class ReachFacts:
    """Everything the second round trip of one host says. `not_listening`: ports that no listener could be made on."""

    pings: tuple[PeerPing, ...]
    ports: tuple[PortProbe, ...]
    not_listening: dict[int, str] = field(default_factory=dict)

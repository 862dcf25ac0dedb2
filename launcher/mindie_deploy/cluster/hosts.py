"""The hosts of a deployment in rank order. The first is the leader (rank 0), which serves the API."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mindie_deploy.errors import UsageError

WEIGHTS_ADDRESS = "mindie_weights_address"


@dataclass(frozen=True)
class Host:
    """One host. `address` is its IP address as the other hosts reach it, `rank` its place: 0 is the leader.

    `weights_address`: its address in the network that weights are copied over; "" where it is `address`.
    """

    name: str
    address: str
    rank: int
    weights_address: str = ""

    @property
    def is_leader(self) -> bool:
        """Whether this host is the one that serves the API (MindIE says master)."""
        return self.rank == 0


class HostsError(UsageError):
    """The inventory does not give hosts that a deployment can be made of."""


def hosts_in_rank_order(names: Sequence[str], variables: Mapping[str, Mapping[str, object]]) -> tuple[Host, ...]:
    """Returns the hosts in the order of `names`, the inventory's order.

    The address is `mindie_host_address`, else `ansible_host`, else the name, whichever is set first; it must be an IP
    address, because MindIE's rank table takes no names. The address for the weights is `mindie_weights_address`, if it
    is set. Raises HostsError for no hosts, a host named twice, an address that is none, and one address for two hosts.
    """
    if not names:
        raise HostsError("no hosts: the group `mindie` is empty", "list the hosts in rank order in the inventory")
    hosts: list[Host] = []
    holder: dict[str, str] = {}
    for rank, name in enumerate(names):
        if any(host.name == name for host in hosts):
            raise HostsError(f"host {name} is listed twice", "list every host once in the inventory")
        address = _address(name, variables.get(name, {}))
        if address in holder:
            raise HostsError(
                f"hosts {holder[address]} and {name} have the same address {address}",
                "correct ansible_host or mindie_host_address in the inventory",
            )
        holder[address] = name
        hosts.append(Host(name, address, rank, _weights_address(name, variables.get(name, {}))))
    if len({ipaddress.ip_address(host.address).version for host in hosts}) > 1:
        told = ", ".join(f"{host.name} {host.address}" for host in hosts)
        raise HostsError(f"IPv4 and IPv6 addresses are mixed: {told}", "give all hosts addresses of one family")
    return tuple(hosts)


def _address(name: str, variables: Mapping[str, object]) -> str:
    for key in ("mindie_host_address", "ansible_host"):
        value = variables.get(key)
        if value is None or value == "":
            continue
        return _checked(name, key, str(value))
    return _checked(name, "its name", name)


def weights_address(name: str, variables: Mapping[str, object]) -> str:
    """Returns the address of any host of the inventory in the network that weights are copied over.

    Raises HostsError when what the variables say is no address.
    """
    return _weights_address(name, variables) or _address(name, variables)


def _weights_address(name: str, variables: Mapping[str, object]) -> str:
    value = variables.get(WEIGHTS_ADDRESS)
    return "" if value is None or value == "" else _checked(name, WEIGHTS_ADDRESS, str(value))


def _checked(name: str, key: str, text: str) -> str:
    setting = WEIGHTS_ADDRESS if key == WEIGHTS_ADDRESS else "mindie_host_address"
    remedy = f"set {setting} of {name} to the IP address that the other hosts reach it by"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise HostsError(f'host {name}: {key} "{text}" is not an IP address', remedy) from None
    if address.is_unspecified or address.is_multicast or (address.version == 6 and address.scope_id):
        raise HostsError(f"host {name}: {key} {text} is not the address of a host", remedy)
    return str(address)

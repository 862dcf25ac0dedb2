"""The rank table: which NPU has which rank and address. Made from the addresses of the running NPUs only."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.errors import CheckFailedError

REMEDY = (
    "look at the NPU on that host: hccn_tool -i N -link -g must say UP and hccn_tool -i N -ip -g must show an address; "
    "then run check again"
)


class RankTableError(CheckFailedError):
    """The NPUs' addresses do not make a rank table. `problems` names host, device and fault, one a line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"no rank table can be made:\n{lines}", REMEDY)


def rank_table(
    hosts: Sequence[Host], device_addresses: Mapping[str, Mapping[int, str]], npus_per_host: int
) -> dict[str, object]:
    """Returns the rank table, version 1.0, all values text: leader first, rank = host position x NPUs + device id.

    `device_addresses` is {host name: {device index: address}} as hccn_tool shows them on the running NPUs. Raises
    RankTableError naming every missing, superfluous, placeholder or duplicate address.
    """
    addresses = {host.name: _indexed(device_addresses.get(host.name, {})) for host in hosts}
    problems = [
        *_host_problems(hosts),
        *(problem for host in hosts for problem in _missing(host.name, addresses[host.name], npus_per_host)),
        *(problem for host in hosts for problem in _unusable(host.name, addresses[host.name], npus_per_host)),
        *_duplicates(hosts, addresses, npus_per_host),
    ]
    if problems:
        raise RankTableError(problems)
    return {
        "version": "1.0",
        "server_count": str(len(hosts)),
        "server_list": [
            {
                "server_id": host.address,
                "container_ip": host.address,
                "device": [
                    {
                        "device_id": str(device),
                        "device_ip": addresses[host.name][device],
                        "rank_id": str(position * npus_per_host + device),
                    }
                    for device in range(npus_per_host)
                ],
            }
            for position, host in enumerate(hosts)
        ],
        "status": "completed",
    }


def rank_table_text(table: Mapping[str, object]) -> str:
    """Returns the file's text; the same bytes for every host, because HCCL compares a checksum between ranks."""
    return json.dumps(table, indent=2) + "\n"


def _indexed(addresses: Mapping[int, str]) -> dict[int, str]:
    """Takes device indexes that became text on their way through JSON for the numbers they are."""
    return {int(device): address for device, address in addresses.items()}


def _host_problems(hosts: Sequence[Host]) -> list[str]:
    return [
        f"host {host.name}: its address {host.address} is a loopback address, which other hosts cannot reach"
        for host in hosts
        if len(hosts) > 1 and ipaddress.ip_address(host.address).is_loopback
    ]


def _missing(name: str, addresses: Mapping[int, str], count: int) -> list[str]:
    if not addresses:
        return [f"host {name}: no address of any NPU is known"]
    problems = [f"host {name}, NPU {device}: no address" for device in range(count) if device not in addresses]
    superfluous = sorted(device for device in addresses if device not in range(count))
    if superfluous:
        listed = ", ".join(str(device) for device in superfluous)
        problems.append(f"host {name}: NPU {listed} is beyond the {count} NPUs of mindie_npus_per_host")
    return problems


def _unusable(name: str, addresses: Mapping[int, str], count: int) -> list[str]:
    problems = []
    for device in range(count):
        if device in addresses:
            fault = _address_fault(addresses[device])
            if fault:
                problems.append(f'host {name}, NPU {device}: address "{addresses[device]}" {fault}')
    families = {_family(address) for device, address in addresses.items() if device in range(count)} - {0}
    if len(families) > 1:
        problems.append(f"host {name}: IPv4 and IPv6 addresses are mixed on its NPUs")
    return problems


def _family(address: str) -> int:
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 0


def _address_fault(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "is a placeholder, not an IP address"
    if address.is_unspecified or address.is_loopback or address.is_multicast:
        return "is not the address of an NPU"
    if address == ipaddress.ip_address("255.255.255.255"):
        return "is the broadcast address"
    return ""


def _duplicates(hosts: Sequence[Host], addresses: Mapping[str, Mapping[int, str]], count: int) -> list[str]:
    holders: dict[str, list[str]] = {}
    for host in hosts:
        for device, address in sorted(addresses[host.name].items()):
            if device in range(count) and not _address_fault(address):
                key = str(ipaddress.ip_address(address))
                holders.setdefault(key, []).append(f"NPU {device} of host {host.name}")
    return [
        f"address {address} is used twice: {' and '.join(places)}"
        for address, places in holders.items()
        if len(places) > 1
    ]

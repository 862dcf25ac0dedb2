"""Which subnet a cluster takes, and what counts as taken."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from simulated_cluster.errors import MachineError
from simulated_cluster.names import Names
from simulated_cluster.network import CANDIDATES, creation, first_free, networks_in_use

ADDRESSES = json.dumps(
    [
        {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8}]},
        {"ifname": "eth0", "addr_info": [{"family": "inet", "local": "192.0.2.2", "prefixlen": 24}]},
        # A bridge that is down has an address but no route.
        {
            "ifname": "br-x",
            "operstate": "DOWN",
            "addr_info": [{"family": "inet", "local": "172.31.0.1", "prefixlen": 24}],
        },
        {"ifname": "eth1", "addr_info": [{"family": "inet6", "local": "fe80::1", "prefixlen": 64}]},
    ]
)
ROUTES = json.dumps(
    [
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
        {"type": "unreachable", "dst": "172.31.2.0/23"},
        {"type": "local", "dst": "192.0.2.2", "dev": "eth0"},
        {"type": "broadcast", "dst": "192.0.2.255", "dev": "eth0"},
        {"dst": "0.0.0.0/0", "dev": "tun0"},
    ]
)


def test_addresses_and_routes_count_as_taken_and_the_default_route_does_not() -> None:
    used = networks_in_use(ADDRESSES, ROUTES)
    assert IPv4Network("172.31.0.0/24") in used
    assert IPv4Network("172.31.2.0/23") in used
    assert all(network.prefixlen > 0 for network in used)


def test_the_first_free_network_is_taken() -> None:
    assert first_free(CANDIDATES, networks_in_use(ADDRESSES, ROUTES)) == IPv4Network("172.31.1.0/24")
    assert first_free(CANDIDATES, networks_in_use(ADDRESSES, ROUTES), start=2) == IPv4Network("172.31.4.0/24")


def test_the_search_goes_round() -> None:
    assert first_free(CANDIDATES, [IPv4Network("172.31.255.0/24")], start=255) == IPv4Network("172.31.0.0/24")


def test_a_route_over_all_candidates_is_said() -> None:
    with pytest.raises(MachineError, match=r"172\.31\.0\.0/24 to 172\.31\.255\.0/24 are in use"):
        first_free(CANDIDATES, [IPv4Network("172.16.0.0/12")])


def test_empty_answers_of_ip_are_no_networks() -> None:
    assert networks_in_use("", "[]") == []


def test_the_bridge_has_the_clusters_name(tmp_path: Path) -> None:
    names = Names.of(tmp_path)
    words = creation(names, IPv4Network("172.31.7.0/24"))
    assert f"--opt=com.docker.network.bridge.name={names.bridge}" in words
    assert "--gateway=172.31.7.1" in words

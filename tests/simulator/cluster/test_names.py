"""Two clusters on one machine share no name, and every name fits where it is used."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from simulated_cluster.names import Names, address, host_names, host_number


def test_names_follow_from_the_directory(tmp_path: Path) -> None:
    first, second = Names.of(tmp_path / "one"), Names.of(tmp_path / "two")
    assert first == Names.of(tmp_path / "x" / ".." / "one")
    for attribute in ("key", "network", "bridge", "image", "cgroup", "socket"):
        assert getattr(first, attribute) != getattr(second, attribute)


def test_names_fit(tmp_path: Path) -> None:
    names = Names.of(tmp_path / ("long" * 40))
    assert len(names.bridge) <= 15
    # The longest socket of an engine: its containerd's, below the run directory.
    assert len(str(names.run_directory / "exec" / "containerd" / "containerd-debug.sock")) <= 107


def test_hosts_and_addresses() -> None:
    assert host_names(3) == ("host1", "host2", "host3")
    assert host_number("host12") == 12
    assert address(IPv4Network("172.31.9.0/24"), "host4") == IPv4Address("172.31.9.14")

"""What a host is made from, and when it must be made anew."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import host_actions
import pytest
from simulated_cluster.errors import MachineError
from simulated_cluster.host import HostSpecification
from simulated_cluster.names import Names
from simulated_cluster.running import Cluster


def specification(work: Path) -> HostSpecification:
    return HostSpecification(
        names=Names.of(work),
        host="host2",
        address=IPv4Address("172.31.0.12"),
        identity=work / "ssh" / "host2",
        weights=work / "weights",
        mindie_image=work / "mindie.tar",
        base="abc",
    )


def test_a_host_is_another_one_when_anything_that_shapes_it_changes(tmp_path: Path) -> None:
    host = specification(tmp_path)
    assert host.key() == specification(tmp_path).key()
    assert replace(host, base="abd").key() != host.key()
    assert replace(host, mindie_image=tmp_path / "other.tar").key() != host.key()
    assert replace(host, address=IPv4Address("172.31.0.13")).key() != host.key()


def test_what_a_host_sees_of_the_machine_is_read_only_but_for_its_state(tmp_path: Path) -> None:
    binds = [mount for mount in specification(tmp_path).mounts() if mount.count(":") == 2]
    writable = [mount.split(":")[1] for mount in binds if mount.endswith(":rw")]
    assert writable == ["/sys/fs/cgroup", "/simulator/hosts"]
    assert f"--volume={tmp_path / 'weights'}:/mnt/share/models:ro" in binds


def test_every_action_fills_its_options() -> None:
    for action in host_actions.ACTIONS.values():
        for word in (*action.apply, *action.clear):
            assert "{" not in word.format_map(action.options)


def test_an_unknown_action_or_cluster_is_said(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no host action power-cut"):
        host_actions.find("power-cut")
    with pytest.raises(MachineError, match="no simulated cluster is up"):
        Cluster.open(tmp_path)

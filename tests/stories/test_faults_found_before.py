"""What is wrong on a host is named before anything is started: exit code 3 or 4, the host, the device, the remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stories.conftest import SimulatedCluster


def blocking(cluster: SimulatedCluster, exit_code: int = 3) -> list[dict[str, Any]]:
    """Runs `up`, which must refuse and start nothing; returns the blocking findings of its report."""
    refused = cluster.cli("up", "--yes", "--json")
    assert refused.returncode == exit_code, refused.stdout + refused.stderr
    assert "next:" in refused.stderr
    assert cluster.running() == []
    report = json.loads(refused.stdout)["report"]
    return [finding for finding in report["findings"] if finding["severity"] == "block"]


@pytest.mark.parametrize(
    ("fault", "host", "npu", "check_id"),
    [
        ("link-down", "host3", 5, "hccn.link-up"),
        ("tls-on-host", "host2", None, "hccn.tls-uniform"),
        ("duplicate-ip", "host4", 1, "hccn.ip-unique"),
        ("npu-lost", "host2", 7, "npu.count"),
        ("docker-stopped", "host2", None, "docker.running"),
        ("image-missing", "host4", None, "docker.image"),
        ("port-taken", "host1", None, "ports.free"),
        ("disk-small", "host3", None, "weights.disk"),
    ],
)
def test_one_cause_is_one_blocking_finding(
    idle: SimulatedCluster, fault: str, host: str, npu: int | None, check_id: str
) -> None:
    with idle.fault(fault, host, npu):
        found = blocking(idle)
    assert [finding["check_id"] for finding in found] == [check_id], json.dumps(found, indent=1)
    assert host in json.dumps(found[0]["hosts"])
    assert found[0]["remedy"]
    if npu is not None and fault != "duplicate-ip":
        assert str(npu) in json.dumps(found[0]["devices"])


@pytest.mark.parametrize(
    ("action", "check_id"),
    [
        ("ssh-refused", "host.unreachable"),
        ("ssh-wrong-key", "host.authentication"),
        ("ssh-host-key-changed", "host.key-changed"),
    ],
)
def test_a_host_that_cannot_be_reached(idle: SimulatedCluster, action: str, check_id: str) -> None:
    with idle.action(action, "host2"):
        found = blocking(idle, exit_code=4)
    assert [finding["check_id"] for finding in found] == [check_id]
    assert found[0]["hosts"] == ["host2"]


def test_a_healthy_cluster_is_not_blocked(idle: SimulatedCluster) -> None:
    checked = idle.cli("check", "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["verdict"] in ("ok", "warn")


def test_sizes_that_do_not_multiply_are_refused_by_key_and_file(idle: SimulatedCluster, tmp_path: Path) -> None:
    wrong = idle.inventory_with(tmp_path, data_parallel_size=3)
    refused = idle.cli("up", "--yes", inventory=wrong)
    assert refused.returncode == 2
    assert "mindie_data_parallel_size" in refused.stderr
    assert "all.yml" in refused.stderr


def test_a_syntax_error_in_yaml_is_refused_by_file_and_line(idle: SimulatedCluster, tmp_path: Path) -> None:
    wrong = idle.inventory_with(tmp_path)
    (wrong / "group_vars" / "all.yml").write_text("mindie_port: 1025\nmindie_tp: [8\n")
    refused = idle.cli("up", "--yes", inventory=wrong)
    assert refused.returncode == 2
    assert "all.yml" in refused.stderr
    assert "line" in refused.stderr

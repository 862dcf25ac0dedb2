"""A start that fails ends at once with its cause, and leaves nothing running."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.stories.conftest import SimulatedCluster


def test_a_daemon_that_dies_while_loading_ends_the_wait_with_its_cause(idle: SimulatedCluster) -> None:
    with idle.fault("daemon-dies-loading", "host3"):
        began = time.monotonic()
        failed = idle.cli("up", "--yes")
    assert failed.returncode == 7, failed.stdout + failed.stderr
    assert time.monotonic() - began < 100
    assert "host3 died while the deployment was starting" in failed.stderr
    assert "last lines of host3" in failed.stderr
    assert idle.running() == []


def test_a_failed_start_is_kept_for_inspection_when_asked(idle: SimulatedCluster) -> None:
    with idle.fault("daemon-dies-loading", "host3"):
        failed = idle.cli("up", "--yes", "--keep-failed")
    assert failed.returncode == 7
    assert "host1" in idle.running()
    assert idle.cli("down", "--yes").returncode == 0


def test_a_follower_that_never_comes_up_is_named_at_the_deadline(idle: SimulatedCluster, tmp_path: Path) -> None:
    impatient = idle.inventory_with(tmp_path, ready_timeout=25)
    with idle.fault("follower-never-registers", "host2"):
        failed = idle.cli("up", "--yes", inventory=impatient)
    assert failed.returncode == 7, failed.stdout + failed.stderr
    assert "not ready after" in failed.stderr
    assert idle.running() == []


def test_ctrl_c_leaves_a_true_statement(idle: SimulatedCluster) -> None:
    with idle.fault("daemon-hangs", "host2"):
        process = idle.start_cli("up", "--yes")
        deadline = time.monotonic() + 120
        while len(idle.running()) < 4:
            assert time.monotonic() < deadline, "nothing was started"
            time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    running = idle.running()
    for host in ("host1", "host2", "host3", "host4"):
        said = next(line for line in err.splitlines() if line.strip().startswith(f"{host}:") and "run" in line)
        assert ("its daemon runs" in said) == (host in running), err
    assert idle.cli("down", "--yes").returncode == 0


def test_a_second_run_meanwhile_is_refused_by_the_lock(idle: SimulatedCluster) -> None:
    with idle.fault("daemon-hangs", "host2"):
        process = idle.start_cli("up", "--yes")
        try:
            deadline = time.monotonic() + 120
            while len(idle.running()) < 4:
                assert time.monotonic() < deadline, "nothing was started"
                time.sleep(0.5)
            second = idle.cli("down", "--yes")
            assert second.returncode == 6, second.stdout + second.stderr
            assert "holds the lock" in second.stderr
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)
    assert idle.cli("down", "--yes").returncode == 0
    assert idle.running() == []

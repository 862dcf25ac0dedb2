"""A start that fails ends at once with its cause, and leaves nothing running."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.stories.conftest import SimulatedCluster


def test_a_daemon_that_dies_while_loading_ends_the_wait_with_its_cause(empty: SimulatedCluster) -> None:
    with empty.fault("daemon-dies-loading", "host3"):
        failed = empty.cli("up", "--yes")
    assert failed.returncode == 7, failed.stdout + failed.stderr
    assert "host3 died while the deployment was starting" in failed.stderr
    assert "last lines of host3" in failed.stderr
    assert empty.running() == []


def test_a_failed_start_is_kept_for_inspection_when_asked(empty: SimulatedCluster) -> None:
    with empty.fault("daemon-dies-loading", "host3"):
        failed = empty.cli("up", "--yes", "--keep-failed")
    assert failed.returncode == 7
    assert "host1" in empty.running()
    assert empty.cli("down", "--yes").returncode == 0


def test_a_follower_that_never_comes_up_is_named_at_the_deadline(empty: SimulatedCluster, tmp_path: Path) -> None:
    impatient = empty.inventory_with(tmp_path, ready_timeout=25)
    with empty.fault("follower-never-registers", "host2"):
        failed = empty.cli("up", "--yes", inventory=impatient)
    assert failed.returncode == 7, failed.stdout + failed.stderr
    assert "not ready after" in failed.stderr
    assert empty.running() == []


def test_ctrl_c_leaves_a_true_statement(empty: SimulatedCluster) -> None:
    with empty.fault("daemon-hangs", "host2"):
        process = empty.start_cli("up", "--yes")
        deadline = time.monotonic() + 120
        while len(empty.running()) < 4:
            assert time.monotonic() < deadline, "nothing was started"
            time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    running = empty.running()
    told = err[err.index("cancelled during") :]
    for host in ("host1", "host2", "host3", "host4"):
        said = next(line for line in told.splitlines() if line.strip().startswith(f"{host}:"))
        assert ("its daemon runs" in said) == (host in running), err
    assert empty.cli("down", "--yes").returncode == 0


def test_of_two_runs_at_once_one_works_and_the_others_are_refused(empty: SimulatedCluster) -> None:
    with empty.fault("daemon-hangs", "host2"):
        processes = [empty.start_cli("up", "--yes") for _ in range(2)]
        try:
            deadline = time.monotonic() + 200
            while len(empty.running()) < 4 or all(process.poll() is None for process in processes):
                assert time.monotonic() < deadline, "nothing was started, or nobody was refused"
                time.sleep(0.5)
            assert sorted(str(process.poll()) for process in processes) == ["6", "None"]
            second = empty.cli("down", "--yes")
            assert second.returncode == 6, second.stdout + second.stderr
            assert "holds the lock" in second.stderr
        finally:
            for process in processes:
                process.send_signal(signal.SIGINT)
            for process in processes:
                process.communicate(timeout=120)
    assert empty.cli("down", "--yes").returncode == 0
    assert empty.running() == []

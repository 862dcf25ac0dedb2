"""The lab itself: its network, its programs, and that nothing of it stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.weights import network, rsync
from benchmarks.weights.lab import Lab
from benchmarks.weights.process import Process

ROOT = Path(__file__).resolve().parents[2]


def test_floor_is_what_the_link_carries(small: Lab) -> None:
    outcome = small.measure_floor()
    assert small.floor == pytest.approx(40e6, rel=0.2)
    assert outcome.sent / small.payload.size == pytest.approx(1.0, abs=0.02)
    assert 0 < outcome.cpu_s[0] < 10


@pytest.mark.skipif(shutil.which("rsync") is None, reason="there is no rsync")
def test_rsync_sends_to_each(small: Lab) -> None:
    small.floor = 40e6
    for method in (rsync.in_sequence, rsync.in_parallel):
        outcome = method(small)
        assert sorted(outcome.complete) == [1, 2]
        assert outcome.sent / small.payload.size == pytest.approx(2.0, abs=0.1)
        assert (outcome.ratio() or 0) > 1.7


def test_a_wrong_file_fails_the_run(small: Lab) -> None:
    small.clear()
    (small.home(1) / "payload").mkdir()
    with pytest.raises(network.LabError, match=r"m1: 28 of 28 files are missing or wrong in .*, the first is config"):
        small.prove("payload")


def test_a_link_is_shaped_anew_and_cut(small: Lab) -> None:
    small.clear()
    small.net.shape(0, 10e6)
    small.measure_floor()
    assert small.floor == pytest.approx(10e6, rel=0.2)
    small.net.cut(0)
    assert not reachable(small)
    small.net.mend(0)
    assert reachable(small)


def reachable(lab: Lab) -> bool:
    """Whether m1 gets an answer from m0; nothing listens there, so it is a refusal."""
    text = f"import socket; socket.create_connection(('{lab.net.address(0)}', 9), timeout=2)"
    words = ["ip", "netns", "exec", lab.net.namespace(1), sys.executable, "-ISc", text]
    return "ConnectionRefusedError" in subprocess.run(words, capture_output=True, text=True, check=False).stderr


def test_members_have_no_way_out(small: Lab) -> None:
    routes = network.command("ip", "-n", small.net.namespace(1), "route").splitlines()
    assert [route.split()[0] for route in routes] == ["10.77.0.0/16"]


def test_a_program_counts_its_children_and_says_how_it_ended(small: Lab) -> None:
    small.clear()
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    started = small.start(1, ["sh", "-c", f"{sys.executable} -IS -c '{burn}'; cat; exit 3"], b"said\n")
    started.wait(30)
    assert (started.code, started.tail()) == (3, "said")
    assert started.cpu_s >= 0.3
    with pytest.raises(network.LabError, match="m1 ended with 3; its log ends:\nsaid"):
        started.succeeded()


def test_a_program_is_killed_with_its_children(small: Lab) -> None:
    small.clear()
    started = small.start(1, ["sh", "-c", "sleep 100 & echo $!; wait"])
    child = first_line(started)
    started.stop(signal.SIGKILL)
    assert started.code == -signal.SIGKILL
    until = time.monotonic() + 5
    while Path("/proc", child).exists() and "\nState:\tZ" not in Path("/proc", child, "status").read_text():
        assert time.monotonic() < until
        time.sleep(0.01)


def first_line(started: Process) -> str:
    until = time.monotonic() + 10
    while not (line := started.tail()).strip().isdigit():
        assert time.monotonic() < until
        time.sleep(0.01)
    return line.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_lab_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    words = ["-m", "benchmarks.weights", "exchange", "--members", "4", "--size", "16", "--rate", "1"]
    with (tmp_path / "log").open("wb") as log:
        started = subprocess.Popen(
            [sys.executable, *words, f"--work={tmp_path}/work"], cwd=ROOT, stdout=log, stderr=log
        )
    mine = f"{network.PREFIX}-{started.pid}-"
    try:
        until = time.monotonic() + 30
        while not any(network.command("ip", "netns", "pids", name) for name in network.namespaces() if mine in name):
            assert started.poll() is None and time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.05)
        started.send_signal(number)
        assert started.wait(30) != 0
    finally:
        started.kill()
    assert not [name for name in network.namespaces() if mine in name]
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["payloads"]


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_what_a_killed_lab_left_is_removed() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    name = f"{network.PREFIX}-{ended.pid}-0-m1"
    network.command("ip", "netns", "add", name)
    network.remove_left_over()
    assert name not in network.namespaces()

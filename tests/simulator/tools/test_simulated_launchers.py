"""The programs themselves, as a host or a container runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tools import state

SIMULATOR = Path(__file__).parents[3] / "molecule" / "simulator"
LAUNCHERS = SIMULATOR / "tools" / "launchers"
Environment = dict[str, str]


@pytest.fixture
def environment(hosts: Path) -> Environment:
    """What a host's environment is to the launchers: the tools' home and, as /opt is not theirs, where yaml is."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "SIMULATOR_HOME": str(SIMULATOR),
        "SIMULATOR_PYTHONPATH": str(Path(yaml.__file__).parents[1]),
        **{key: os.environ[key] for key in (state.ROOT_VARIABLE, state.RUN_VARIABLE, state.NAME_VARIABLE)},
    }


def start(tool: str, words: str, environment: Environment) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(LAUNCHERS / tool), *words.split()],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call(tool: str, words: str, environment: Environment) -> tuple[str, str, int]:
    process = start(tool, words, environment)
    out, err = process.communicate(timeout=30)
    return out, err, process.returncode


def test_the_programs_answer(environment: Environment) -> None:
    out, _, status = call("npu-smi", "info", environment)
    assert out.count("910B3") == 8
    assert status == 0
    assert call("hccn_tool", "-i 7 -link -g", environment) == ("link status: UP\n", "", 0)
    assert call("lspci", "-d 19e5:d802", environment)[0].count("Device d802 (rev 20)\n") == 8
    assert call("lspci", "-n -d 19e5:", environment)[0].splitlines()[0] == "01:00.0 1200: 19e5:d802 (rev 20)"


@pytest.mark.parametrize("tool", ["npu-smi", "hccn_tool", "lspci"])
def test_in_a_container_the_programs_say_why_they_cannot_work(tool: str, tmp_path: Path) -> None:
    inside = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "SIMULATOR_HOME": str(tmp_path / "absent")}
    out, err, status = call(tool, "info", inside)
    assert (out, status) == ("", 69)
    assert err.startswith(f"simulated {tool}: ")
    assert "Traceback" not in err


def test_a_broken_state_file_is_named(environment: Environment, hosts: Path) -> None:
    (hosts / "host1.yml").write_text("npus: [{health: Bad}]", encoding="utf-8")
    out, err, status = call("npu-smi", "info", environment)
    assert (out, status) == ("", 70)
    assert err.startswith(f"simulated npu-smi: {hosts / 'host1.yml'}: npus[0].health: must be one of")


def test_two_calls_at_once_on_one_device_and_on_two(environment: Environment, hosts: Path) -> None:
    state.change(hosts / "host1.yml", lambda raw: raw.update(pace={"hccn_s": 1.5}))
    call("npu-smi", "-v", environment)  # compiles the tools and parses the state
    calls = [start("hccn_tool", f"-i {number} -link -g", environment) for number in (0, 0, 1)]
    results = [(process.communicate(timeout=30)[0], process.returncode) for process in calls]
    assert sorted(results[:2]) == [("hccn_tool is busy, please try again.\n", 11), ("link status: UP\n", 0)]
    assert results[2] == ("link status: UP\n", 0)


def test_a_hanging_tool_ends_only_when_killed(environment: Environment, hosts: Path) -> None:
    state.change(hosts / "host1.yml", lambda raw: raw.update(tools=[{"tool": "npu-smi", "hang": True}]))
    process = start("npu-smi", "info", environment)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.7)
    process.kill()
    assert process.communicate()[0] == ""


def only_these(pids: list[int], folder: Path) -> Environment:
    """Shows the tools these processes alone: a simulated cluster on this machine has claims of its own."""
    folder.mkdir()
    for pid in pids:
        (folder / str(pid)).symlink_to(f"/proc/{pid}")
    return {"SIMULATOR_PROC": str(folder)}


@pytest.fixture
def claimer() -> Iterator[tuple[int, int]]:
    """A process that claims memory of NPU 3, and its child that inherits the environment; their pids."""
    claim = f"npu=3,mib=20000,from={time.time() - 50:.0f},over=100,aicore=37"
    code = (
        "import subprocess, sys; open('/proc/self/comm', 'w').write('ray::Worker')\n"
        "child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); sys.stdin.read(); child.kill()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "SIMULATED_NPU_CLAIM": claim},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    yield process.pid, int(process.stdout.readline())
    process.communicate(timeout=10)


def test_a_claim_is_seen_in_every_view(environment: Environment, claimer: tuple[int, int], tmp_path: Path) -> None:
    environment.update(only_these(list(claimer), tmp_path / "proc"))
    pid = claimer[0]
    table = call("npu-smi", "info", environment)[0]
    row = next(line for line in table.splitlines() if f"| {pid} " in line)
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:3] == ["3       0", str(pid), "rayWorker"]
    assert 9900 < int(cells[3]) < 11500  # half of the ramp and a little
    assert "No running processes found in NPU 3 " not in table
    assert table.count("No running processes found") == 7
    memory = call("npu-smi", "info -t proc-mem -i 3", environment)[0]
    assert f"Process id:{pid:<7} Process name:rayWorker" in memory
    assert memory.count("Process id") == 1
    for kind in ("usages", "common"):
        text = call("npu-smi", f"info -t {kind} -i 3", environment)[0]
        assert "Aicore Usage Rate(%)           : 37\n" in text
        assert "HBM Usage Rate(%)              : 2" in text  # 13.4 to 14.9 of 65.5 GB
    assert "No process in device." in call("npu-smi", "info -t proc-mem -i 2", environment)[0]


def test_a_malformed_claim_is_reported_and_does_not_count(environment: Environment, tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"], env={"SIMULATED_NPU_CLAIM": "npu=3;mib=1"})
    environment.update(only_these([process.pid], tmp_path / "proc"))
    try:
        out, err, status = call("npu-smi", "info", environment)
    finally:
        process.kill()
        process.wait()
    assert f"process {process.pid}: SIMULATED_NPU_CLAIM=npu=3: npu= and mib= are needed" in err
    assert status == 0
    assert out.count("No running processes found") == 8

"""Ctrl-C on a real process: stops, says what still runs, gives the lock back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mindie_deploy.errors import ExitCode
from tests.cli.reports import good
from tests.runs.stub_content import StubContent

# The command line with its content in another directory.
PROGRAM = """
import sys
from pathlib import Path
import mindie_deploy.runs.environment as environment, mindie_deploy.runs.runner as runner
environment.content_directory = runner.content_directory = lambda: Path(sys.argv[1])
from mindie_deploy.cli.main import main
main(sys.argv[2:])
"""


def start(content: StubContent, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(content.directory), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "MARK_OF_TEST": str(content.directory)},
    )


def wait_for(directory: Path, text: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if any(text in path.read_text() for path in directory.rglob("events.jsonl")):
            return
        time.sleep(0.1)
    raise AssertionError(f"{text} was not seen in {directory}")


@pytest.mark.parametrize("numbers", [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)])
def test_ctrl_c_during_up_says_what_still_runs_and_gives_the_lock_back(
    content: StubContent, tmp_path: Path, numbers: tuple[signal.Signals, ...]
) -> None:
    running = {"status": {"container": {}, "state": "starting", "message": "loads", "since": "", "npus": []}}
    lock = {"lock": {"run_id": "$RUN_ID"}, "released": {"lock": None, "removed": {"run_id": "$RUN_ID"}}}
    content.answer(
        {
            "mindie_judge": {"*": {"report": good()}},
            "mindie_files": {"*": {"changed": True, "diff": [{"before": "", "after": "x\n", "after_header": "/d/x"}]}},
            "mindie_lock": {"*": lock},
            "mindie_wait": {
                "*": {"sleep": 120, "progress": [{"state": "starting", "message": "loads", "elapsed_s": 1}]}
            },
            "mindie_wait (check)": {},
            "mindie_status": {"host1": running, "*": {"status": {"state": "absent", "npus": []}}},
        }
    )
    process = start(content, "up", "--yes", "-i", str(content.inventory()))
    try:
        wait_for(tmp_path / "state", '"text": "mindie-deploy: ')
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.4)
        told, _ = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert "stopping: Ansible is asked to end" in told
    assert "cancelled during: Do mindie_wait" in told
    assert "host1: its daemon runs (loads)" in told
    assert "host2: nothing runs" in told
    assert "the lock of the deployment was given back" in told
    assert told.rstrip().splitlines()[-1].startswith("next: mindie-deploy down stops what runs")
    assert not living(str(content.directory))


# The command line, interrupted while a part of it is loaded.
INTERRUPTED = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from mindie_deploy.cli.main import main
main(["explain"])
"""


@pytest.mark.parametrize("module", ["mindie_deploy.cli.application", "pydantic", "mindie_deploy.preflight.checks"])
def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_traceback(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (ExitCode.CANCELLED, "")
    assert done.stderr == "cancelled; nothing was begun\n"


def test_ctrl_c_that_the_caller_ignores_is_ignored_while_loading() -> None:
    program = INTERRUPTED.replace("class", "signal.signal(signal.SIGINT, signal.SIG_IGN)\nclass", 1)
    done = subprocess.run(
        [sys.executable, "-c", program, "pydantic"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def living(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"MARK_OF_TEST={mark}".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found

"""What each kind of failure is called and which exit code it has."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.errors import ExitCode
from mindie_deploy.runs.events import Event, read_event
from mindie_deploy.runs.outcome import error_of
from mindie_deploy.runs.processes import gone, this_process
from mindie_deploy.runs.result import Collector, RunResult

HERE = f"anna@{socket.gethostname()}"
NAMESPACE = this_process().partition("@")[2]
NO_PID = 2**22 + 5  # above the largest process id


def failed(action: str, host: str = "host1", task: str = "Do it", **result: Any) -> Event:
    return Event("runner_on_failed", action=action, host=host, task=task, result=result)


def run_of(*events: Event, return_code: int = 2) -> RunResult:
    collector = Collector()
    for event in (Event("playbook_on_task_start", task="Do it"), *events):
        collector.add(event)
    hosts = {event.host: 1 for event in events if event.host} or {"host1": 1}
    collector.add(Event("playbook_on_stats", data={"processed": hosts, "failures": hosts}))
    return collector.result("x.yml", return_code, 1.0, cancelled=False)


@pytest.mark.parametrize(
    ("event", "code", "words"),
    [
        (
            failed("mindie_settings", msg="a setting is wrong: x\nnext: correct it"),
            ExitCode.USAGE,
            "a setting is wrong",
        ),
        (failed("mindie_lock", msg="anna holds it. Wait for it, or", locked=True), ExitCode.LOCKED, "anna holds it"),
        (failed("mindie_lock", msg="disk full", locked=False), ExitCode.FAILED, "disk full"),
        (failed("mindie_judge", msg="see above", report={"verdict": "block"}), ExitCode.CHECK_FAILED, "see above"),
        (failed("mindie_judge", msg="TypeError"), ExitCode.INTERNAL, "TypeError"),
        (failed("mindie_wait", msg="host3 died", gang={"causes": [{"remedy": "R"}]}), ExitCode.NOT_READY, "host3 died"),
        (failed("copy", msg="no space left"), ExitCode.FAILED, "no space left"),
    ],
)
def test_the_action_that_failed_decides(event: Event, code: ExitCode, words: str) -> None:
    error = error_of(run_of(event), writes=True)
    assert error is not None
    assert error.exit_code == code
    assert words in error.message
    assert error.remedy


def test_the_first_failure_counts_not_its_echo() -> None:
    wait = failed("mindie_wait", "host3", msg="host3 died: exit 255", gang={"causes": [{"remedy": "mend it"}]})
    echo = failed("fail", "host3", msg="The deployment did not start")
    error = error_of(run_of(wait, echo), writes=True)
    assert error is not None
    assert error.exit_code == ExitCode.NOT_READY
    assert error.remedy == "mend it"


def test_equal_messages_of_several_hosts_are_said_once() -> None:
    events = [failed("mindie_files", host, msg="permission denied") for host in ("host1", "host2")]
    error = error_of(run_of(*events), writes=True)
    assert error is not None
    assert error.message == "host1, host2: Do it failed: permission denied"


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("Host key verification failed.", "known_hosts"),
        ("root@192.0.2.1: Permission denied (publickey).", "ansible_user"),
        ("ssh: connect to host 192.0.2.1 port 22: Connection timed out", "network"),
    ],
)
def test_unreachable_hosts_come_with_the_remedy_for_sshs_words(words: str, remedy: str) -> None:
    collector = Collector()
    collector.add(Event("playbook_on_task_start", task="Reach"))
    collector.add(Event("runner_on_unreachable", host="host2", result={"msg": words, "unreachable": True}))
    collector.add(Event("playbook_on_stats", data={"dark": {"host2": 1}, "processed": {"host2": 1}}))
    error = error_of(collector.result("x", 4, 1.0, cancelled=False), writes=False)
    assert error is not None
    assert error.exit_code == ExitCode.UNREACHABLE
    assert remedy in error.remedy


def test_ignored_failures_are_no_failures() -> None:
    collector = Collector()
    collector.add(Event("runner_on_failed", host="host1", action="x", result={"msg": "no"}, ignored=True))
    collector.add(Event("playbook_on_stats", data={"ok": {"host1": 1}, "processed": {"host1": 1}}))
    assert collector.result("x", 0, 1.0, cancelled=False).ok


def test_hostile_events_are_read_without_a_fault() -> None:
    event = read_event({"event": "runner_on_ok", "event_data": {"res": ["no", "mapping"], "host": None}})
    assert event.result == {}
    assert Event("verbose", stdout="mindie-deploy: {not json").progress is None
    assert Event("verbose", stdout='mindie-deploy: {"host": 1}').progress is None
    assert Event("verbose", stdout="mindie-deploy: [1]").progress is None


@pytest.mark.parametrize(
    ("owner", "process", "remedy"),
    [
        (HERE, f"{NO_PID}@{NAMESPACE}", "mindie-deploy lock release, then"),
        (HERE, f"{NO_PID}@pid:[1]", "wait for that run"),  # in a container that we do not see into
        (HERE, "", "wait for that run"),
        ("anna@elsewhere", f"{NO_PID}@{NAMESPACE}", "wait for that run"),
    ],
)
def test_a_lock_whose_run_is_gone_says_so(owner: str, process: str, remedy: str) -> None:
    lock = {"owner": owner, "process": process}
    error = error_of(run_of(failed("mindie_lock", msg="anna holds it", locked=True, lock=lock)), writes=True)
    assert error is not None
    assert error.exit_code == ExitCode.LOCKED
    assert error.remedy.startswith(remedy)


def test_failures_are_named_task_by_task_in_rank_order() -> None:
    events = [failed("copy", host, task, msg=f"{task} on {host}") for task in ("B", "A") for host in ("h2", "h1")]
    told = run_of(*events).in_order(("h1", "h2"))
    assert [(one.task, one.host) for one in told.failures] == [("B", "h1"), ("B", "h2"), ("A", "h1"), ("A", "h2")]


def test_a_launcher_that_was_started_as_a_module_is_not_taken_for_gone(tmp_path: Path) -> None:
    waits = tmp_path / "mindie_deploy.py"
    waits.write_text("print(flush=True)\ninput()\n")
    command = [sys.executable, str(waits)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        assert not gone(HERE, f"{launcher.pid}@{NAMESPACE}")
        launcher.communicate(b"\n")
    assert gone(HERE, f"{launcher.pid}@{NAMESPACE}")


def test_another_program_with_the_number_of_a_launcher_is_not_the_launcher() -> None:
    with subprocess.Popen(["sleep", "30"]) as other:
        # Between fork and exec it still shows our own command line.
        while b"sleep" not in Path(f"/proc/{other.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        assert gone(HERE, f"{other.pid}@{NAMESPACE}")
        other.kill()

"""Each trap of ansible-runner, closed: what an operator would see."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mindie_deploy.errors import ExitCode, MindieDeployError
from mindie_deploy.runs import processes
from mindie_deploy.runs.cancel import Cancellation
from mindie_deploy.runs.events import CANCEL_REQUESTED, Event
from mindie_deploy.runs.outcome import error_of
from mindie_deploy.runs.records import RunRecord
from mindie_deploy.runs.redaction import Redactor
from mindie_deploy.runs.result import RunResult
from mindie_deploy.runs.runner import run_playbook
from tests.runs.stub_content import StubContent


def run_and_cancel(content: StubContent, record: RunRecord, command: str, *, grace: float, times: int) -> RunResult:
    """Runs a task that takes long, and cancels it once it has begun on both hosts."""
    begun = content.directory / "begun"
    begun.mkdir()
    script = f"touch {begun}/{{{{ inventory_hostname }}}}; {command}"
    content.write_playbook("long", [{"name": "Take long", "ansible.builtin.shell": script}])
    cancel = Cancellation(grace=grace)

    def press() -> None:
        deadline = time.monotonic() + 60
        while len(list(begun.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        cancel.request()
        if times > 1:
            time.sleep(0.5)
            cancel.force()

    presser = threading.Thread(target=press)
    presser.start()
    result = run_playbook(
        "long", inventory=[str(content.inventory())], record=record, cancel=cancel, extra_variables={"x": 1}
    )
    presser.join()
    return result


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for what must come to be."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.1)


def command_lines() -> list[str]:
    """Returns the command lines of all processes."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


def nothing_of(record: RunRecord) -> bool:
    """Whether no process carries the mark of a run of this record."""
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and f"{processes.MARK}={record.run_id}/".encode() in (entry / "environ").read_bytes()
            ):
                return False
        except OSError:
            continue
    return True


def test_a_cancel_leaves_nothing_running_and_no_effect_behind(content: StubContent, record: RunRecord) -> None:
    effect = content.directory / "effect"
    result = run_and_cancel(content, record, f"sleep 6; touch {effect}", grace=30, times=1)
    assert result.status == "cancelled"
    assert result.seconds < 15
    assert nothing_of(record)
    time.sleep(max(0.0, 7 - result.seconds))
    assert not effect.exists()
    error = error_of(result, writes=True)
    assert error is not None
    assert error.exit_code == ExitCode.CANCELLED


def test_what_ignores_the_polite_cancel_is_killed_after_the_grace_time(content: StubContent, record: RunRecord) -> None:
    stubborn = "trap '' INT TERM HUP; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1; done"
    result = run_and_cancel(content, record, stubborn, grace=1, times=1)
    assert result.status == "cancelled"
    assert not result.left_over
    assert nothing_of(record)


def test_a_killed_launcher_takes_ansible_with_it(content: StubContent) -> None:
    begun, effect = content.directory / "begun", content.directory / "effect"
    command = f"touch {begun}; sleep 6; touch {effect}"
    playbook = content.write_playbook("long", [{"name": "Take long", "ansible.builtin.shell": command}])
    program = (
        "import sys; from mindie_deploy.runs.records import RunRecord as Record; "
        "from mindie_deploy.runs.runner import run_playbook; "
        "run_playbook(sys.argv[1], inventory=[sys.argv[2]], record=Record.create('up'))"
    )
    launcher = subprocess.Popen([sys.executable, "-c", program, str(playbook), str(content.inventory())])
    wait_until(begun.exists)
    launcher.kill()
    launcher.wait()
    wait_until(lambda: not any(str(playbook) in words for words in command_lines()))
    time.sleep(7)
    assert not effect.exists()


def test_a_second_cancel_does_not_wait(content: StubContent, record: RunRecord) -> None:
    result = run_and_cancel(content, record, "trap '' INT TERM HUP; sleep 30 & wait; sleep 30", grace=60, times=2)
    assert result.status == "cancelled"
    assert result.seconds < 25
    assert nothing_of(record)


def test_a_second_ctrl_c_when_the_playbook_has_just_ended_is_no_interrupt() -> None:
    class Ended:
        def interrupt(self) -> None: ...

        def kill(self) -> None: ...

    cancel = Cancellation()
    with cancel.signals():
        with cancel.attached(Ended()):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with Cancellation().signals(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_cancel_after_the_end_changes_nothing(content: StubContent, record: RunRecord) -> None:
    cancel = Cancellation()
    result = run_playbook("check", inventory=[str(content.inventory())], record=record, cancel=cancel)
    cancel.request()
    assert result.ok


def test_the_cancel_is_an_event_that_views_can_show(content: StubContent, record: RunRecord) -> None:
    cancel = Cancellation(grace=0.5)
    cancel.request()
    seen: list[Event] = []
    result = run_playbook(
        "check", inventory=[str(content.inventory())], record=record, cancel=cancel, on_event=seen.append
    )
    assert CANCEL_REQUESTED in [event.kind for event in seen]
    assert result.status == "cancelled"


def test_no_secret_is_left_on_disk(
    content: StubContent, record: RunRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "env-secret-1")
    inventory = content.inventory(ansible_become_password="become-secret-2")
    tasks = [
        {"name": "Say too much", "ansible.builtin.debug": {"msg": "{{ ansible_become_password }} {{ secret_extra }}"}},
        {"name": "Fail too loud", "ansible.builtin.command": "echo become-secret-2", "changed_when": False},
    ]
    content.write_playbook("talkative", tasks)
    record.redact = Redactor(["env-secret-1", "become-secret-2", "extra-secret-3"])
    seen: list[set[str]] = []

    def look(event: Event) -> None:
        if event.kind == "runner_on_ok":
            seen.append(holding(tmp_path / "state", "env-secret-1"))

    result = run_playbook(
        "talkative",
        inventory=[str(inventory)],
        record=record,
        extra_variables={"secret_extra": "extra-secret-3"},
        on_event=look,
    )
    assert result.ok
    assert "********" in record.log.read_text()
    for secret in ("env-secret-1", "become-secret-2", "extra-secret-3"):
        assert holding(tmp_path / "state", secret) == set()
    # Not even while the run was going on: the environment was already gone from the file that holds it.
    assert seen
    assert not any(seen)
    assert not (record.directory / "private").exists()


def holding(directory: Path, text: str) -> set[str]:
    found = set()
    for path in directory.rglob("*"):
        try:
            if path.is_file() and text in path.read_text(errors="replace"):
                found.add(path.name)
        except FileNotFoundError:
            continue
    return found


def test_extra_variables_are_not_on_a_command_line(content: StubContent, record: RunRecord) -> None:
    lines: list[str] = []

    def look(event: Event) -> None:
        if event.kind == "runner_on_start":
            for pid in Path("/proc").iterdir():
                try:
                    lines.append((pid / "cmdline").read_text().replace("\0", " "))
                except OSError:
                    continue

    run_playbook(
        "check",
        inventory=[str(content.inventory())],
        record=record,
        extra_variables={"mindie_deploy_extra": "not-for-ps"},
        on_event=look,
    )
    assert any("playbooks/check.yml" in line for line in lines)
    assert not any("not-for-ps" in line for line in lines)


def test_variables_of_an_earlier_run_do_not_come_back(content: StubContent, record: RunRecord) -> None:
    content.answer({"mindie_judge": {"*": {"echo_variables": True}}})
    inventory = [str(content.inventory())]
    first = run_playbook(
        "check", inventory=inventory, record=record, extra_variables={"mindie_deploy_extra": "a b", "x": [1]}
    )
    second = run_playbook("check", inventory=inventory, record=record, extra_variables={"y": 2})
    assert first.any_of("mindie_judge")["seen"]["mindie_deploy_extra"] == "a b"
    assert second.any_of("mindie_judge")["seen"]["mindie_deploy_extra"] is None


@pytest.mark.parametrize(
    ("environment", "configuration", "wanted"),
    [({}, None, "True"), ({"ANSIBLE_HOST_KEY_CHECKING": "False"}, None, "False"), ({}, "False", "False")],
)
def test_host_keys_are_checked_unless_the_operator_says_otherwise(
    content: StubContent,
    record: RunRecord,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    configuration: str | None,
    wanted: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if configuration:
        Path("ansible.cfg").write_text(f"[defaults]\nhost_key_checking = {configuration}\n")
    task = {"ansible.builtin.debug": {"msg": "{{ lookup('ansible.builtin.config', 'HOST_KEY_CHECKING') }}"}}
    content.write_playbook("tell", [{"name": "Tell", **task}])
    result = run_playbook("tell", inventory=[str(content.inventory(1))], record=record)
    assert str(result.any_of("debug")["msg"]) == wanted


def test_a_run_that_matches_no_host_is_a_failure(content: StubContent, record: RunRecord) -> None:
    content.write_playbook("nowhere", [{"name": "Never", "ansible.builtin.debug": {"msg": "x"}}], hosts="others")
    result = run_playbook("nowhere", inventory=[str(content.inventory())], record=record)
    assert result.return_code == 0
    assert result.status == "no-hosts"
    error = error_of(result, writes=True)
    assert error is not None
    assert error.exit_code == ExitCode.USAGE


def test_a_host_on_which_no_task_ran_is_a_failure(content: StubContent, record: RunRecord) -> None:
    content.write_playbook("some", [{"name": "Do", "ansible.builtin.debug": {"msg": "x"}}], hosts="host1")
    result = run_playbook(
        "some", inventory=[str(content.inventory())], record=record, expected_hosts=["host1", "host2"]
    )
    assert result.status == "failed"
    assert [failure.host for failure in result.failures] == ["host2"]


def test_an_unreachable_host_ends_with_our_own_code(content: StubContent, record: RunRecord) -> None:
    # Nothing listens on this port of this machine.
    inventory = content.inventory(1, ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=9)
    (inventory / "hosts.yml").write_text((inventory / "hosts.yml").read_text().replace("192.0.2.1", "127.0.0.1"))
    content.write_playbook("touch", [{"name": "Reach", "ansible.builtin.ping": None}])
    result = run_playbook("touch", inventory=[str(inventory)], record=record)
    assert result.status == "unreachable"
    error = error_of(result, writes=False)
    assert error is not None
    assert error.exit_code == ExitCode.UNREACHABLE
    assert "host1" in error.message


def test_a_playbook_that_is_not_there_is_said_before_anything_starts(content: StubContent, record: RunRecord) -> None:
    with pytest.raises(MindieDeployError, match=r"no playbook .*/nonesuch\.yml"):
        run_playbook("nonesuch", inventory=[str(content.inventory())], record=record)
    assert not record.log.exists()


def test_a_syntax_error_in_a_playbook_is_not_taken_for_an_unreachable_host(
    content: StubContent, record: RunRecord
) -> None:
    (content.directory / "playbooks" / "broken.yml").write_text("- hosts: mindie\n  tasks: [\n")
    result = run_playbook("broken", inventory=[str(content.inventory())], record=record)
    assert result.status == "not-started"
    error = error_of(result, writes=True)
    assert error is not None
    assert error.exit_code == ExitCode.INTERNAL
    assert "broken.yml" in str(error)


def test_a_limit_that_matches_nothing_is_a_usage_error(content: StubContent, record: RunRecord) -> None:
    result = run_playbook("check", inventory=[str(content.inventory())], record=record, limit="host9")
    error = error_of(result, writes=False)
    assert error is not None
    assert error.exit_code == ExitCode.USAGE


def test_a_slow_view_does_not_slow_the_run(content: StubContent, record: RunRecord) -> None:
    tasks = [{"name": f"Task {number}", "ansible.builtin.debug": {"msg": "x"}} for number in range(20)]
    content.write_playbook("many", tasks)
    inventory = [str(content.inventory())]
    seen: list[Event] = []
    slept = 0.04

    def slow(event: Event) -> None:
        time.sleep(slept)
        seen.append(event)

    result = run_playbook("many", inventory=inventory, record=record, on_event=slow)
    assert result.ok
    assert len(seen) > 80
    ended = result.seconds
    # Handled inside the run, the events alone would have taken this long.
    quick = run_playbook("many", inventory=inventory, record=record)
    assert ended < quick.seconds + slept * len(seen) / 2
    assert [event.counter for event in seen] == sorted(event.counter for event in seen)


def test_a_fault_of_the_view_does_not_end_the_run_and_is_not_swallowed(content: StubContent, record: RunRecord) -> None:
    effect = content.directory / "effect"
    content.write_playbook(
        "touch",
        [
            {"name": "Wait", "ansible.builtin.pause": {"seconds": 1}},
            {"name": "Do", "ansible.builtin.file": {"path": str(effect), "state": "touch"}},
        ],
    )

    def fault(_event: Event) -> None:
        raise RuntimeError("drawing failed")

    with pytest.raises(RuntimeError, match="drawing failed"):
        run_playbook("touch", inventory=[str(content.inventory(1))], record=record, on_event=fault)
    assert effect.exists()
    assert "PLAY RECAP" in record.log.read_text()


def test_results_of_any_size_arrive(content: StubContent, record: RunRecord) -> None:
    content.answer({"mindie_judge": {"*": {"report": "x" * 1_500_000}}})
    result = run_playbook("check", inventory=[str(content.inventory())], record=record)
    assert len(result.any_of("mindie_judge")["report"]) == 1_500_000


def test_what_the_surroundings_set_for_other_tools_does_no_harm(
    content: StubContent, record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_ID", "nightly-7")  # as CI systems do; ansible-runner wants a number there
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "no_such_callback")
    Path("yaml.py").write_text("raise SystemExit('the working directory was imported')\n")
    assert run_playbook("check", inventory=[str(content.inventory())], record=record).ok


def test_progress_lines_of_long_tasks_are_read(content: StubContent, record: RunRecord) -> None:
    line = {"state": "starting", "message": "loads [1/163]", "elapsed_s": 2.5, "bytes": 7}
    content.answer({"mindie_judge": {"*": {"progress": [line]}}})
    seen: list[Event] = []
    run_playbook("check", inventory=[str(content.inventory())], record=record, on_event=seen.append)
    told = [event.progress for event in seen if event.progress]
    assert [(one.state, one.message, one.elapsed_s, one.more) for one in told] == [
        ("starting", "loads [1/163]", 2.5, {"bytes": 7})
    ]


def test_the_record_has_events_and_log_for_its_owner_only(content: StubContent, record: RunRecord) -> None:
    run_playbook("check", inventory=[str(content.inventory())], record=record)
    events = [json.loads(line) for line in record.events.read_text().splitlines()]
    assert events[-1]["kind"] == "playbook_on_stats"
    for path in (record.directory, record.events, record.log, record.directory / "run.json"):
        assert path.stat().st_mode & 0o077 == 0
    assert os.environ["HOME"] not in record.directory.parts

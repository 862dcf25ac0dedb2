"""How a run looks while it goes on: plain lines where nothing can be redrawn, a redrawn block on a terminal."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from mindie_deploy.cli import progress
from mindie_deploy.cli.progress import ProgressView
from mindie_deploy.cli.terminal import Terminal, clock, duration
from mindie_deploy.runs.events import CANCEL_REQUESTED, Event


def line(host: str, state: str, message: str) -> Event:
    told = {"host": host, "state": state, "message": message, "elapsed_s": 61}
    return Event("verbose", stdout="mindie-deploy: " + json.dumps(told))


def terminal(*, tty: bool) -> tuple[Terminal, io.StringIO]:
    out = io.StringIO()
    one = Terminal()
    one.err = Console(file=out, force_terminal=tty, width=80, markup=False, highlight=False, no_color=True)
    return one, out


def test_plain_lines_have_the_elapsed_time_and_only_long_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENT_S", 0.3)
    one, out = terminal(tty=False)
    with ProgressView(one, "up") as view:
        view.on_event(Event("playbook_on_task_start", task="Quick task"))
        view.on_event(Event("playbook_on_task_start", task="Wait for the model"))
        view._over.wait(0.9)
        view.on_event(line("host1", "starting", "loads [3/163]"))
        view.on_event(Event(CANCEL_REQUESTED))
    told = out.getvalue()
    assert "Quick task" not in told
    assert told.count("up: Wait for the model") == 1
    assert "host1: starting: loads [3/163]" in told
    assert "Ctrl-C again ends it at once" in told
    assert all(row.startswith("[ 0:0") for row in told.splitlines())
    assert "\x1b" not in told


def test_a_terminal_shows_a_row_for_each_host() -> None:
    one, out = terminal(tty=True)
    with ProgressView(one, "up") as view:
        view.on_event(Event("playbook_on_task_start", task="Wait"))
        view.on_event(Event("playbook_on_task_start", task="Validating", action="validate_argument_spec"))
        view.on_event(line("host2", "ready", "answered"))
        view.on_event(line("host1", "starting", "loads [1/163]"))
        one.err.print(view._draw())
    told = out.getvalue()
    rows = [row for row in told.splitlines() if "host1" in row or "host2" in row]
    assert "starting" in rows[-2]
    assert "1:01" in rows[-2]
    assert "ready" in rows[-1]
    assert "Validating" not in told


def test_a_slow_task_says_which_hosts_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENT_S", 0.1)
    monkeypatch.setattr(progress, "REMIND_S", 0.2)
    one, out = terminal(tty=False)
    with ProgressView(one, "check") as view:
        view.on_event(Event("playbook_on_task_start", task="Ask"))
        for host in ("host1", "host2", "host3"):
            view.on_event(Event("runner_on_start", host=host))
        view.on_event(Event("runner_on_ok", host="host2"))
        view.on_event(Event("runner_on_unreachable", host="host3"))
        view._over.wait(1.2)
        assert "check: Ask: 2 of 3 hosts answered, waiting for host1 (0:0" in out.getvalue()
        view.on_event(Event("playbook_on_task_start", task="Next"))
        assert not view._hosts.waited_for()


def test_hosts_of_a_slow_task_have_rows_that_fit_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENT_S", -1.0)
    one, out = terminal(tty=True)
    one.err.height = 8
    with ProgressView(one, "check") as view:
        view.on_event(Event("playbook_on_task_start", task="Ask"))
        for index in range(1, 10):
            view.on_event(Event("runner_on_start", host=f"host{index}"))
        for index in range(2, 9):
            view.on_event(Event("runner_on_ok", host=f"host{index}"))
        view.on_event(Event("runner_on_skipped", host="host1"))
        one.err.print(view._draw())
    rows = [row.split()[:2] for row in out.getvalue().splitlines() if row.startswith("  host")]
    assert rows[:4] == [["host9", "waiting"], ["host2", "answered"], ["host3", "answered"], ["host4", "answered"]]
    assert ["host6", "answered"] not in rows


def test_times_for_people() -> None:
    assert [duration(seconds) for seconds in (4.9, 125, 3780)] == ["4 s", "2 min 05 s", "1 h 03 min"]
    assert clock(605) == "10:05"

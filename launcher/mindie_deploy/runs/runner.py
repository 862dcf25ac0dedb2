"""Runs one playbook through ansible-runner, with that library's traps closed.

- Each run has a private data directory of its own (0700), so that no variable of an earlier run comes back.
- Nothing secret is left on disk: no env/ files are made (extra variables go through a file that is removed), the
  `command` file, which holds the whole environment, is replaced before Ansible starts, and the directory goes with
  the run.
- Host keys are checked unless the operator says otherwise.
- The event handler only queues.
- A cancel first sends SIGINT to ansible-playbook itself; the hard way finds all processes of the run.
- A launcher that is killed takes Ansible with it.
- A run that matched no host, or not all that belong to it, is a failure.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_runner import Runner, RunnerConfig

from mindie_deploy.content import content_directory
from mindie_deploy.errors import MindieDeployError
from mindie_deploy.runs import processes
from mindie_deploy.runs.cancel import Cancellation
from mindie_deploy.runs.environment import DROPPED, ansible_environment
from mindie_deploy.runs.events import CANCEL_FORCED, CANCEL_REQUESTED, Event, EventPump, read_event
from mindie_deploy.runs.records import RunRecord
from mindie_deploy.runs.result import Collector, RunResult

POLL_S = 0.2
# How long workers may take to end by themselves after ansible-playbook has.
WORKERS_PATIENCE_S = 3.0


def run_playbook(
    playbook: str,
    *,
    inventory: Sequence[str],
    record: RunRecord,
    limit: str | None = None,
    extra_variables: Mapping[str, object] | None = None,
    check: bool = False,
    diff: bool = False,
    forks: int | None = None,
    tags: Sequence[str] = (),
    verbosity: int = 0,
    expected_hosts: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    on_event: Callable[[Event], None] | None = None,
    cancel: Cancellation | None = None,
) -> RunResult:
    """Runs a playbook to its end and returns what it came to; a failed task is a result, not an exception.

    `playbook` is the name of one of ours ("check"), or a path. `inventory` are sources as for -i, relative to the
    working directory. `expected_hosts` are those that a task must have run on. `environment` is added to the
    process's own. `on_event` is called in a thread of its own, one event at a time. Call it from the main thread when
    signals are to reach `cancel`.

    Raises MindieDeployError for a playbook that is not there, and what `on_event` raised, after the run has ended.
    """
    path = playbook_path(playbook)
    cancel = cancel or Cancellation()
    mark = f"{record.run_id}/{time.monotonic_ns()}"
    collector = Collector()
    with record.private_directory() as private:
        child = _Child(private / "pid", mark)
        added = {**ansible_environment(), **(environment or {}), processes.MARK: mark}
        configuration = _configuration(private, added)
        configuration.command = [
            # -P: the working directory must not shadow Python's modules.
            *(sys.executable, "-P", "-m", "mindie_deploy.runs.leash", str(child.pid_file), str(os.getpid())),
            *(sys.executable, "-P", "-m", "ansible", "playbook"),
            *_arguments(path, inventory, limit, check, diff, forks, tags, verbosity),
            *_extra_variables(private, extra_variables),
        ]
        with record.events.open("a", encoding="utf-8") as events, record.log.open("a", encoding="utf-8") as log:
            for opened in (record.events, record.log):
                opened.chmod(0o600)
            log.write(record.redact(f"# {path} {'(check mode)' if check else ''}\n"))

            def keep(event: Event) -> None:
                events.write(record.redact.json(json.dumps(event.to_dict(), ensure_ascii=False, default=str)) + "\n")
                # What is written survives a launcher that is killed.
                events.flush()
                if event.stdout:
                    log.write(record.redact(event.stdout) + "\n")
                    log.flush()
                collector.add(event)

            pump = EventPump(on_event or _ignore, keep)
            child.notify = pump.put

            def handle(raw: dict[str, Any]) -> bool:
                pump.put(read_event(raw))
                return False  # the record has its own file of events

            started = time.monotonic()
            runner = Runner(
                configuration,
                cancel_callback=lambda: child.look(cancel),
                event_handler=handle,
                status_handler=_forget_environment,
            )
            try:
                with cancel.attached(child):
                    runner.run()
                seconds = time.monotonic() - started
                left_over = processes.end(mark, child.pid, WORKERS_PATIENCE_S) if cancel.requested else {}
            finally:
                pump.close()
    return_code = runner.rc if not runner.canceled else None
    # A run that was complete before the cancel arrived is complete.
    cancelled = cancel.requested and not (collector.finished and return_code == 0)
    outcome = collector.result(str(path), return_code, seconds, cancelled=cancelled, expected=expected_hosts)
    return replace(outcome, left_over=left_over) if left_over else outcome


def playbook_path(playbook: str) -> Path:
    """Returns the path of a playbook: one of ours by its name, or any by its path. Raises when it is not there."""
    if "/" in playbook or playbook.endswith((".yml", ".yaml")):
        path = Path(playbook).expanduser().absolute()
        remedy = "check the path"
    else:
        path = content_directory() / "playbooks" / f"{playbook}.yml"
        remedy = "install mindie-deploy again"
    if not path.is_file():
        raise MindieDeployError(f"there is no playbook {path}", remedy)
    return path


class _Child:
    """ansible-playbook, as what a cancel is aimed at."""

    def __init__(self, pid_file: Path, mark: str) -> None:
        self.pid_file, self._mark = pid_file, mark
        self.notify: Callable[[Event], None] = _ignore
        self._asked = self._interrupted = False
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None before it has one."""
        if self._pid is None and self.pid_file.exists():
            self._pid = int(self.pid_file.read_text())
        return self._pid

    def interrupt(self) -> None:
        if not self._asked:
            self._asked = True
            self.notify(Event(CANCEL_REQUESTED))
        if self.pid is not None and not self._interrupted:
            self._interrupted = True
            _signal(self.pid, signal.SIGINT)

    def kill(self) -> None:
        self.notify(Event(CANCEL_FORCED))
        processes.end(self._mark, self.pid, 0.0)

    def look(self, cancel: Cancellation) -> bool:
        """Called by ansible-runner now and then; True makes it kill what is left."""
        if not cancel.requested:
            return False
        self.interrupt()
        if cancel.forced or cancel.overdue:
            self.kill()
            return True
        return False


def _configuration(private: Path, added: Mapping[str, str]) -> Any:
    # Neither extravars nor settings are given here: ansible-runner would write them to files that stay.
    configuration = RunnerConfig(
        private_data_dir=str(private),
        playbook="-",
        envvars=dict(added),
        ident="run",
        quiet=True,
        suppress_ansible_output=True,
        suppress_output_file=True,
        # Otherwise facts of an earlier run would be cached in files, whatever the operator's configuration says.
        fact_cache_type="memory",
    )
    configuration.prepare()
    configuration.suppress_output_file = True
    configuration.suppress_ansible_output = True
    configuration.pexpect_timeout = POLL_S
    configuration.cwd = str(Path.cwd())
    for name in DROPPED:
        configuration.env.pop(name, None)
    return configuration


def _arguments(
    path: Path,
    inventory: Sequence[str],
    limit: str | None,
    check: bool,
    diff: bool,
    forks: int | None,
    tags: Sequence[str],
    verbosity: int,
) -> list[str]:
    arguments = [word for source in inventory for word in ("-i", source)]
    if limit:
        arguments += ["--limit", limit]
    if check:
        arguments.append("--check")
    if diff:
        arguments.append("--diff")
    if forks:
        arguments += ["--forks", str(forks)]
    if tags:
        arguments += ["--tags", ",".join(tags)]
    if verbosity > 0:
        arguments.append("-" + "v" * verbosity)
    return [*arguments, str(path)]


def _extra_variables(private: Path, variables: Mapping[str, object] | None) -> list[str]:
    """Gives extra variables through a file: on the command line every user of the controller could read them."""
    if not variables:
        return []
    path = private / "extra-variables.json"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(dict(variables), out)
    return ["-e", f"@{path}"]


def _forget_environment(status: Mapping[str, Any], runner_config: Any) -> None:
    """Replaces the file that holds the whole environment; "running" is told before Ansible is started."""
    if status.get("status") == "running":
        path = Path(runner_config.artifact_dir) / "command"
        path.write_text(json.dumps({"command": runner_config.command, "cwd": runner_config.cwd}))


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it has just ended by itself


def _ignore(_event: Event) -> None:
    return None

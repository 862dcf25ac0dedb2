"""Events of a run, and the thread that takes them from ansible-runner to the terminal and the record.

ansible-runner calls its handler while it reads Ansible's output: a handler that draws or writes would hold the run up
(20 ms an event made a run of 3.5 s last 11.5 s). Here the handler only puts the event into a queue.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

PROGRESS_PREFIX = "mindie-deploy: "
CANCEL_REQUESTED = "cancel_requested"
CANCEL_FORCED = "cancel_forced"


@dataclass(frozen=True)
class Progress:
    """One line of a long task: where, in which state, and how long it has taken (s). `more` is what else it says."""

    host: str
    state: str
    message: str
    elapsed_s: float
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """One event of a run.

    `kind` is ansible-runner's name (runner_on_ok, playbook_on_stats, verbose ...) or one of ours (cancel_requested,
    cancel_forced). `action` is the module or action without its collection. `result` is what the task returned.
    """

    kind: str
    counter: int = 0
    created: str = ""
    stdout: str = ""
    play: str = ""
    task: str = ""
    role: str = ""
    action: str = ""
    host: str = ""
    pid: int = 0
    result: Mapping[str, Any] = field(default_factory=dict)
    ignored: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def progress(self) -> Progress | None:
        """The progress that a line of the run tells, if it does."""
        line = self.stdout.strip()
        if self.kind != "verbose" or not line.startswith(PROGRESS_PREFIX):
            return None
        try:
            told = json.loads(line[len(PROGRESS_PREFIX) :])
            host, state = str(told.pop("host")), str(told.pop("state"))
            return Progress(host, state, str(told.pop("message", "")), float(told.pop("elapsed_s", 0)), told)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def to_dict(self) -> dict[str, Any]:
        """Returns what the record keeps of the event, without empty fields."""
        names = ("kind", "counter", "created", "play", "task", "role", "action", "host", "result", "ignored")
        told = {name: getattr(self, name) for name in names if getattr(self, name)}
        if self.kind == "verbose":
            told["text"] = self.stdout
        if self.kind == "playbook_on_stats":
            told["stats"] = {name: value for name, value in self.data.items() if isinstance(value, Mapping)}
        return told


def read_event(raw: Mapping[str, Any]) -> Event:
    """Reads an event as ansible-runner hands it over."""
    data = _mapping(raw.get("event_data"))
    return Event(
        kind=str(raw.get("event", "")),
        counter=int(raw.get("counter") or 0),
        created=str(raw.get("created", "")),
        # The output comes through a pseudo-terminal.
        stdout=str(raw.get("stdout", "")).replace("\r\n", "\n").rstrip("\r"),
        play=str(data.get("play") or ""),
        task=str(data.get("task") or ""),
        role=str(data.get("role") or ""),
        action=str(data.get("resolved_action") or data.get("task_action") or "").rsplit(".", 1)[-1],
        host=str(data.get("host") or ""),
        pid=int(raw.get("pid") or 0),
        result=_mapping(data.get("res")),
        ignored=bool(data.get("ignore_errors")),
        data=data,
    )


class EventPump:
    """A thread that hands events to `consume`, in order, however slow it is.

    `keep` gets each event before `consume`. An exception of either does not end the run; close() raises it.
    """

    def __init__(self, consume: Callable[[Event], None], keep: Callable[[Event], None]) -> None:
        self._consume, self._keep = consume, keep
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Adds an event; never waits, and may be called from a signal handler."""
        self._queue.put(event)

    def close(self) -> None:
        """Waits until all events are consumed. Raises what `keep` or `consume` raised first."""
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            # The record comes first: a fault in drawing must not cost it.
            self._attempt(self._keep, event)
            self._attempt(self._consume, event)

    def _attempt(self, take: Callable[[Event], None], event: Event) -> None:
        try:
            take(event)
        except Exception as error:
            self._error = self._error or error


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

"""What a run of a playbook has come to, gathered from its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mindie_deploy.runs.events import Event

Status = Literal["ok", "failed", "unreachable", "no-hosts", "not-started", "cancelled"]
FAILED_KINDS = frozenset({"runner_on_failed", "runner_on_async_failed"})
STATS = ("ok", "changed", "dark", "failures", "skipped", "ignored", "rescued", "processed")
CHATTER_KINDS = frozenset({"verbose", "warning", "error", "system_warning"})
LONGEST_MESSAGE = 20_000
LONGEST_CHATTER = 400  # lines of Ansible's own words that are kept for messages


@dataclass(frozen=True)
class Failure:
    """One task that failed on one host, or one host that did not answer."""

    host: str
    task: str
    action: str
    message: str
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunResult:
    """How a playbook ended.

    `return_code` is ansible-playbook's own, None when a signal ended it. `stats` is {host: {counter: number}} with
    Ansible's counters. `results` holds what each action returned last: {action: {host: result}}. `changes` are the
    results that changed something, or would have in check mode, in order. `chatter` is what Ansible said outside of
    tasks. `left_over` are processes that could not be ended after a cancel: {pid: command line}.
    """

    playbook: str
    status: Status
    return_code: int | None
    seconds: float
    stats: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    unreachable: tuple[Failure, ...] = ()
    results: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    changes: tuple[Event, ...] = ()
    chatter: str = ""
    last_task: str = ""
    left_over: Mapping[int, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def changed_hosts(self) -> tuple[str, ...]:
        """Hosts on which something changed, or would have in check mode."""
        return tuple(host for host, counters in self.stats.items() if counters.get("changed"))

    def of(self, action: str) -> Mapping[str, Mapping[str, Any]]:
        """Returns {host: result} of an action; empty when it did not run."""
        return self.results.get(action, {})

    def in_order(self, hosts: Sequence[str]) -> RunResult:
        """Returns the same result with its hosts in the given order, not in the order in which they answered."""
        place = {host: number for number, host in enumerate(hosts)}
        tasks = list(dict.fromkeys(failure.task for failure in self.failures))

        def key(pair: tuple[str, object]) -> int:
            return place.get(pair[0], len(place))

        return replace(
            self,
            failures=tuple(
                sorted(self.failures, key=lambda one: (tasks.index(one.task), place.get(one.host, len(place))))
            ),
            unreachable=tuple(sorted(self.unreachable, key=lambda one: place.get(one.host, len(place)))),
            stats=dict(sorted(self.stats.items(), key=key)),
            results={action: dict(sorted(told.items(), key=key)) for action, told in self.results.items()},
        )

    def any_of(self, action: str) -> Mapping[str, Any]:
        """Returns the one result of an action that runs once for all hosts; empty when it did not run."""
        return next(iter(self.of(action).values()), {})

    def to_dict(self) -> dict[str, object]:
        """Returns what the record keeps."""
        return {
            "playbook": self.playbook,
            "status": self.status,
            "return_code": self.return_code,
            "seconds": round(self.seconds, 2),
            "stats": self.stats,
            "failures": [{"host": one.host, "task": one.task, "message": one.message} for one in self.failures],
            "unreachable": [{"host": one.host, "message": one.message} for one in self.unreachable],
            "left_over": self.left_over,
        }


class Collector:
    """Gathers a RunResult from events, one at a time."""

    def __init__(self) -> None:
        self.stats: dict[str, dict[str, int]] = {}
        self.finished = False
        self.no_hosts = False
        self.failures: list[Failure] = []
        self.unreachable: list[Failure] = []
        self.results: dict[str, dict[str, Mapping[str, Any]]] = {}
        self.changes: list[Event] = []
        self.chatter: list[str] = []
        self.last_task = ""

    def add(self, event: Event) -> None:
        """Takes one event in."""
        if event.kind == "playbook_on_stats":
            self.finished = True
            self._count(event.data)
        elif event.kind in ("playbook_on_no_hosts_matched", "playbook_on_no_hosts_remaining"):
            self.no_hosts = self.no_hosts or event.kind == "playbook_on_no_hosts_matched"
        elif event.kind == "playbook_on_task_start":
            self.last_task = event.task
        elif event.kind in FAILED_KINDS:
            self._keep(event)
            if not event.ignored:
                self.failures.append(failure_of(event))
        elif event.kind == "runner_on_unreachable":
            self.unreachable.append(failure_of(event))
        elif event.kind == "runner_on_ok":
            self._keep(event)
            if event.result.get("changed"):
                self.changes.append(event)
        elif event.kind in CHATTER_KINDS and event.progress is None and event.stdout.strip():
            self.chatter = [*self.chatter[-LONGEST_CHATTER:], event.stdout.rstrip()]

    def result(
        self, playbook: str, return_code: int | None, seconds: float, *, cancelled: bool, expected: Iterable[str] = ()
    ) -> RunResult:
        """Returns what the events have come to. A host of `expected` that no task ran on makes the run fail."""
        failures = list(self.failures)
        missing = [host for host in expected if host not in self.stats]
        status: Status
        if cancelled:
            status = "cancelled"
        elif self.no_hosts and not self.stats:
            status = "no-hosts"
        elif not self.finished:
            status = "not-started" if not self.last_task else "failed"
        elif not self.stats:
            status = "no-hosts"
        elif any(counters.get("dark") for counters in self.stats.values()):
            status = "unreachable"
        elif return_code == 0 and missing:
            status = "failed"
            text = "no task ran on this host, though it belongs to the deployment"
            failures += [Failure(host, "", "", text) for host in missing]
        else:
            status = "ok" if return_code == 0 else "failed"
        return RunResult(
            playbook=playbook,
            status=status,
            return_code=return_code,
            seconds=seconds,
            stats=self.stats,
            failures=tuple(failures),
            unreachable=tuple(self.unreachable),
            results=self.results,
            changes=tuple(self.changes),
            chatter="\n".join(self.chatter)[:LONGEST_MESSAGE],
            last_task=self.last_task,
        )

    def _keep(self, event: Event) -> None:
        if event.action and event.host:
            self.results.setdefault(event.action, {})[event.host] = event.result

    def _count(self, data: Mapping[str, Any]) -> None:
        for counter in STATS:
            for host, number in (data.get(counter) or {}).items():
                self.stats.setdefault(str(host), {})[counter] = int(number)


def failure_of(event: Event) -> Failure:
    """Returns a failed task as a message for people: the module's own words, else what it printed."""
    told = event.result
    texts = [
        str(told.get(key) or "").strip() for key in ("msg", "module_stderr", "module_stdout", "stderr", "exception")
    ]
    message = next((text for text in texts if text), "the task failed without a message")
    if message.startswith("MODULE FAILURE") or "See stdout/stderr for the exact error" in message:
        message = "\n".join(filter(None, [message, *texts[1:3]]))
    for item in told.get("results") or ():
        if isinstance(item, Mapping) and item.get("failed") and item.get("msg"):
            message = f"{message}\n{item['msg']}"
    return Failure(event.host, event.task, event.action, message[:LONGEST_MESSAGE], told)

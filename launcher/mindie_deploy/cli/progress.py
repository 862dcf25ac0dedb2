"""Shows how a run goes on: redrawn lines on a terminal, plain lines with the elapsed time elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from mindie_deploy.cli.task_hosts import TaskHosts
from mindie_deploy.cli.terminal import Terminal, clock
from mindie_deploy.runs.events import CANCEL_FORCED, CANCEL_REQUESTED, Event, Progress
from mindie_deploy.runs.outcome import one_line

# Shorter tasks are not worth a line of their own where lines cannot be redrawn.
SILENT_S = 2.0
# The same task is mentioned again after this long.
REMIND_S = 30.0
STATE_STYLES = {
    "ready": "green", "listening": "green", "started": "cyan", "dead": "bold red", "lost": "bold red",
    "answered": "green", "failed": "bold red", "unreachable": "bold red",
}  # fmt: skip
# Of the terminal's height: the spinner's line and what stands above stay in sight.
LINES_LEFT = 4


class ProgressView:
    """One run's progress on standard error. Use as a context manager; `on_event` may be called from any thread."""

    def __init__(self, terminal: Terminal, title: str, *, verbose: bool = False) -> None:
        self._terminal, self._title, self._verbose = terminal, title, verbose
        self._began = self._task_began = self._said = time.monotonic()
        self._task = ""
        self._rows: dict[str, tuple[Progress, float]] = {}
        self._hosts = TaskHosts()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._live = (
            Live(get_renderable=self._draw, console=terminal.err, transient=True, refresh_per_second=8)
            if terminal.live
            else None
        )
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> ProgressView:
        if self._live is not None:
            self._live.start()
        else:
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._live is not None:
            self._live.stop()
        else:
            self._ticker.join()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def on_event(self, event: Event) -> None:
        """Takes one event in."""
        progress = event.progress
        if event.kind == CANCEL_REQUESTED:
            self._say("stopping: Ansible is asked to end; Ctrl-C again ends it at once", "bold yellow")
        elif event.kind == CANCEL_FORCED:
            self._say("stopping: all processes of this run are killed", "bold red")
        elif event.kind == "playbook_on_task_start":
            if event.action == "validate_argument_spec":
                return  # Ansible's own, before each role
            with self._lock:
                self._task, self._task_began = event.task, time.monotonic()
                self._rows.clear()
                self._hosts = TaskHosts()
            if self._verbose:
                self._say(event.task)
        elif progress is not None:
            with self._lock:
                self._rows[progress.host] = (progress, time.monotonic())
            if self._live is None:
                self._say(f"{progress.host}: {progress.state}: {progress.message}")
        elif event.kind in ("warning", "system_warning", "error") and self._verbose and event.stdout.strip():
            self._say(event.stdout.strip(), "yellow")
        else:
            with self._lock:
                self._hosts.take(event, time.monotonic())

    def _say(self, words: str, style: str = "") -> None:
        self._said = time.monotonic()
        self._terminal.err.print(Text(f"[{clock(self.elapsed):>5}] {words}", style))

    def _tick(self) -> None:
        """Mentions a task that takes long, where nothing can be redrawn."""
        mentioned = ""
        while not self._over.wait(0.25):
            with self._lock:
                task, lasted, hosts = self._task, time.monotonic() - self._task_began, self._hosts.waited_for()
            quiet = time.monotonic() - self._said
            if lasted > SILENT_S and (task != mentioned or quiet > REMIND_S):
                words = f"{self._title}: {task or 'starting Ansible'}"
                if hosts and task == mentioned:
                    words = f"{words}: {hosts}"
                self._say(words if task != mentioned else f"{words} ({clock(lasted)} so far)")
                mentioned = task

    def _draw(self) -> RenderableType:
        now = time.monotonic()
        most = max(self._terminal.err.height - LINES_LEFT, 1)
        with self._lock:
            task, rows, lasted = self._task, dict(self._rows), now - self._task_began
            hosts, waited_for = self._hosts.states(now, most), self._hosts.waited_for()
        head = Text.assemble(
            (self._title, "bold"),
            f"  {clock(self.elapsed)}  ",
            (one_line(task or "starting Ansible", 60), "dim"),
            no_wrap=True,
        )
        if lasted > SILENT_S:
            head.append(f"  ({clock(lasted)})", "dim")
        table = Table.grid(padding=(0, 2))
        table.add_column()
        table.add_column()
        table.add_column(justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis")
        for host, (progress, seen) in sorted(rows.items()):
            over = progress.state in ("ready", "dead", "lost")
            elapsed = progress.elapsed_s + (0 if over else now - seen)
            _add_row(table, host, progress.state, elapsed, progress.message)
        if not rows and waited_for and lasted > SILENT_S:
            for one in hosts:
                _add_row(table, one.host, one.state, one.seconds, "")
        spinner = Spinner("line", text=head)
        return Group(spinner, table) if table.row_count else spinner


def _add_row(table: Table, host: str, state: str, seconds: float, message: str) -> None:
    table.add_row(f"  {host}", Text(state, STATE_STYLES.get(state, "")), clock(seconds), Text(message, "dim"))

"""Waits for an answer without leaving the operator in the dark: MindIE's leader never says that a member has died."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mindie_deploy.cli.terminal import Terminal, duration
from mindie_deploy.endpoint.answers import ChatPiece

SHOW_S = 2.0  # waiting for longer is shown on a terminal
LOOK_S = 20.0  # after this long without a word the members are looked at, and again each time it has doubled


def patiently(
    pieces: Iterator[ChatPiece], terminal: Terminal, look: Callable[[], None], *, look_s: float | None = None
) -> Iterator[ChatPiece]:
    """Yields the pieces as they come. While none comes, says so, and calls `look`, which raises when none will come."""
    arrived: queue.SimpleQueue[ChatPiece | BaseException | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(pieces, arrived), name="answer", daemon=True).start()
    while (piece := _next(arrived, terminal, look, look_s or LOOK_S)) is not None:
        if isinstance(piece, BaseException):
            raise piece
        yield piece


def _read(pieces: Iterator[ChatPiece], arrived: queue.SimpleQueue[ChatPiece | BaseException | None]) -> None:
    try:
        for piece in pieces:
            arrived.put(piece)
        arrived.put(None)
    except BaseException as error:  # it is raised again where the pieces are taken
        arrived.put(error)


def _next(
    arrived: queue.SimpleQueue[ChatPiece | BaseException | None],
    terminal: Terminal,
    look: Callable[[], None],
    look_s: float,
) -> ChatPiece | BaseException | None:
    began, due = time.monotonic(), look_s
    with contextlib.suppress(queue.Empty):
        return arrived.get(timeout=SHOW_S)
    if not terminal.live:
        terminal.note("waiting for the model", "dim")
    while True:
        with _waiting(terminal), contextlib.suppress(queue.Empty):
            return arrived.get(timeout=max(0.0, began + due - time.monotonic()))
        terminal.note(f"no word for {duration(time.monotonic() - began)}; looking at the members", "yellow")
        look()
        due *= 2


@contextlib.contextmanager
def _waiting(terminal: Terminal) -> Iterator[None]:
    if not terminal.live:
        yield
        return
    columns = (SpinnerColumn("line"), TextColumn("waiting for the model"), TimeElapsedColumn())
    with Progress(*columns, console=terminal.err, transient=True) as progress:
        progress.add_task("")
        yield

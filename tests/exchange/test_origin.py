"""Pieces that are read from outside of the exchange: shares, help for slower readers, and what nobody foresaw."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import Any

import pytest

from mindie_exchange import origin
from mindie_exchange.layout import Piece, Segment
from mindie_exchange.ledger import Ledger


class Source:
    """An origin that gives zeros, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def read_into(self, name: str, offset: int, view: memoryview) -> None:
        if self.error is not None:
            raise self.error


class Plan:
    """As much of a plan as is needed."""

    me = 0
    files = (type("File", (), {"name": "a"})(),)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[origin.OriginWork, Ledger, list[Callable[[], None]]]]:
    def make(source: Source, pieces: int = 32) -> tuple[origin.OriginWork, Ledger, list[Callable[[], None]]]:
        monkeypatch.setattr(origin, "open_origin", lambda plan: (source, "directory", [0, 1]))
        ledger = Ledger(0, bytearray(pieces), array("I", bytes(4 * pieces)), lambda piece: [])
        events: list[Callable[[], None]] = []
        layout = [Piece(4, (Segment(0, 4 * number, 4),)) for number in range(pieces)]
        plan: Any = Plan()
        store: Any = None
        made = origin.OriginWork(plan, layout, ledger, store, events.append, lambda: bytearray(4), lambda file: False)
        return made, ledger, events

    return make


def test_what_nobody_foresaw_is_raised_in_the_loop(work: Any) -> None:
    made, _ledger, events = work(Source(ZeroDivisionError("a fault of ours")))
    made.go_on(lambda *told: None)
    until = time.monotonic() + 20
    while not events and time.monotonic() < until:
        time.sleep(0.01)
    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        events[0]()


def test_the_own_share_comes_first_then_the_others_from_its_end(work: Any) -> None:
    made, ledger, _events = work(Source())
    order = []
    while (piece := made._next()) is not None:
        order.append(piece)
        ledger.expect_from_origin(piece)
    run = origin.RUN
    own = [number for number in range(32) if number // run % 2 == 0]
    assert order == own + sorted(set(range(32)) - set(own), reverse=True)


def test_what_was_lost_is_looked_at_again(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made, ledger, _events = work(Source())
    while (piece := made._next()) is not None:
        ledger.got(piece, 1)
    ledger.lost(3)
    assert made._next() is None
    monkeypatch.setattr(origin, "LOOK_AGAIN_S", -1.0)
    assert made._next() == 3

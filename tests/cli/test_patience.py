"""Waiting for an answer: pieces come through, silence is looked into, and what cannot come is told."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mindie_deploy.cli import patience
from mindie_deploy.cli.patience import patiently
from mindie_deploy.cli.terminal import Terminal
from mindie_deploy.endpoint.answers import ChatPiece
from mindie_deploy.errors import NotReadyError


def slowly(*waits: float) -> Iterator[ChatPiece]:
    for number, wait in enumerate(waits):
        time.sleep(wait)
        yield ChatPiece(text=str(number))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SHOW_S", 0.05)


def test_pieces_come_in_order_and_a_quick_answer_is_not_looked_into() -> None:
    looks: list[int] = []
    told = patiently(slowly(0, 0, 0), Terminal(), lambda: looks.append(1))
    assert [piece.text for piece in told] == ["0", "1", "2"]
    assert looks == []


def test_silence_is_looked_into_ever_more_rarely(capsys: pytest.CaptureFixture[str]) -> None:
    looks: list[float] = []
    told = patiently(slowly(0, 1.1), Terminal(), lambda: looks.append(time.monotonic()), look_s=0.3)
    assert [piece.text for piece in told] == ["0", "1"]
    assert len(looks) == 2  # after 0.3 s and 0.6 s
    assert "waiting for the model" in capsys.readouterr().err


def test_what_the_look_finds_ends_the_waiting() -> None:
    def dead() -> None:
        raise NotReadyError("host2: nothing runs")

    with pytest.raises(NotReadyError, match="host2"):
        list(patiently(slowly(5), Terminal(), dead, look_s=0.1))


def test_an_error_of_the_endpoint_comes_through() -> None:
    def broken() -> Iterator[ChatPiece]:
        yield ChatPiece(text="a")
        raise NotReadyError("the connection broke")

    told = patiently(broken(), Terminal(), lambda: None)
    assert next(told).text == "a"
    with pytest.raises(NotReadyError, match="broke"):
        next(told)

"""mindie_listen and the item `connect` of mindie_collect: a port of this machine, tried over loopback."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.modules.module_runner import load, run

WORD = "5ae0c1"


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


def connected(port: int, expect: str = WORD, address: str = "127.0.0.1") -> dict[str, Any]:
    item = {"key": "p", "connect": {"address": address, "port": port, "expect": expect}, "patience": 0.5}
    found: dict[str, Any] = run("mindie_collect", items=[item])["collection"]["items"]["p"]
    return found


def is_alive(process: dict[str, int]) -> bool:
    return load("mindie_listen").born(process["pid"]) == process["born"]


def gone(process: dict[str, int]) -> bool:
    until = time.monotonic() + 5
    while is_alive(process) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(process)


@pytest.fixture
def port() -> Iterator[int]:
    number = free_port()
    started = run("mindie_listen", check=True, address="127.0.0.1", ports=[number], word=WORD, lifetime=30)
    assert started["changed"] is False and started["refused"] == {}
    assert is_alive(started["process"]) and started["process"]["pid"] != os.getpid()
    yield number
    run("mindie_listen", state="stopped", process=started["process"])
    assert gone(started["process"])


def test_the_word_is_heard_again_and_again(port: int) -> None:
    for _ in range(3):
        assert connected(port)["outcome"] == "answered"
    assert connected(port, expect="")["outcome"] == "answered"
    assert connected(port, expect="another")["outcome"] == "stranger"


def test_the_port_is_free_at_once_when_the_listener_is_gone() -> None:
    number = free_port()
    process = run("mindie_listen", address="127.0.0.1", ports=[number], word=WORD)["process"]
    assert connected(number)["outcome"] == "answered"
    run("mindie_listen", state="stopped", process=process)
    assert gone(process)
    with socket.socket() as daemon:  # without SO_REUSEADDR, as a strict daemon binds
        daemon.bind(("127.0.0.1", number))
    assert connected(number)["outcome"] == "refused"


def test_it_ends_by_itself_and_holds_no_stream_of_ours() -> None:
    process = run("mindie_listen", address="127.0.0.1", ports=[free_port()], lifetime=1)["process"]
    assert {str(Path(f"/proc/{process['pid']}/fd/{number}").readlink()) for number in (0, 1, 2)} == {os.devnull}
    assert gone(process)


def test_a_port_that_cannot_be_had_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        started = run("mindie_listen", address="127.0.0.1", ports=[taken])
        assert started["process"] == {} and "in use" in started["refused"][str(taken)]
        assert connected(taken)["outcome"] == "silent"  # it says nothing
    assert "assign" in run("mindie_listen", address="192.0.2.1", ports=[taken])["refused"][str(taken)]


def test_only_the_process_that_was_started_is_ended() -> None:
    own = {"pid": os.getpid(), "born": 1}
    run("mindie_listen", state="stopped", process=own)
    run("mindie_listen", state="stopped", process={})
    run("mindie_listen", state="stopped", process={"pid": 0, "born": 0})


def test_what_is_no_address_is_an_error_and_no_verdict() -> None:
    found = connected(1, address="no such host")
    assert found["outcome"] is None and found["error"]

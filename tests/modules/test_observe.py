"""mindie_observe: what it says of a container, and of an API that does not answer as it should."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.modules.module_runner import load, run

ANSWERS: dict[str, tuple[int, str]] = {}


class Api(BaseHTTPRequestHandler):
    def answer(self) -> None:
        status, body = ANSWERS.get(self.path, (404, "no such route"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_arguments: object) -> None:
        return


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ANSWERS.clear()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def engine(tmp_path: Path, running: bool = True, log: str = "first\nlast\n") -> str:
    started = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime(time.time() - 30))
    state = {"Running": running, "ExitCode": 0 if running else 137, "StartedAt": started}
    (tmp_path / "container.json").write_text(json.dumps([{"Id": "1", "State": state}]))
    (tmp_path / "log").write_text(log)
    client = tmp_path / "engine"
    client.write_text(
        f"#!/bin/sh\ncase $1 in inspect) cat {tmp_path}/container.json;; logs) cat {tmp_path}/log;; esac\n"
    )
    client.chmod(0o755)
    return str(client)


def test_a_running_member_and_its_age(tmp_path: Path) -> None:
    found = run("mindie_observe", engine=engine(tmp_path), name="r1", wanted_line="last")["observation"]
    assert found["running"]
    assert found["line_seen"]
    assert 29 <= found["age_s"] <= 40
    assert found["log_tail"] == "first\nlast\n"


def test_an_ended_member_ends_the_window_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    found = run("mindie_observe", engine=engine(tmp_path, running=False), name="r1", window=30)["observation"]
    assert time.monotonic() - began < 10
    assert (found["running"], found["exit_code"]) == (False, 137)


def test_an_answered_chat_is_told(tmp_path: Path, url: str) -> None:
    ANSWERS["/v1/models"] = (200, "{}")
    ANSWERS["/v1/chat/completions"] = (200, json.dumps({"choices": [{"message": {"content": "hello"}}]}))
    found = run("mindie_observe", engine=engine(tmp_path), name="r1", service_url=url, chat={"model": "m"})
    assert found["observation"]["answer"] == "hello"


@pytest.mark.parametrize(
    ("models", "chat", "listening", "said"),
    [
        ((404, "not yet"), (200, "{}"), True, "answered 404: not yet"),
        ((200, "{}"), (500, "Engine callback timeout."), True, "answered 500: Engine callback timeout."),
        ((200, "{}"), (200, "<html>"), True, "something that is not JSON"),
        ((200, "{}"), (200, '{"choices": []}'), True, "without a text"),
    ],
)
def test_an_api_that_does_not_answer_a_chat_is_told_as_it_is(
    tmp_path: Path, url: str, models: tuple[int, str], chat: tuple[int, str], listening: bool, said: str
) -> None:
    ANSWERS["/v1/models"], ANSWERS["/v1/chat/completions"] = models, chat
    found = run("mindie_observe", engine=engine(tmp_path), name="r1", service_url=url, chat={"model": "m"})[
        "observation"
    ]
    assert found["answer"] is None
    assert found["listening"] is listening
    assert said in found["problem"]


def test_nothing_that_listens_is_no_problem_while_loading(tmp_path: Path) -> None:
    found = run("mindie_observe", engine=engine(tmp_path), name="r1", service_url="http://127.0.0.1:9", chat={"m": 1})
    assert found["observation"]["listening"] is False
    assert found["observation"]["problem"] == ""


def test_times_that_no_engine_writes_have_no_age() -> None:
    assert load("mindie_observe").age("") is None

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from mindie_deploy.endpoint.client import Endpoint, EndpointError, NotListeningError
from mindie_deploy.errors import ExitCode, UsageError
from tests.endpoint.server import USAGE, Handler, chunk, serving

HELLO = [{"role": "user", "content": "hi"}]


def test_a_streamed_chat_comes_in_pieces_with_reasoning_apart() -> None:
    with serving() as (url, server), Endpoint(url) as endpoint:
        pieces = list(endpoint.chat("DeepSeek-R1", HELLO, max_tokens=5, temperature=None))
        _headers, body = server.requests[0]  # type: ignore[attr-defined]
    assert "".join(piece.text for piece in pieces) == "Hello world"
    assert "".join(piece.reasoning for piece in pieces) == "Hm. "
    assert pieces[-1].finish_reason == "stop"
    assert pieces[-1].usage == USAGE
    assert body == {"model": "DeepSeek-R1", "messages": HELLO, "stream": True, "max_tokens": 5}


def test_a_whole_chat_comes_in_one_piece() -> None:
    with serving() as (url, _server), Endpoint(url + "/v1/") as endpoint:
        assert [piece.text for piece in endpoint.chat("DeepSeek-R1", HELLO, stream=False)] == ["Hello world"]


def test_models_and_health() -> None:
    with serving() as (url, _server), Endpoint(url) as endpoint:
        assert endpoint.models() == ("DeepSeek-R1",)
        assert endpoint.listening()
        assert endpoint.ready()


def test_proxies_of_the_environment_are_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving() as (url, _server), Endpoint(url) as endpoint:
        assert endpoint.listening()


def test_nothing_listening_is_said_as_such() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with Endpoint(url) as endpoint:
            assert not endpoint.listening()
            with pytest.raises(NotListeningError, match="while the model loads nothing listens") as caught:
                endpoint.models()
    assert caught.value.exit_code == ExitCode.NOT_READY
    assert "status" in caught.value.remedy


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (404, {"error": "no such model", "error_type": "NotFoundError"}, UsageError, "no such model"),
        (422, {"error": "top_p out of range", "error_type": "Input Validation Error"}, UsageError, "Input Validation"),
        (413, {"message": "Request body too large."}, UsageError, "too large"),
        (503, {"error": "busy", "error_type": "Service Unavailable"}, EndpointError, "busy"),
        (500, {"error": {"message": "boom"}}, EndpointError, "boom"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_refusals_are_passed_on_in_the_servers_words(
    status: int, body: Any, kind: type[Exception], words: str, stream: bool
) -> None:
    with (
        serving(lambda handler, _body: handler.answer(status, body)) as (url, _server),
        Endpoint(url) as endpoint,
        pytest.raises(kind, match=words) as caught,
    ):
        list(endpoint.chat("x", HELLO, stream=stream))
    assert str(status) in str(caught.value)


def test_an_uncaught_exception_of_the_server_is_plain_text() -> None:
    def broken(handler: Handler, _body: dict[str, Any]) -> None:
        handler.answer(500, None, "Server internal error")

    with (
        serving(broken) as (url, _server),
        Endpoint(url) as endpoint,
        pytest.raises(EndpointError, match="Server internal error"),
    ):
        list(endpoint.chat("x", HELLO))


@pytest.mark.parametrize(
    ("lines", "complete", "words"),
    [
        ([chunk("Hel")], False, "broke before the answer was complete"),
        ([chunk("Hel")], True, "ended the answer in the middle"),
        ([chunk("Hel"), 'data: {"error": "npu lost", "error_type": "Generation Error"}'], True, "npu lost"),
        (["data: {not json"], True, "not JSON"),
        (['data: {"object": "x"}'], True, "no choices"),
        (["data: [1, 2]"], True, "as the OpenAI API does"),
    ],
)
def test_a_stream_that_breaks_is_an_error_after_what_came(lines: list[str], complete: bool, words: str) -> None:
    came: list[str] = []
    with (
        serving(lambda handler, _body: handler.stream(lines, complete=complete)) as (url, _server),
        Endpoint(url) as endpoint,
        pytest.raises(EndpointError, match=words),
    ):
        for piece in endpoint.chat("x", HELLO):
            came.append(piece.text)
    assert came == (["Hel"] if "Hel" in lines[0] else [])


def test_a_stream_without_done_but_with_a_finish_is_complete() -> None:
    lines = [": a comment", chunk("Hi", finish="stop")]
    with serving(lambda handler, _body: handler.stream(lines)) as (url, _server), Endpoint(url) as endpoint:
        assert [piece.text for piece in endpoint.chat("x", HELLO)] == ["Hi"]


def test_silence_ends_at_the_time_limit() -> None:
    def silent(_handler: Handler, _body: dict[str, Any]) -> None:
        time.sleep(1.5)

    with (
        serving(silent) as (url, _server),
        Endpoint(url, read_timeout=0.3) as endpoint,
        pytest.raises(EndpointError, match="no byte came"),
    ):
        list(endpoint.chat("x", HELLO))


def test_what_is_no_api_is_said_as_such() -> None:
    with (
        serving(lambda handler, _body: handler.answer(200, None, "<html>")) as (url, _server),
        Endpoint(url) as endpoint,
        pytest.raises(EndpointError, match="not JSON"),
    ):
        list(endpoint.chat("x", HELLO, stream=False))
    with pytest.raises(UsageError, match="not an address"), Endpoint("http://[::1") as endpoint:
        endpoint.models()

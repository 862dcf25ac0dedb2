"""A small HTTP client that shows everything: status, headers, body, and the events of a stream with their times."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, overload

from tests.simulator.image.gang import Host

MODEL = "DeepSeek-R1"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(host: Host, method: str, path: str, port: int, body: bytes | None = None) -> Answer:
    connection = http.client.HTTPConnection(host.address, port, timeout=15)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def get(host: Host, path: str, port: int | None = None) -> Answer:
    """GET on the management port, or another."""
    return request(host, "GET", path, port or host.management_port)


def post(host: Host, path: str, value: object, port: int | None = None) -> Answer:
    """POST of JSON (or of bytes as they are) on the business port."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return request(host, "POST", path, port or host.port, body)


@overload
def chat(host: Host, question: str, *, raw: Literal[False] = False, **more: Any) -> Any: ...
@overload
def chat(host: Host, question: str, *, raw: Literal[True], **more: Any) -> Answer: ...
def chat(host: Host, question: str, *, raw: bool = False, **more: Any) -> Any:
    """A chat of one message; the JSON of a 200, or with `raw` whatever came."""
    messages = [{"role": "user", "content": question}]
    answer = post(host, "/v1/chat/completions", {"model": MODEL, "messages": messages, **more})
    if raw:
        return answer
    assert answer.status == 200, answer.body
    return answer.json()


def stream(host: Host, path: str, value: object) -> tuple[dict[str, str], Iterator[tuple[float, str]]]:
    """Headers, and the data of each event with the second it arrived at."""
    connection = http.client.HTTPConnection(host.address, host.port, timeout=15)
    connection.request("POST", path, json.dumps(value).encode())
    response = connection.getresponse()

    def events() -> Iterator[tuple[float, str]]:
        for line in response:
            text = line.decode().rstrip("\n")
            if text:
                assert text.startswith("data: ")
                yield time.monotonic(), text.removeprefix("data: ")
        connection.close()

    return dict(response.getheaders()), events()

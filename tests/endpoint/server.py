"""An HTTP server on 127.0.0.1 that answers as MindIE's documents say, and breaks on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODELS = {"object": "list", "data": [{"id": "DeepSeek-R1", "object": "model", "owned_by": "MindIE Server"}]}
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
Behaviour = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    """Answers GET /v1/models, and leaves a chat to the server's behaviour."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        return None

    def do_GET(self) -> None:
        if self.path == "/v2/health/ready":
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.answer(200, MODELS) if self.path == "/v1/models" else self.answer(404, {"error": "x"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((dict(self.headers), body))  # type: ignore[attr-defined]
        self.server.behaviour(self, body)  # type: ignore[attr-defined]

    def answer(self, status: int, body: Any, text: str | None = None) -> None:
        data = (json.dumps(body) if text is None else text).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def stream(self, lines: list[str], *, complete: bool = True) -> None:
        """Sends a chunked event stream; an incomplete one ends without its last chunk."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            data = f"{line}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if complete:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True


def chunk(text: str = "", *, reasoning: str = "", finish: str | None = None, usage: Any = None) -> str:
    """Returns one line of the stream, in the documented form."""
    delta = {"role": "assistant", "content": text, **({"reasoning_content": reasoning} if reasoning else {})}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    told = {"id": "endpoint_common_1", "object": "chat.completion.chunk", "choices": [choice]}
    return "data: " + json.dumps({**told, **({"usage": usage} if usage else {})})


def well(handler: Handler, body: dict[str, Any]) -> None:
    """A good answer, streamed or whole."""
    if body.get("stream"):
        handler.stream(
            [
                chunk(),
                chunk(reasoning="Hm. "),
                chunk("Hello "),
                chunk("world", finish="stop", usage=USAGE),
                "data: [DONE]",
            ]
        )
        return
    message = {"role": "assistant", "content": "Hello world", "tool_calls": None}
    handler.answer(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE})


@contextmanager
def serving(behaviour: Behaviour = well) -> Iterator[tuple[str, ThreadingHTTPServer]]:
    """Gives the base address and the server, which has `requests`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.behaviour, server.requests = behaviour, []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server
    finally:
        server.shutdown()
        server.server_close()

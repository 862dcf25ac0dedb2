"""A web proxy on this machine, for plain requests and for CONNECT; it notes what it was asked for."""

from __future__ import annotations

import http.client
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit


@dataclass
class FakeProxy:
    """`login`: the Proxy-Authorization that is asked for. `seen`: request lines and their Proxy-Authorization."""

    login: str = ""
    address: str = ""
    seen: list[tuple[str, str | None]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: ClassVar[FakeProxy]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def allowed(self) -> bool:
        login = self.headers.get("Proxy-Authorization")
        self.proxy.seen.append((self.requestline, login))
        if self.proxy.login and login != self.proxy.login:
            self.send_response(407, "Proxy Authentication Required")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        return True

    def do_GET(self) -> None:
        if not self.allowed():
            return
        parts = urlsplit(self.path)
        connection = http.client.HTTPConnection(parts.netloc, timeout=5)
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        connection.close()

    def do_CONNECT(self) -> None:
        if not self.allowed():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as far:
            self.send_response(200, "Connection established")
            self.end_headers()
            ends = {self.connection: far, far: self.connection}
            while True:
                ready, _, _ = select.select(list(ends), [], [], 5)
                for end in ready:
                    block = end.recv(65536)
                    if not block:
                        self.close_connection = True
                        return
                    ends[end].sendall(block)
                if not ready:
                    self.close_connection = True
                    return


@contextmanager
def proxying(login: str = "") -> Iterator[FakeProxy]:
    """Serves a proxy on a port of 127.0.0.1."""
    proxy = FakeProxy(login)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    server.daemon_threads = True
    proxy.address = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()

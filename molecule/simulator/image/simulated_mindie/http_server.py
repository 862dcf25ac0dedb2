"""Listeners and planes (source 1.3 and 5): which addresses and ports serve what, and how an answer is written."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .log import Log
from .server_config import ServerConfig

BUSINESS, MANAGEMENT, METRICS = "business", "management", "metrics"
READ_SECONDS = 60
ERROR_KINDS = {
    400: "Bad Request",
    404: "NotFoundError",
    422: "Input Validation Error",
    424: "Generation Error",
    500: "Incomplete Generation",
    503: "Service Unavailable",
}


class PortError(Exception):
    """The servers cannot listen; the daemon ends, after all the loading (source 1.3)."""


class Exchange(BaseHTTPRequestHandler):
    """One request and its answer; the routes get this object."""

    protocol_version = "HTTP/1.1"
    timeout = READ_SECONDS
    server: Listener

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.body = b""
        self.parameters: tuple[str, ...] = ()
        self.query = ""

    def handle_one_request(self) -> None:
        """Every method goes the same way: a method without a route is a 404, not a 501."""
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            self._answer()
            self.wfile.flush()
        except (ConnectionError, TimeoutError):
            # The client went away or never finished its request: nobody is left to be told.
            self.close_connection = True

    def _answer(self) -> None:
        path, _, self.query = self.path.partition("?")
        if not self._read_body():
            return
        for method, pattern, run in self.server.routes:
            match = re.fullmatch(pattern, path)
            if match and method == self.command:
                self.parameters = tuple(part or "" for part in match.groups())
                try:
                    run(self)
                except (ConnectionError, TimeoutError):
                    raise
                except Exception as error:  # an answer of its own for whatever nobody caught (source 5)
                    self.server.log.error(f"uncaught exception in {path}: {error!r}")
                    self.send_text(500, "Server internal error")
                return
        self.send_nothing(404)

    def _read_body(self) -> bool:
        length = int(self.headers.get("Content-Length") or 0)
        if length > self.server.limit_mb * 1024 * 1024:
            text = f"Request body too large. The limit is {self.server.limit_mb} MB."
            self._send(413, json.dumps({"message": text}).encode(), "application/json")
            return False
        self.body = self.rfile.read(length)
        return True

    def send_json(self, status: int, value: Any, indent: int | None = None) -> None:
        text = json.dumps(value, ensure_ascii=False, indent=indent)
        self._send(status, text.encode(), "application/json")

    def send_problem(self, status: int, text: str) -> None:
        """The error body of every refusal (source 5)."""
        self.send_json(status, {"error": text, "error_type": ERROR_KINDS[status]})

    def send_text(self, status: int, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        self._send(status, text.encode(), kind)

    def send_nothing(self, status: int) -> None:
        self._send(status, b"", None)

    def stream(self, events: Iterable[str]) -> None:
        """Server-sent events, chunked; an error on the way cuts the stream, the status is out already (source 5)."""
        self._head(200, "text/event-stream", [("Transfer-Encoding", "chunked")])
        for event in events:
            data = f"data: {event}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, status: int, body: bytes, kind: str | None) -> None:
        self._head(status, kind, [("Content-Length", str(len(body)))])
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, kind: str | None, more: list[tuple[str, str]]) -> None:
        self.send_response_only(status)
        self.send_header("RequestUUID", uuid.uuid4().hex)
        if kind is not None:
            self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.close_connection = True
        for name, value in more:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        self.server.log.debug(format % args)


Route = tuple[str, str, Callable[[Exchange], None]]


class Listener(ThreadingHTTPServer):
    """One address and port with the routes of its planes."""

    daemon_threads = True
    request_queue_size = 512
    # Without it the TIME_WAIT of a quick restart would be in the way; a real load outlasts it.
    allow_reuse_address = True

    def __init__(self, where: tuple[str, int], routes: list[Route], links: int, limit_mb: int, log: Log) -> None:
        self.address_family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        super().__init__(where, Exchange)
        self.routes = routes
        self.limit_mb = limit_mb
        self.log = log
        # As many threads as links and twice as many waiting; the next one is refused (source 5).
        self._working = threading.BoundedSemaphore(links)
        self._waiting = threading.BoundedSemaphore(3 * links)

    def server_bind(self) -> None:
        # The standard one looks its own name up, which may stall without DNS.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self._waiting.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            with self._working:
                super().process_request_thread(request, client_address)
        finally:
            self._waiting.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.log.error(f"connection of {client_address} ended badly")


def open_listeners(config: ServerConfig, routes: dict[str, list[Route]], log: Log) -> list[Listener]:
    """Binds and starts all listeners; raises PortError. `routes` are per plane."""
    for port in (config.management_port, config.port, config.metrics_port):
        _probe(port, log)
    one_address = config.address == config.management_address
    # The one sharing that is refused (source 1.3).
    if one_address and config.metrics_port == config.port != config.management_port:
        raise PortError("Management or Business or Metrics port is invalid.")
    planes: dict[tuple[str, int], list[Route]] = {}
    for plane, where in (
        (BUSINESS, (config.address, config.port)),
        (MANAGEMENT, (config.management_address, config.management_port)),
        (METRICS, (config.management_address, config.metrics_port)),
    ):
        planes.setdefault(where, []).extend(routes[plane])
    listeners: list[Listener] = []
    for where, own in planes.items():
        links = config.max_links if where == (config.address, config.port) else max(100, config.max_links // 10)
        try:
            listener = Listener(where, own, links, config.max_request_mb, log)
        except OSError as error:
            # For instance an address that this host does not have.
            raise PortError(f"failed to listen on {where[0]}:{where[1]}: {error}") from error
        if config.https:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(config.certificate, config.key)
            listener.socket = context.wrap_socket(listener.socket, server_side=True)
        listeners.append(listener)
    for listener in listeners:
        threading.Thread(target=listener.serve_forever, name="HttpServer", daemon=True).start()
    return listeners


def _probe(port: int, log: Log) -> None:
    """Tries the port on all addresses, as the real one does before it listens (source 1.3)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as error:
            log.error(f"Socket bind failed, bind_result is -1. {error.strerror}")
            raise PortError("Management or Business or Metrics Http server listen port is occupied") from error

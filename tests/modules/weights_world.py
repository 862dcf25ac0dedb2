"""A model to bring, a host to bring it to, and sources that misbehave."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.modules.module_runner import run

SECRET = "s" * 64
ROOT = Path(__file__).resolve().parents[2]


def content_of(name: str, size: int) -> bytes:
    seed = hashlib.sha256(name.encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


class World:
    """Directories of one test: the source, and the place on the host."""

    def __init__(self, base: Path, sizes: dict[str, int]) -> None:
        self.base = base
        self.source, self.final, self.state = base / "source", base / "models" / "model", base / "state"
        self.incoming = base / "models" / ".model.incoming"
        self.secret = base / "secret"
        base.mkdir(exist_ok=True)
        self.secret.write_text(SECRET)
        self.secret.chmod(0o600)
        self.contents = {name: content_of(name, size) for name, size in sizes.items()}
        for name, content in self.contents.items():
            (self.source / name).parent.mkdir(parents=True, exist_ok=True)
            (self.source / name).write_bytes(content)

    @property
    def manifest(self) -> dict[str, Any]:
        rows = [
            {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(self.contents.items())
        ]
        return {"files": rows}

    def arguments(self, **changes: Any) -> dict[str, Any]:
        values = {
            "directory": str(self.final),
            "state_directory": str(self.state),
            "manifest": self.manifest,
            "source": {"kind": "directory", "path": str(self.source)},
            "host": "host2",
            "retries": 1,
        }
        return {**values, **changes}

    def fetch(self, check: bool = False, **changes: Any) -> dict[str, Any]:
        return run("mindie_weights_fetch", check=check, **self.arguments(**changes))

    def start(self, **changes: Any) -> subprocess.Popen[bytes]:
        """Starts the module in a process of its own, to be killed."""
        code = "import sys, json; from tests.modules.module_runner import run; "
        code += "print(json.dumps(run('mindie_weights_fetch', **json.load(sys.stdin))))"
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(self.arguments(**changes)).encode())
        process.stdin.close()
        process.stdin = None
        return process

    def http(self, port: int) -> dict[str, Any]:
        return {"kind": "http", "url": f"http://127.0.0.1:{port}/", "secret_file": str(self.secret)}

    def at_final(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.final).as_posix(): path.read_bytes()
            for path in self.final.rglob("*")
            if path.is_file()
        }


class Server(ThreadingHTTPServer):
    """A source whose misdeeds a test sets."""

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.directory = directory
        self.sent = 0
        self.piece, self.pause = 1 << 20, 0.0
        self.cut_after: int | None = None  # bytes of a body after which the connection ends
        self.flip: str | None = None  # a file of which one byte is sent wrong
        self.flips = 10**6
        self.ignore_range = False
        self.status: int | None = None
        self.wrong_length = False


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        if self.headers["X-Mindie-Deploy-Secret"] != SECRET or self.server.status:
            self.send_response(self.server.status or 403)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        name = unquote(self.path.lstrip("/"))
        content = bytearray((self.server.directory / name).read_bytes())
        if name == self.server.flip and self.server.flips:
            self.server.flips -= 1
            content[len(content) // 2] ^= 1
        total, offset = len(content), 0
        if "Range" in self.headers and not self.server.ignore_range:
            offset = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {offset}-{total - 1}/{total}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(total - offset + (5 if self.server.wrong_length else 0)))
        self.end_headers()
        body = bytes(content[offset:])
        if self.server.cut_after is not None and len(body) > self.server.cut_after:
            body = body[: self.server.cut_after]
            self.close_connection = True
        for at in range(0, len(body), self.server.piece):
            part = body[at : at + self.server.piece]
            try:
                self.wfile.write(part)
            except OSError:
                self.close_connection = True
                return
            self.server.sent += len(part)
            if self.server.pause:
                time.sleep(self.server.pause)


@contextmanager
def serving(directory: Path) -> Iterator[Server]:
    server = Server(directory)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()

"""A hub on this machine: the calls of Hugging Face and ModelScope that are used, a CDN behind them, and faults."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

REPOSITORY = "someone/model"
SHA = "5" * 40
BRANCHES = {"main": SHA, "master": SHA, "refs/pr/1": SHA, SHA: SHA}


@dataclass
class Faults:
    """What goes wrong. Numbers count down: so many answers are spoilt. `at` names the server: "hub" or "cdn"."""

    cut: int = 0  # the connection is cut
    cut_after: int = 1000  # after so many bytes of the body
    too_many: int = 0  # 429
    too_many_at: str = "cdn"
    retry_after: str | None = "0"
    broken: int = 0  # 500
    wrong_range: int = 0  # another range than was asked
    wrong_total: bool = False
    no_ranges: bool = False  # 200 and the whole file
    quiet_ranges: bool = False  # the range, and 200
    length_hidden: bool = False  # no Content-Length: the end of the connection ends the body
    same_tags: int = 1_000_000  # answers of the CDN, then its ETag changes
    same_linked_tags: int = 1_000_000  # redirects, then X-Linked-ETag changes
    weak_tags: bool = False
    refuse: int = 0  # the CDN answers 403, however new the signature
    encoded: bool = False
    trickle: bool = False  # a byte now and then
    elsewhere: str = ""  # the hub redirects there
    circle: bool = False  # the CDN redirects to itself
    uses: int = 1_000_000  # so often may one signature be used
    commit_hidden: bool = False  # ModelScope does not tell the commit of a branch
    page_link: str = ""  # the Link to the next page, in place of the right one
    listing: object = None  # the listing, in place of the right one


@dataclass
class Seen:
    """One request as it came in."""

    server: str
    path: str
    headers: Mapping[str, str]


@dataclass
class FakeHub:
    """`endpoint` is the hub's URL, `cdn` that of the other server. `token`: asked for at the hub, never at the CDN."""

    files: dict[str, bytes]
    token: str = ""
    page_size: int = 1000
    large_from: int = 1000  # files of so many bytes are in the large storage (LFS)
    faults: Faults = field(default_factory=Faults)
    seen: list[Seen] = field(default_factory=list)
    endpoint: str = ""
    cdn: str = ""
    signatures: dict[str, int] = field(default_factory=dict)
    sent: dict[tuple[str, str], int] = field(default_factory=dict)  # bytes, by file and address of who asked
    lock: threading.Lock = field(default_factory=threading.Lock)

    def large(self, name: str) -> bool:
        return name.endswith(".safetensors") or len(self.files[name]) >= self.large_from

    def asked(self, server: str) -> list[Seen]:
        return [one for one in self.seen if one.server == server]

    def take(self, fault: str) -> bool:
        """Whether this answer is one of those to spoil."""
        with self.lock:
            left: int = getattr(self.faults, fault)
            setattr(self.faults, fault, max(0, left - 1))
            return left > 0

    def origin_spec(self, **changes: object) -> dict[str, object]:
        """Returns what an HttpOrigin needs for all files."""
        base = f"{self.endpoint}/{REPOSITORY}/resolve/{SHA}/"
        return {
            "urls": {name: base + quote(name) for name in self.files},
            "sizes": {name: len(content) for name, content in self.files.items()},
            "headers": {"Authorization": f"Bearer {self.token}"} if self.token else {},
            "proxy": None,
            "ca_file": None,
            "timeout": 5,
            **changes,
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ClassVar[FakeHub]
    server_name: ClassVar[str]

    def do_GET(self) -> None:
        hub = self.hub
        with hub.lock:
            hub.seen.append(Seen(self.server_name, self.path, dict(self.headers.items())))
        if hub.faults.too_many_at == self.server_name and hub.take("too_many"):
            headers = {} if hub.faults.retry_after is None else {"Retry-After": hub.faults.retry_after}
            self.answer(429, b"slow down", headers)
        elif self.server_name == "cdn":
            self.cdn()
        else:
            self.at_hub()

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True  # the other side had enough

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def json(self, value: object, headers: Mapping[str, str] | None = None, status: int = 200) -> None:
        self.answer(status, json.dumps(value).encode(), headers)

    # -- the hub

    def at_hub(self) -> None:
        hub = self.hub
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self.answer(401, b"Invalid credentials in Authorization header")
            return
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(f"/api/models/{REPOSITORY}/revision/(.+)", path):
            known = found[1] in BRANCHES
            self.json(
                {"sha": BRANCHES[found[1]]} if known else {"error": "Invalid rev id"}, status=200 if known else 404
            )
        elif path == f"/api/models/{REPOSITORY}/tree/{SHA}":
            self.tree()
        elif path == f"/api/v1/models/{REPOSITORY}/repo/files":
            self.modelscope_files()
        elif found := re.fullmatch(f"/{REPOSITORY}/resolve/{SHA}/(.+)", path):
            self.resolve(found[1], modelscope=False)
        elif found := re.fullmatch(f"/models/{REPOSITORY}/resolve/([^/]+)/(.+)", path):
            self.resolve(found[2], modelscope=True)
        elif path.startswith("/dir/") and path[5:] in hub.files:
            self.send_range(path[5:], hub.files[path[5:]], '"dir"')
        else:
            self.answer(404, b"Repository not found")

    def tree(self) -> None:
        hub = self.hub
        query = parse_qs(urlsplit(self.path).query)
        start = int(query.get("cursor", ["0"])[0])
        names = sorted(hub.files)
        rows: list[dict[str, object]] = [{"type": "directory", "path": "figures", "size": 0, "oid": "d" * 40}]
        for name in names[start : start + hub.page_size]:
            content = hub.files[name]
            row: dict[str, object] = {"type": "file", "path": name, "size": len(content), "oid": blob_sha1(content)}
            if hub.large(name):
                row["oid"] = "e" * 40
                row["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            rows.append(row)
        headers = {}
        if start + hub.page_size < len(names):
            link = f"{hub.endpoint}{urlsplit(self.path).path}?recursive=true&cursor={start + hub.page_size}"
            headers["Link"] = f'<{hub.faults.page_link or link}>; rel="next"'
        self.json(rows if hub.faults.listing is None else hub.faults.listing, headers)

    def modelscope_files(self) -> None:
        hub = self.hub
        revision = parse_qs(urlsplit(self.path).query).get("Revision", ["master"])[0]
        if revision not in BRANCHES:
            self.json({"Code": 10010205001, "Success": False, "Message": "revision not found"}, status=404)
            return
        rows: list[dict[str, object]] = [
            {"Path": "figures", "Name": "figures", "Type": "tree", "Size": 0, "Sha256": ""}
        ]
        for name, content in sorted(hub.files.items()):
            row: dict[str, object] = {"Path": name, "Name": Path(name).name, "Type": "blob", "Size": len(content)}
            rows.append(
                {**row, "Sha256": hashlib.sha256(content).hexdigest(), "Revision": SHA, "IsLFS": hub.large(name)}
            )
        data = {"Files": rows, "LatestCommitter": {} if hub.faults.commit_hidden else {"Id": SHA}}
        whole = {"Code": 200, "Success": True, "Message": "success", "Data": data}
        self.json(whole if hub.faults.listing is None else hub.faults.listing)

    def resolve(self, name: str, *, modelscope: bool) -> None:
        hub = self.hub
        if name not in hub.files:
            if modelscope:
                self.json({"Code": 404, "Success": False, "Message": "file not found"})
            else:
                self.answer(404, b"Entry not found")
            return
        content = hub.files[name]
        if not hub.large(name):
            if modelscope:
                self.answer(200, content)  # the gateway gives no ranges of small files
            else:
                self.send_range(name, content, f'"{blob_sha1(content)}"')
            return
        with hub.lock:
            signature = str(len(hub.signatures))
            hub.signatures[signature] = hub.faults.uses
        digest = hashlib.sha256(content).hexdigest() if hub.take("same_linked_tags") else "changed"
        headers = {"Location": hub.faults.elsewhere or f"{hub.cdn}/blob/{quote(name)}?Signature={signature}"}
        if not modelscope:
            headers |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(content)), "X-Repo-Commit": SHA}
        self.answer(302, b"Found. Redirecting", headers)

    # -- the CDN

    def cdn(self) -> None:
        hub = self.hub
        parts = urlsplit(self.path)
        if hub.faults.circle:
            self.answer(302, b"", {"Location": self.path})
            return
        if "Authorization" in self.headers or "Cookie" in self.headers:
            self.answer(400, b"Only one auth mechanism allowed")
            return
        signature = parse_qs(parts.query).get("Signature", [""])[0]
        with hub.lock:
            left = hub.signatures.get(signature, 0)
            hub.signatures[signature] = left - 1
        if left <= 0 or hub.take("refuse"):
            self.answer(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
            return
        name = unquote(parts.path.removeprefix("/blob/"))
        self.send_range(name, hub.files[name], '"of the cdn"')

    def send_range(self, name: str, content: bytes, tag: str) -> None:
        faults = self.hub.faults
        if self.hub.take("broken"):
            self.answer(500, b"Internal Error")
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        last = min(int(asked[2] or len(content) - 1), len(content) - 1) if asked else len(content) - 1
        if asked and first >= len(content):
            self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        ranged = asked is not None and not faults.no_ranges
        if ranged and self.hub.take("wrong_range"):
            first += 1
        body = content[first : last + 1] if ranged else content
        with self.hub.lock:
            key = (name, self.client_address[0])
            self.hub.sent[key] = self.hub.sent.get(key, 0) + len(body)
        self.send_response(206 if ranged and not faults.quiet_ranges else 200)
        if ranged and not faults.quiet_ranges:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content) + faults.wrong_total}")
        tag = tag if self.hub.take("same_tags") else '"changed"'
        self.send_header("ETag", f"W/{tag[:-1]}{len(self.hub.seen)}{tag[-1]}" if faults.weak_tags else tag)
        if faults.encoded:
            self.send_header("Content-Encoding", "gzip")
        if faults.length_hidden:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.pour(body)
        except OSError:
            self.close_connection = True  # the other side had enough

    def pour(self, body: bytes) -> None:
        faults = self.hub.faults
        if faults.trickle:
            for number in range(min(100, len(body))):
                self.wfile.write(body[number : number + 1])
                time.sleep(0.05)
            self.close_connection = True
        elif len(body) > faults.cut_after and self.hub.take("cut"):
            self.wfile.write(body[: faults.cut_after])
            self.close_connection = True
        else:
            self.wfile.write(body)
            self.close_connection = faults.length_hidden or self.close_connection


def blob_sha1(content: bytes) -> str:
    """git's name for a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def serving(
    hub: FakeHub, certificate: tuple[Path, Path] | None = None, address: str = "127.0.0.1"
) -> Iterator[FakeHub]:
    """Serves a hub and its CDN on two ports of an address. `certificate`: of the hub, with its key."""
    servers = []
    for name in ("hub", "cdn"):
        handler = type("Handler", (_Handler,), {"hub": hub, "server_name": name})
        server = ThreadingHTTPServer((address, 0), handler)
        server.daemon_threads = True
        scheme = "http"
        if certificate is not None and name == "hub":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        setattr(hub, "endpoint" if name == "hub" else "cdn", f"{scheme}://{address}:{server.server_port}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()

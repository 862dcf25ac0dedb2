# SPDX-License-Identifier: Apache-2.0
"""Reads ranges of files from web servers: a hub, a mirror of it, or a directory on any server.

Hubs answer with a redirect to a CDN whose URL is signed, expires, and is remembered until then. What comes is not
believed: sizes and ETags are compared here, sha256 by whoever has the whole file.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from typing import Any, Iterator, Mapping

from mindie_exchange.hub_answer import body_of, pause_of, strong_tag
from mindie_exchange.hub_connection import Connections, drained
from mindie_exchange.hub_meter import Meter
from mindie_exchange.hub_url import Address, Proxies, address_of, redirected
from mindie_exchange.origin_error import BrokenError, OriginError

__all__ = ["HttpOrigin", "OriginError"]

MOST_REDIRECTS = 5
MOST_TRIES = 8
# A signed URL that is refused although it is new is not asked for again and again.
MOST_REFUSALS = 2
# So much must come before failures are forgiven: a server that gives a byte per connection makes no progress.
PROGRESS = 64 * 1024
BLOCK = 256 * 1024
SLOWEST = 1024  # bytes per second, over one time limit
FIRST_PAUSE_S = 0.5
LONGEST_BACKOFF_S = 30.0
WORDS = 1024  # bytes of an error's body that a message may show
SMALL = 64 * 1024  # bytes that are read for a connection's sake

REDIRECTS = (301, 302, 303, 307, 308)
REFUSED = (401, 403, 404, 410)
PASSING = (408, 425, 429)


class _Reading:
    """One call of read_into: what is wanted, and how far it is."""

    def __init__(self, name: str, offset: int, view: memoryview) -> None:
        self.name, self.offset, self.view = name, offset, view
        self.done = 0
        self.refusals = 0

    @property
    def left(self) -> int:
        return len(self.view) - self.done


class HttpOrigin:
    """Files of one model on a web server. Threads may share it; each has connections of its own.

    `meter` counts bytes_received, bytes_asked_twice, requests, failures, targets_asked_anew, and knows the rate.
    """

    def __init__(self, spec: Mapping[str, Any], stop: threading.Event | None = None) -> None:
        """Takes a mapping:

        urls: {name: URL}; sizes: {name: bytes}; headers: {name: value}, sent only to the server that a file's own URL
        names; proxy: {"http": URL, "https": URL, "no": "a,b"} or None (the environment is never asked); ca_file: PEM
        file of further CAs, or None; timeout: seconds without a byte.

        `stop` ends waiting (and the call with it) when it is set. Raises OriginError (final) for a spec that is wrong.
        """
        try:
            self._own = {name: address_of(url) for name, url in spec["urls"].items()}
            proxies = Proxies(spec.get("proxy"))
        except ValueError as error:
            raise OriginError("the origin cannot be used: %s" % error, final=True) from error
        self._sizes: dict[str, int] = dict(spec["sizes"])
        self._headers: dict[str, str] = dict(spec.get("headers") or {})
        if any("\r" in value or "\n" in value or not value.isascii() for value in self._headers.values()):
            raise OriginError("a header of the origin holds what a header may not hold", final=True)
        self._timeout = float(spec.get("timeout") or 30)
        self._connections = Connections(self._timeout, spec.get("ca_file"), proxies)
        self._stop = stop or threading.Event()
        self._lock = threading.Lock()
        self._targets: dict[str, Address] = {}
        self._tags: dict[tuple[str, ...], str] = {}
        self._held: dict[tuple[str, str, int], float] = {}
        self.meter = Meter()

    def read_into(self, name: str, offset: int, view: memoryview) -> None:
        """Fills the view with the file's bytes from offset on.

        Raises OriginError, and ValueError for a range that is not in the file. The view may be filled in part then.
        """
        if name not in self._own or name not in self._sizes:
            raise OriginError("the origin has no file %s" % name, final=True)
        if not 0 <= offset <= offset + len(view) <= self._sizes[name]:
            raise ValueError("%s has no bytes %d to %d" % (name, offset, offset + len(view)))
        reading = _Reading(name, offset, view.cast("B"))
        failures = mark = 0
        while reading.left:
            try:
                self._once(reading)
            except BrokenError as broken:
                if reading.done - mark >= PROGRESS:
                    failures, mark = 0, reading.done
                failures += 1
                self.meter.raised("failures")
                if failures >= MOST_TRIES:
                    raise OriginError(
                        "%s: no progress in %d tries, the last time: %s" % (name, failures, broken.reason),
                        broken.retry_after,
                    ) from broken
                self._pause(min(LONGEST_BACKOFF_S, FIRST_PAUSE_S * 2 ** (failures - 1)) * random.uniform(0.5, 1))
                self.meter.raised("bytes_asked_twice", reading.left)
            except OriginError as error:
                raise OriginError("%s: %s" % (name, error), error.retry_after, error.final) from error

    def close(self) -> None:
        """Closes the connections of the thread that calls."""
        self._connections.close()

    def _once(self, reading: _Reading) -> None:
        """Makes one request, with its redirects, and reads what it brings."""
        first, last = reading.offset + reading.done, reading.offset + len(reading.view) - 1
        address, response = self._follow(reading, first, last)
        whole = False
        try:
            self._compare(response, (reading.name, "ETag", address.netloc), "ETag")
            body = body_of(response.status, response.headers, first, last, self._sizes[reading.name])
            if address != self._own[reading.name]:
                with self._lock:
                    self._targets[reading.name] = address
            came = 0
            for count in self._blocks(reading, response, body.skip, body.length):
                came += count
            whole = body.length is not None and came == body.skip + body.length
            if reading.left and not whole:
                raise BrokenError("%s closed the connection in the middle" % address.netloc)
        finally:
            self._connections.done(address, response, whole)

    def _blocks(
        self, reading: _Reading, response: http.client.HTTPResponse, skip: int, length: int | None
    ) -> Iterator[int]:
        """Reads a body into the view as far as both go; yields the bytes of every block, skipped ones too."""
        rest = skip + (reading.left if length is None else min(length, reading.left))
        began, came = time.monotonic(), 0
        while rest:
            try:
                block = response.read1(min(BLOCK, rest))
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise BrokenError("the connection broke: %s" % (error or type(error).__name__)) from error
            if not block:
                return
            rest -= len(block)
            useful = block[skip:] if skip else block
            skip -= len(block) - len(useful)
            if useful:
                reading.view[reading.done : reading.done + len(useful)] = useful
                reading.done += len(useful)
                self.meter.came(len(useful))
            if len(useful) < len(block):
                self.meter.raised("bytes_asked_twice", len(block) - len(useful))
            yield len(block)
            came += len(block)
            if time.monotonic() - began >= self._timeout:
                if rest and came < SLOWEST * self._timeout:
                    raise BrokenError("only %d bytes came within %d s" % (came, self._timeout))
                began, came = time.monotonic(), 0
                if self._stop.is_set():
                    raise OriginError("the transfer was stopped")

    def _follow(self, reading: _Reading, first: int, last: int) -> tuple[Address, http.client.HTTPResponse]:
        """Asks for a range and follows redirects until an answer (200 or 206) brings bytes, its body unread."""
        own = self._own[reading.name]
        with self._lock:
            remembered = self._targets.get(reading.name)
        address, hops = remembered or own, 0
        while True:
            response = self._ask(address, own, first, last)
            if response.status in (200, 206):
                self._compare_linked(reading.name, address, response)
                return address, response
            body, whole = drained(response, SMALL)
            self._connections.done(address, response, whole)
            if response.status in REDIRECTS:
                self._compare_linked(reading.name, address, response)
                hops += 1
                if hops > MOST_REDIRECTS:
                    raise OriginError("%s redirects more than %d times" % (own.shown, MOST_REDIRECTS), final=True)
                address = _next(address, response)
            elif remembered is not None and response.status not in PASSING and 400 <= response.status < 500:
                # Its signature has expired: the hub gives a new one.
                with self._lock:
                    if self._targets.get(reading.name) == remembered:
                        del self._targets[reading.name]
                self.meter.raised("targets_asked_anew")
                remembered, address, hops = None, own, 0
            else:
                self._refuse(reading, address, response, body, hops)

    def _ask(self, address: Address, own: Address, first: int, last: int) -> http.client.HTTPResponse:
        with self._lock:
            until = self._held.get(address.origin, 0.0)
        now = time.monotonic()
        if until > now:
            # Not all threads at once when the time is over.
            self._pause(until - now + random.uniform(0, 0.5))
        headers = {"Range": "bytes=%d-%d" % (first, last)}
        if address.origin == own.origin:
            headers.update(self._headers)
        self.meter.raised("requests")
        return self._connections.ask(address, headers)

    def _refuse(
        self, reading: _Reading, address: Address, response: http.client.HTTPResponse, body: bytes, hops: int
    ) -> None:
        """Raises what an answer without bytes means."""
        status = response.status
        words = " ".join(body[:WORDS].decode("utf-8", "replace").split())
        what = "%s answered %d %s%s" % (address.shown, status, response.reason[:60], words and ": " + words[:200])
        if status in PASSING or status >= 500:
            pause = pause_of(response.headers, time.time()) if status in (429, 503) else None
            if pause is not None:
                with self._lock:
                    self._held[address.origin] = time.monotonic() + pause
            raise BrokenError(what, pause)
        if status in REFUSED and hops:
            reading.refusals += 1
            if reading.refusals < MOST_REFUSALS:
                raise BrokenError(what)
        raise OriginError(what, final=True)

    def _compare_linked(self, name: str, address: Address, response: http.client.HTTPResponse) -> None:
        """Compares what a hub says of the file behind its redirect; only the hub itself can say it."""
        if address.origin != self._own[name].origin:
            return
        try:
            self._compare(response, (name, "X-Linked-ETag"), "X-Linked-ETag")
            size = (response.headers.get("X-Linked-Size") or "").strip()
            if size.isdigit() and size != str(self._sizes[name]):
                raise OriginError("the hub's file has %s bytes, not %d" % (size[:20], self._sizes[name]), final=True)
        except OriginError:
            self._connections.drop(address)
            raise

    def _compare(self, response: http.client.HTTPResponse, key: tuple[str, ...], header: str) -> None:
        tag = strong_tag(response.headers.get(header))
        if tag is None:
            return
        with self._lock:
            known = self._tags.setdefault(key, tag)
        if known != tag:
            raise OriginError("its %s changed from %s to %s" % (header, known[:80], tag[:80]), final=True)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise OriginError("the transfer was stopped")


def _next(address: Address, response: http.client.HTTPResponse) -> Address:
    location = response.headers.get("Location")
    if not location:
        raise OriginError("%s answered %d without a Location" % (address.shown, response.status), final=True)
    try:
        # http.client reads headers as Latin-1, and some servers send UTF-8.
        return redirected(address, location.encode("latin-1", "replace").decode("utf-8", "replace"))
    except ValueError as error:
        raise OriginError("%s answered with %s" % (address.shown, error), final=True) from error

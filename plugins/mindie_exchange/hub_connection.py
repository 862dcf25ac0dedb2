# SPDX-License-Identifier: Apache-2.0
"""Connections to web servers, kept open and used again, each by the thread that made it."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections import OrderedDict

from mindie_exchange.hub_url import Address, Proxies
from mindie_exchange.origin_error import BrokenError, OriginError

# A thread talks to the hub, and to one or two CDNs.
MOST_KEPT = 4
AGENT = "mindie-deploy"


class Connections:
    """Connections by thread and server. Certificates are always checked, `ca_file` names further ones to trust."""

    def __init__(self, timeout: float, ca_file: str | None, proxies: Proxies) -> None:
        """Raises OriginError when the certificates cannot be read."""
        self._timeout = timeout
        self._proxies = proxies
        self._mine = threading.local()
        self._context = ssl.create_default_context()
        if ca_file:
            try:
                self._context.load_verify_locations(ca_file)
            except (OSError, ssl.SSLError) as error:
                raise OriginError("the CA file %s cannot be used: %s" % (ca_file, error), final=True) from error

    def ask(self, address: Address, headers: dict[str, str]) -> http.client.HTTPResponse:
        """Sends a GET and returns the answer, its body unread. Raises BrokenError, or OriginError (final)."""
        # A server may close a connection that waits just as we use it again: that is no failure of its own.
        for old in (True, False):
            connection = self._of(address, old)
            used_before = connection.sock is not None
            try:
                connection.request("GET", self._target(address), headers=self._headers(address, headers))
                return connection.getresponse()
            except ssl.SSLCertVerificationError as error:
                self.drop(address)
                raise OriginError(
                    "the certificate of %s is refused: %s; if a company's proxy or mirror has a CA of its own, name it "
                    "in mindie_weights_hub_ca_file" % (address.netloc, error.verify_message),
                    final=True,
                ) from error
            except (OSError, http.client.HTTPException) as error:
                self.drop(address)
                if not used_before:
                    raise self._explained(address, error) from error
        raise AssertionError("a new connection was used before")

    def done(self, address: Address, response: http.client.HTTPResponse, whole: bool) -> None:
        """Ends an answer. `whole`: its body was read to the last byte, so that the connection can be used again."""
        response.close()
        if not whole:
            self.drop(address)

    def drop(self, address: Address) -> None:
        """Closes this thread's connection to a server."""
        connection = self._kept.pop(address.origin, None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Closes this thread's connections. Those of a thread that ended are closed with it."""
        while self._kept:
            self._kept.popitem()[1].close()

    @property
    def _kept(self) -> OrderedDict[tuple[str, str, int], http.client.HTTPConnection]:
        if not hasattr(self._mine, "kept"):
            self._mine.kept = OrderedDict()
        kept: OrderedDict[tuple[str, str, int], http.client.HTTPConnection] = self._mine.kept
        return kept

    def _of(self, address: Address, old: bool) -> http.client.HTTPConnection:
        kept = self._kept
        if old and address.origin in kept:
            kept.move_to_end(address.origin)
            return kept[address.origin]
        while len(kept) >= MOST_KEPT:
            kept.popitem(last=False)[1].close()
        kept[address.origin] = self._new(address)
        return kept[address.origin]

    def _new(self, address: Address) -> http.client.HTTPConnection:
        proxy = self._proxies.way_to(address)
        host, port = (address.host, address.port) if proxy is None else (proxy.host, proxy.port)
        if address.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout)
        connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._context)
        if proxy is not None:
            login = {"Proxy-Authorization": proxy.login} if proxy.login else {}
            connection.set_tunnel(address.host, address.port, login)
        return connection

    def _target(self, address: Address) -> str:
        plain_proxy = address.scheme == "http" and self._proxies.way_to(address) is not None
        return address.url if plain_proxy else address.target

    def _headers(self, address: Address, headers: dict[str, str]) -> dict[str, str]:
        all_of_them = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        all_of_them.update(headers)
        proxy = self._proxies.way_to(address)
        if proxy is not None and proxy.login and address.scheme == "http":
            all_of_them["Proxy-Authorization"] = proxy.login
        return all_of_them

    def _explained(self, address: Address, error: Exception) -> Exception:
        proxy = self._proxies.way_to(address)
        way = "" if proxy is None else " through %s" % proxy.shown
        words = str(error) or type(error).__name__
        if words.startswith(("Tunnel connection failed: 407", "Tunnel connection failed: 403")):
            return OriginError("%s does not let us reach %s: %s" % (way.strip(), address.netloc, words), final=True)
        return BrokenError("%s%s: %s" % (address.netloc, way, words))


def drained(response: http.client.HTTPResponse, most: int) -> tuple[bytes, bool]:
    """Reads a small body. Returns its beginning (at most `most` bytes) and whether that was all of it."""
    body = b""
    whole = False
    with contextlib.suppress(OSError, http.client.HTTPException):
        body = response.read(most + 1)
        whole = len(body) <= most and response.isclosed()
    return body[:most], whole

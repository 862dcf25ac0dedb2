# SPDX-License-Identifier: Apache-2.0
"""Addresses on the web and the proxies on the way to them. No input or output."""

from __future__ import annotations

import base64
import ipaddress
from typing import Any, Mapping, NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

PORTS = {"http": 80, "https": 443}
LONGEST = 16384
# What may stand in a path and query as it is; "%" too: what comes is quoted already, as far as its sender saw need.
SAFE = "%/:=&?~#+!$,;'@()*[]"


class Address(NamedTuple):
    """Where a request goes. `target`: path and query, quoted."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what a login is good for."""
        return self.scheme, self.host, self.port

    @property
    def netloc(self) -> str:
        host = "[%s]" % self.host if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else "%s:%d" % (host, self.port)

    @property
    def url(self) -> str:
        return "%s://%s%s" % (self.scheme, self.netloc, self.target)

    @property
    def shown(self) -> str:
        """The URL for messages, without its query: that of a CDN is as good as a login."""
        return self.url.partition("?")[0]


def address_of(url: str) -> Address:
    """Reads an http:// or https:// URL. Raises ValueError with what is wrong, without the URL's login or query."""
    if len(url) > LONGEST:
        raise ValueError("a URL of %d characters" % len(url))
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise ValueError("a URL that begins with %r, neither http nor https" % parts.scheme[:20])
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL with a login in it")
    host = parts.hostname
    if not host:
        raise ValueError("a URL without a host")
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    target = quote(parts.path or "/", safe=SAFE)
    if parts.query:
        target += "?" + quote(parts.query, safe=SAFE)
    return Address(parts.scheme, host, parts.port or PORTS[parts.scheme], target)


def redirected(base: Address, location: str) -> Address:
    """Returns where an answer's Location leads. Raises ValueError where it must not be followed."""
    address = address_of(urljoin(base.url, location))
    if base.scheme == "https" and address.scheme == "http":
        raise ValueError("a redirect from https to http (%s)" % address.shown)
    return address


class Proxy(NamedTuple):
    """A proxy. `login`: the value of Proxy-Authorization, or None."""

    host: str
    port: int
    login: str | None

    @property
    def shown(self) -> str:
        return "the proxy %s:%d" % (self.host, self.port)


class Proxies:
    """Which proxy an address is asked through. The environment is not looked at."""

    def __init__(self, settings: Mapping[str, Any] | None) -> None:
        """Takes {"http": url, "https": url, "no": "host,.domain,10.0.0.0/8"} or None. Raises ValueError."""
        settings = settings or {}
        self._of = {scheme: proxy_of(settings[scheme]) for scheme in PORTS if settings.get(scheme)}
        self._direct = [one.strip().lower() for one in str(settings.get("no") or "").split(",") if one.strip()]

    def way_to(self, address: Address) -> Proxy | None:
        """Returns the proxy for an address, None for a direct connection."""
        proxy = self._of.get(address.scheme)
        return None if proxy is None or any(_names(rule, address) for rule in self._direct) else proxy


def proxy_of(url: str) -> Proxy:
    """Reads "http://[user:password@]host:port". Raises ValueError, without the login."""
    parts = urlsplit(url if "//" in url else "//" + url, scheme="http")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("the proxy must be http://host:port (TLS goes through it by CONNECT)")
    login = None
    if parts.username is not None:
        words = "%s:%s" % (unquote(parts.username), unquote(parts.password or ""))
        login = "Basic " + base64.b64encode(words.encode()).decode("ascii")
    return Proxy(parts.hostname, parts.port or 3128, login)


def _names(rule: str, address: Address) -> bool:
    """Whether a word of "no" names an address: "*", a host, a domain (with its hosts), a network, host:port."""
    if rule == "*":
        return True
    try:
        return ipaddress.ip_address(address.host) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        pass  # not an address, or not a network: compared as names
    host, _, port = rule.partition(":")
    if port and port != str(address.port):
        return False
    domain = host.lstrip("*").lstrip(".")
    return bool(domain) and (address.host == domain or address.host.endswith("." + domain))

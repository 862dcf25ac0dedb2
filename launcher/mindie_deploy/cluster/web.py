"""Rules for addresses on the web that settings name: hubs, directories and proxies."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

LONGEST_URL = 2048
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
PATH = re.compile(r"(/[A-Za-z0-9._~%+=,@!-]+)*/?")


def web_address(value: str) -> str:
    """Returns an http:// or https:// address as it was written, without a "/" at its end.

    Raises ValueError with the rule that it breaks: no login, no query, no "..", a port from 1 to 65535.
    """
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or len(value) > LONGEST_URL:
        raise ValueError("must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("may not hold a login")
    _host_and_port(parts.netloc)
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError("may not hold ? or #")
    if not PATH.fullmatch(parts.path) or ".." in parts.path.split("/"):
        raise ValueError("may only hold letters A-Z a-z, digits and . _ ~ % + = , @ ! - between the / of its path")
    return value.rstrip("/")


def proxy_address(value: str) -> str:
    """Returns the address of a proxy: http://host:port, a login before the host is allowed. Raises ValueError.

    No message holds the login.
    """
    parts = urlsplit(value)
    if parts.scheme != "http" or len(value) > LONGEST_URL or not value.isascii() or not value.isprintable():
        raise ValueError("must be http://host:port (TLS goes through such a proxy as well)")
    login, _, place = parts.netloc.rpartition("@")
    if "@" in login or " " in login:
        raise ValueError("has a login with @ or a space in it: write them as %40 and %20")
    _host_and_port(place)
    if parts.port is None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must name a port, and no path: http://host:port")
    return value.rstrip("/")


def is_plain_web(address: str) -> bool:
    """Whether what is sent to an address can be read on the way: http:// to another machine."""
    parts = urlsplit(address)
    if parts.scheme != "http":
        return False
    try:
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname != "localhost"


def _host_and_port(place: str) -> None:
    host, port = (place, "") if place.endswith("]") or ":" not in place else place.rsplit(":", 1)
    if not HOST.fullmatch(host):
        raise ValueError("must name a host")
    if (port or place.endswith(":")) and not (port.isdigit() and port.isascii() and 1 <= int(port) <= 65535):
        raise ValueError("has a port that is none")

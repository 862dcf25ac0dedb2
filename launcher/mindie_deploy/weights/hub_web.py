"""What the reading of a hub needs of the web; who really talks to it is in remote/hub_client.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mindie_deploy.errors import CheckFailedError, UnreachableError


class HubError(CheckFailedError):
    """A hub's answer cannot be used, or the hub refuses; nothing was copied."""


class HubUnreachableError(UnreachableError):
    """A hub gave no answer, or none that another try would not change."""


@dataclass(frozen=True)
class WebAnswer:
    """An answer after all redirects. Names of headers are in lower case; `cut`: the body goes on after `body`."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool


class WebReader(Protocol):
    """Reads from the web; tests have one of their own."""

    def get(self, url: str, *, largest: int, span: tuple[int, int] | None = None) -> WebAnswer:
        """Returns the answer to a GET, at most `largest` bytes of its body; `span`: first and last byte to ask for.

        Raises HubUnreachableError when no answer comes, HubError when its redirects must not be followed.
        """

"""Where a sync takes the weights from: the setting weights_source, taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mindie_deploy.errors import UsageError


class SourceKind(StrEnum):
    """`hosts`: nothing is copied, what stands on the hosts is verified."""

    HOSTS = "hosts"
    CONTROLLER = "controller"
    HOST = "host"
    MOUNT = "mount"


@dataclass(frozen=True)
class Source:
    """A kind of source, the directory there, and for the kind `host` the host's name in the inventory."""

    kind: SourceKind
    path: str = ""
    host: str = ""

    @property
    def label(self) -> str:
        """How messages name it."""
        if self.kind is SourceKind.HOSTS:
            return "the hosts themselves"
        if self.kind is SourceKind.HOST:
            return f"{self.host}:{self.path}"
        return f"{self.path} on the {'controller' if self.kind is SourceKind.CONTROLLER else 'shared mount'}"


def parse_source(text: str) -> Source:
    """Reads "", "controller:/abs", "host:NAME:/abs" or "mount:/abs". Raises UsageError for anything else."""
    if not text:
        return Source(SourceKind.HOSTS)
    kind, _, rest = text.partition(":")
    host = ""
    if kind == SourceKind.HOST:
        host, _, rest = rest.partition(":")
    known = kind in (SourceKind.CONTROLLER, SourceKind.HOST, SourceKind.MOUNT)
    if not known or not rest.startswith("/") or (kind == SourceKind.HOST and not host):
        raise UsageError(
            f'mindie_weights_source is {text!r}, which is none of "", "controller:/path", "host:NAME:/path", '
            '"mount:/path"'
        )
    return Source(SourceKind(kind), rest.rstrip("/") or "/", host)

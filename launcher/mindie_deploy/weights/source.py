"""Where a sync takes the weights from: the setting weights_source, taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mindie_deploy.cluster.weights_source import FORMS, TOGETHER, weights_source
from mindie_deploy.errors import UsageError


class SourceKind(StrEnum):
    """`nothing`: nothing is copied, what stands on the hosts is verified. `hosts`: each file from whichever hosts have
    it. `http`: a directory on a web server."""

    NOTHING = "nothing"
    HOSTS = "hosts"
    CONTROLLER = "controller"
    HOST = "host"
    MOUNT = "mount"
    HUGGINGFACE = "huggingface"
    MODELSCOPE = "modelscope"
    HTTP = "http"

    @property
    def is_directory(self) -> bool:
        """Whether the files stand in one directory somewhere."""
        return self in (SourceKind.CONTROLLER, SourceKind.HOST, SourceKind.MOUNT)

    @property
    def on_the_web(self) -> bool:
        """Whether the files come from a hub or a web server, in parts to all hosts."""
        return self in (SourceKind.HUGGINGFACE, SourceKind.MODELSCOPE, SourceKind.HTTP)


@dataclass(frozen=True)
class Source:
    """A kind of source, the directory there, and for the kind `host` the host's name in the inventory.

    `path` of a hub is OWNER/NAME, of a web server the whole URL with "/" at its end.
    """

    kind: SourceKind
    path: str = ""
    host: str = ""

    @property
    def label(self) -> str:
        """How messages name it."""
        if self.kind is SourceKind.NOTHING:
            return "the hosts themselves"
        if self.kind is SourceKind.HOSTS:
            return "the hosts together"
        if self.kind is SourceKind.HOST:
            return f"{self.host}:{self.path}"
        if self.kind is SourceKind.HTTP:
            return self.path
        if self.kind.on_the_web:
            return f"{self.kind}:{self.path}"
        return f"{self.path} on the {'controller' if self.kind is SourceKind.CONTROLLER else 'shared mount'}"


def parse_source(text: str) -> Source:
    """Reads the setting weights_source; its forms are in cluster/weights_source.py. Raises UsageError for others."""
    try:
        text = weights_source(text)
    except ValueError as error:
        raise UsageError(f"mindie_weights_source is {text!r}, which {error}", f"write one of {FORMS}") from error
    if not text:
        return Source(SourceKind.NOTHING)
    if text == TOGETHER:
        return Source(SourceKind.HOSTS)
    if text.startswith(("http://", "https://")):
        return Source(SourceKind.HTTP, text)
    kind, _, rest = text.partition(":")
    host = ""
    if kind == SourceKind.HOST:
        host, _, rest = rest.partition(":")
    return Source(SourceKind(kind), rest, host)

"""The forms that the setting weights_source may have."""

from __future__ import annotations

import re

from mindie_deploy.cluster.paths import host_path
from mindie_deploy.cluster.web import web_address

DIRECTORY = re.compile(r"(controller|mount|host:(?P<host>[A-Za-z0-9][A-Za-z0-9_.-]*)):(?P<path>/.*)")
PART = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}"
REPOSITORY = re.compile(rf"(huggingface|modelscope):{PART}/{PART}")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
TOGETHER = "hosts"
FORMS = (
    '"", "hosts" (each file from the hosts that have it), "controller:/path", "host:NAME:/path" (NAME as in the '
    'inventory), "mount:/path", "huggingface:OWNER/NAME", "modelscope:OWNER/NAME" or "https://host/directory/"'
)


def weights_source(value: str) -> str:
    """Returns a source in its one form: paths normalised, a web directory with "/" at its end. Raises ValueError."""
    if value in ("", TOGETHER) or (REPOSITORY.fullmatch(value) and ".." not in value):
        return value
    if value.startswith(("http://", "https://")):
        return web_address(value) + "/"
    found = DIRECTORY.fullmatch(value)
    if not found:
        raise ValueError(f"must be {FORMS}")
    return value[: -len(found["path"])] + host_path(found["path"])

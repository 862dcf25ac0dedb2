"""The forms that the setting image_archive may have: where a file made by docker save is."""

from __future__ import annotations

import re

ELSEWHERE = re.compile(r"(controller|mount|host:(?P<host>[A-Za-z0-9][A-Za-z0-9_.-]*)):(?P<path>/.*)")
FORMS = (
    '"", an absolute path on the controller, "host:NAME:/path" (NAME as in the inventory) or "mount:/path" (that all '
    "hosts see)"
)


def image_archive(value: str) -> str:
    """Returns the place of an archive in its one form; on the controller that is the path alone. Raises ValueError."""
    found = ELSEWHERE.fullmatch(value)
    path = found["path"] if found else value
    if value and (not path.startswith("/") or not path.isprintable()):
        raise ValueError(f"must be {FORMS}")
    return path if value.startswith("controller:") else value


def path_on_controller(archive: str) -> str:
    """Returns the archive's path on the controller, "" where it is elsewhere or there is none."""
    return archive if archive.startswith("/") else ""


def host_of(archive: str) -> str:
    """Returns the name of the host that has the archive, "" where that is no host of the inventory."""
    found = ELSEWHERE.fullmatch(archive)
    return (found["host"] or "") if found else ""

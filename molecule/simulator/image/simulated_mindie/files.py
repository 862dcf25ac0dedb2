"""File rules (source 1.2): which files the daemon takes, by existence, kind, size, owner and mode."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from .checks import Say

MAX_JSON_BYTES = 10 * 1024 * 1024
MAX_WEIGHTS_JSON_BYTES = 500 * 1000 * 1000
_WEIGHTS_PATH = re.compile(r"[A-Za-z0-9_./-]+")


def own_file(path: str, say: Say, *, mode: int = 0o640, limit: int = MAX_JSON_BYTES) -> bool:
    """Whether config.json, the rank table or a TLS file is taken.

    The owner must be the uid of the process and the mode within `mode`, for root as well (source 1.2).
    MINDIE_CHECK_INPUTFILES_PERMISSION=0 changes nothing here (source 0, point 6).
    """
    if not path or len(path) > 4096:
        say(f"The file path: {os.path.basename(path)} is empty or too long.")
        return False
    if os.path.islink(path):
        say(f"The file {path} is a link.")
        return False
    if not os.path.isfile(path):
        say("The input file is not a regular file or not exists")
        return False
    facts = os.stat(path)
    if facts.st_size == 0:
        say("The input file is empty")
        return False
    if facts.st_size > limit:
        say("Read input file failed, file is too large")
        return False
    reason = _owner_complaint(facts) or _mode_complaint(path, facts, mode)
    if reason:
        say(reason)
        return False
    return True


def weights_directory(path: str, say: Say) -> str | None:
    """The resolved weights directory, or None when the daemon refuses it (source 1.2, last column)."""
    if not path or len(path) > 4096 or not _WEIGHTS_PATH.fullmatch(path):
        say(f"Check path: {path!r} failed, by: the path holds a letter that is not allowed.")
        return None
    parts = path.split("/")
    if ".." in parts or len(parts) > 32 or any(len(part) > 255 for part in parts):
        say(f"Check path: {path} failed, by: a part of the path is not allowed.")
        return None
    real = os.path.realpath(path)
    if not os.path.isdir(real):
        say(f"Check path: {path} failed, by: the directory does not exist.")
        return None
    return real if _others_rule(real, 0o750, say) else None


def weights_json(path: Path, say: Say) -> bool:
    """Whether config.json of the weights is taken: present, at most 500 MB, owner and mode unless root (source 1.2)."""
    if not path.is_file():
        say(f"Check path: {path.name} failed, by: the file does not exist.")
        return False
    if path.stat().st_size > MAX_WEIGHTS_JSON_BYTES:
        say(f"Check path: {path.name} failed, by: the file is too large.")
        return False
    return _others_rule(str(path.resolve()), 0o640, say)


def _others_rule(path: str, mode: int, say: Say) -> bool:
    """Owner and mode of weights: root passes (source 0, point 6)."""
    if os.getuid() == 0:
        return True
    facts = os.stat(path)
    reason = _owner_complaint(facts) or _mode_complaint(path, facts, mode)
    if reason:
        say(f"Check path: {os.path.basename(path)} failed, by: {reason}")
    return not reason


def _owner_complaint(facts: os.stat_result) -> str:
    if facts.st_uid == os.getuid():
        return ""
    return f"owner id diff: current process user id is {os.getuid()}, file owner id is {facts.st_uid}"


def _mode_complaint(path: str, facts: os.stat_result, allowed: int) -> str:
    mode = stat.S_IMODE(facts.st_mode)
    for shift, who in ((0, "Other group permission"), (3, "Owner group permission"), (6, "Owner permission")):
        now, most = mode >> shift & 7, allowed >> shift & 7
        if now & ~most:
            name = os.path.basename(path)
            return f"Check {who} failed: {name}: Current permission is {now}, but required no greater than {most}."
    return ""

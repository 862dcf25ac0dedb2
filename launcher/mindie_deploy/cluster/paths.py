"""Rules for paths on hosts and values that end in files and command lines."""

from __future__ import annotations

import posixpath
import re

PATH_LETTERS = re.compile(r"[A-Za-z0-9_./-]+")
LONGEST_PATH = 4096
LONGEST_PART = 255
DEEPEST_PATH = 32
SYSTEM_DIRECTORIES = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr")


def host_path(value: str) -> str:
    """Returns an absolute path on a host, normalised. Raises ValueError with the rule that it breaks.

    The letters, depth and lengths are MindIE's own limits for the weights directory (MindIE-LLM, SafePath::Check);
    they also keep a path safe in mounts, environment files and messages.
    """
    if not value.startswith("/"):
        raise ValueError("must be an absolute path: begin with /")
    if not PATH_LETTERS.fullmatch(value):
        raise ValueError("may only hold letters A-Z a-z, digits and _ . / - (MindIE refuses any other in a path)")
    if ".." in value.split("/"):
        raise ValueError('may not hold ".."')
    path = "/" + posixpath.normpath(value).lstrip("/")
    parts = path.strip("/").split("/")
    if len(path) > LONGEST_PATH or max(len(part) for part in parts) > LONGEST_PART or len(parts) > DEEPEST_PATH:
        raise ValueError(
            f"is too long: at most {LONGEST_PATH} characters, {LONGEST_PART} a part, {DEEPEST_PATH} parts (MindIE)"
        )
    return path


def own_directory(value: str) -> str:
    """Like host_path, for a directory that the deployment may fill: not the root or a directory of the system."""
    path = host_path(value)
    top = "/" + path.strip("/").split("/")[0]
    if path == "/":
        raise ValueError("must be a directory of its own, not the root")
    if top in SYSTEM_DIRECTORIES:
        raise ValueError(f"must not lie in {top}, which belongs to the system")
    return path


def inside(path: str, directory: str) -> bool:
    """Returns whether path is directory or lies below it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")

"""Cuts a small file system out of a host's: chosen packages with what they depend on, by the package database in it."""

from __future__ import annotations

import copy
import posixpath
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from simulated_cluster.errors import SimulatorError

WANTED = (
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "hostname",
    "libc-bin",
    "procps",
    "python3",
    "sed",
)
# Dependencies that only serve installing, or that nothing in a container looks at.
LEFT_OUT = frozenset(
    {"debconf", "debianutils", "dpkg", "init-system-helpers", "libaudit1", "mawk", "perl-base", "tzdata"}
)
# Files that no package lists, or that an installation makes.
EXTRA = re.compile(
    r"(etc/(passwd|group|shadow|gshadow|nsswitch\.conf|ld\.so\.(conf|cache)|ld\.so\.conf\.d/.*|hosts|hostname)"
    r"|usr/bin/sh|bin|sbin|lib|lib64|usr/lib64|tmp|var/tmp|run|proc|sys|dev|root|home|mnt|opt|srv|var|var/log)"
)
TRIMMED = re.compile(
    r"usr/(share/(doc|man|locale|info|lintian|bug|common-licenses|bash-completion|python3/runtime\.d)"
    r"|lib/python3[^/]*/(test|lib2to3|pydoc_data|ensurepip|idlelib|distutils|tkinter|unittest)"
    r"|lib/[^/]+/gconv|share/perl5)(/|$)"
)
SLIM_RECIPE = ("1", *WANTED, *sorted(LEFT_OUT), EXTRA.pattern, TRIMMED.pattern)


@dataclass(frozen=True)
class Package:
    """One installed package: what it depends on (first choices) and the names it stands for."""

    name: str
    depends: tuple[str, ...]
    provides: tuple[str, ...]


def _names(field: str) -> tuple[str, ...]:
    """Names in a field such as `libc6 (>= 2.36), debconf | debconf-2.0`: the first of each choice."""
    choices = (part.split("|")[0].strip() for part in field.split(","))
    return tuple(re.split(r"[ (:]", choice)[0] for choice in choices if choice)


def read_status(text: str) -> dict[str, Package]:
    """Installed packages, from the text of /var/lib/dpkg/status."""
    packages: dict[str, Package] = {}
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.splitlines():
            name, colon, value = line.partition(": ")
            if colon and not line.startswith(" "):
                fields[name] = value
        if "Package" not in fields or " installed" not in fields.get("Status", ""):
            continue
        depends = _names(fields.get("Pre-Depends", "")) + _names(fields.get("Depends", ""))
        packages[fields["Package"]] = Package(fields["Package"], depends, _names(fields.get("Provides", "")))
    return packages


def closure(packages: Mapping[str, Package], wanted: Iterable[str], left_out: frozenset[str] = LEFT_OUT) -> set[str]:
    """The wanted packages and all they depend on, but for those left out. Raises SimulatorError for an unknown one."""
    standing_for = {name: package.name for package in packages.values() for name in package.provides}
    found: set[str] = set()
    waiting = list(wanted)
    missing = [name for name in waiting if name not in packages]
    if missing:
        raise SimulatorError(f"the base image lacks {', '.join(missing)}.")
    while waiting:
        name = waiting.pop()
        name = name if name in packages else standing_for.get(name, "")
        if not name or name in found or name in left_out:
            continue
        found.add(name)
        waiting += packages[name].depends
    return found


def chosen_paths(listed: Iterable[str], members: Iterable[str], links: Mapping[str, str]) -> set[str]:
    """Members of the file system that belong to the listed paths, with the directories above and compiled Python.

    `links` are the directories that are links (bin -> usr/bin): packages list files under either name.
    """
    there = set(members)
    chosen: set[str] = set()
    for path in listed:
        plain = path.strip("/")
        first, _, rest = plain.partition("/")
        if first in links and rest:
            plain = posixpath.normpath(f"{links[first]}/{rest}")
        if plain in there and not TRIMMED.match(plain):
            chosen.add(plain)
    chosen |= {path for path in there if EXTRA.fullmatch(path)}
    for path in list(chosen):
        parent = posixpath.dirname(path)
        while parent:
            chosen.add(parent)
            parent = posixpath.dirname(parent)
    # Without the compiled files every start of Python would compile what it imports.
    chosen |= {path for path in there if "/__pycache__/" in path and _source_of(path) in chosen}
    chosen |= {posixpath.dirname(path) for path in chosen if "/__pycache__/" in path}
    return chosen & there


def _source_of(compiled: str) -> str:
    directory, name = posixpath.split(compiled)
    return f"{posixpath.dirname(directory)}/{name.split('.')[0]}.py"


def write_slim(host: Path, target: Path) -> None:
    """Write the slim file system of the host's tar file."""
    with tarfile.open(host) as source:
        members = {member.name.removeprefix("./").strip("/"): member for member in source.getmembers()}
        members.pop(".", None)
        status = source.extractfile(members["var/lib/dpkg/status"])
        assert status is not None
        packages = read_status(status.read().decode())
        links = {
            name: member.linkname.lstrip("/") for name, member in members.items() if "/" not in name and member.issym()
        }
        listed: list[str] = []
        for name in closure(packages, WANTED):
            for path in members:
                if re.fullmatch(rf"var/lib/dpkg/info/{re.escape(name)}(:[a-z0-9]+)?\.list", path):
                    content = source.extractfile(members[path])
                    assert content is not None
                    listed += content.read().decode().splitlines()
        with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as output:
            for path in sorted(chosen_paths(listed, members, links)):
                member = members[path]
                if member.islnk():
                    # The other name of the same file may not be among the chosen: carry the content.
                    member = members[member.linkname.removeprefix("./")]
                entry = copy.copy(member)
                entry.name = path
                output.addfile(entry, source.extractfile(member) if member.isreg() else None)

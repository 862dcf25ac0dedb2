# SPDX-License-Identifier: Apache-2.0
"""The plan of a run, as the controller sends it to every member. It comes from outside and is read strictly."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NamedTuple

FORMAT = 1
MOST_FILES = 20000
MOST_MEMBERS = 128
MOST_LANES = 64
LARGEST_FILE = 1 << 50
SMALLEST_PIECE = 4096
LARGEST_PIECE = 64 * 1024 * 1024
MOST_PIECES = 4_000_000
# A file on its way has its name and this; no file of a plan may have the name of another one on its way.
PARTIAL = ".partial"
LONGEST_NAME = 1024
LONGEST_PART = 255 - len(PARTIAL)
HEX64 = re.compile(r"[0-9a-f]{64}\Z")


class PlanError(Exception):
    """The text is no plan that may be followed."""


class File(NamedTuple):
    """A file of the model: its name relative to the model directory, size in bytes, sha256 in hex."""

    name: str
    size: int
    sha256: str


class Member(NamedTuple):
    """One agent. `dials`: nobody can reach it, it calls all others. `command` reaches it where TCP does not."""

    name: str
    address: str
    port: int
    dials: bool
    command: tuple[str, ...]


class Place(NamedTuple):
    """Where the files are: `complete` stand, proven, in `final`; the others come into `incoming`.

    `owner`, `group`: numbers that the brought files get, or None.
    """

    final: str
    incoming: str
    complete: frozenset[str]
    read_only: bool
    owner: int | None
    group: int | None


class Plan(NamedTuple):
    """Everything that one member must know. `seeds`: by member, the indices of the files it has from the beginning."""

    id: str
    secret: bytes
    me: int
    members: tuple[Member, ...]
    files: tuple[File, ...]
    piece_size: int
    lanes: int
    seeds: dict[int, frozenset[int]]
    place: Place
    origin: dict[str, Any] | None
    rate_limit: int
    tls: dict[str, str] | None
    status_file: str
    lifetime: float

    @property
    def digest(self) -> bytes:
        """32 bytes that all members of the run share: what is exchanged, by whom, in which pieces."""
        common = [
            self.id,
            self.piece_size,
            self.lanes,
            [member.name for member in self.members],
            [list(file) for file in self.files],
            sorted((member, sorted(files)) for member, files in self.seeds.items()),
        ]
        return hashlib.sha256(json.dumps(common, separators=(",", ":")).encode()).digest()

    def seeders(self, file: int) -> tuple[int, ...]:
        """Returns the members that have the file from the beginning, in the order of members."""
        return tuple(member for member in sorted(self.seeds) if file in self.seeds[member])


def read_plan(text: str) -> Plan:
    """Reads the plan. Raises PlanError with the key and what is wrong with it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError("the plan is not JSON: %s" % error) from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise PlanError("the plan is not of format %d" % FORMAT)
    secret = value.get("secret")
    if not isinstance(secret, str) or not HEX64.match(secret):
        raise PlanError("secret is not 64 hex letters")
    members = _members(value.get("members"))
    names = [member.name for member in members]
    if value.get("me") not in names:
        raise PlanError("me is %r, which is no member" % (value.get("me"),))
    files = _files(value.get("files"))
    piece_size = _number(value, "piece_size", SMALLEST_PIECE, LARGEST_PIECE)
    if sum(file.size for file in files) // piece_size > MOST_PIECES:
        raise PlanError("piece_size is %d, which makes more than %d pieces of the files" % (piece_size, MOST_PIECES))
    seeds = value.get("seeds")
    if not isinstance(seeds, dict) or not set(seeds) <= set(names):
        raise PlanError("seeds names somebody who is no member")
    for indices in seeds.values():
        if not isinstance(indices, list) or not all(_whole(i, 0, len(files) - 1) for i in indices):
            raise PlanError("seeds names files that are not in the plan")
    return Plan(
        id=_text(value, "id"),
        secret=bytes.fromhex(secret),
        me=names.index(value["me"]),
        members=members,
        files=files,
        piece_size=piece_size,
        lanes=_number(value, "lanes", 1, MOST_LANES),
        seeds={names.index(name): frozenset(indices) for name, indices in seeds.items()},
        place=_place(value.get("store"), files),
        origin=_optional(value, "origin"),
        rate_limit=_number(value, "rate_limit", 0, 1 << 40),
        tls=_tls(value),
        status_file=_text(value, "status_file"),
        lifetime=_number(value, "lifetime", 1, 10_000_000),
    )


def name_problem(name: object) -> str | None:
    """Returns why a name may not be joined to a directory, or None."""
    if not isinstance(name, str) or not name or len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        return "is no name of a file"
    if "\\" in name or not name.isprintable():
        return "holds characters that cannot be shown"
    parts = name.split("/")
    if any(not part or part[0] == "." for part in parts):
        return "leads elsewhere or is hidden"
    if any(len(part.encode("utf-8")) > LONGEST_PART for part in parts):
        return "has a part of more than %d bytes" % LONGEST_PART
    return None


def _files(rows: object) -> tuple[File, ...]:
    if not isinstance(rows, list) or not rows or len(rows) > MOST_FILES:
        raise PlanError("files is no list, empty, or longer than %d" % MOST_FILES)
    files: list[File] = []
    folders: set[str] = set()
    for row in rows:
        row = row if isinstance(row, dict) else {}
        name, size, digest = row.get("name"), row.get("size"), row.get("sha256")
        problem = name_problem(name)
        if problem:
            raise PlanError("files: the name %r %s" % (name, problem))
        if not _whole(size, 0, LARGEST_FILE):
            raise PlanError("files: %s has the size %r" % (name, size))
        if not isinstance(digest, str) or not HEX64.match(digest):
            raise PlanError("files: %s has the sha256 %r" % (name, digest))
        files.append(File(str(name), int(size or 0), digest))
        parts = str(name).split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    names = {file.name for file in files}
    if len(names) != len(files) or names & folders:
        raise PlanError("files: a name stands twice, or is a file and a directory")
    if {name + PARTIAL for name in names} & (names | folders):
        raise PlanError("files: a name is that of another file with %s after it" % PARTIAL)
    return tuple(files)


def _members(rows: object) -> tuple[Member, ...]:
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_MEMBERS:
        raise PlanError("members is no list of 1 to %d" % MOST_MEMBERS)
    members = []
    for row in rows:
        row = row if isinstance(row, dict) else {}
        command = row.get("command") or []
        if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
            raise PlanError("members: command is no list of words")
        members.append(
            Member(
                _text(row, "name"),
                _text(row, "address"),
                _number(row, "port", 1, 65535),
                row.get("dials") is True,
                tuple(command),
            )
        )
    if len({member.name for member in members}) != len(members):
        raise PlanError("members: a name stands twice")
    return tuple(members)


def _place(row: object, files: tuple[File, ...]) -> Place:
    if not isinstance(row, dict):
        raise PlanError("store is missing")
    complete = row.get("complete")
    names = {file.name for file in files}
    if not isinstance(complete, list) or not all(isinstance(one, str) and one in names for one in complete):
        raise PlanError("store: complete names files that are not in the plan")
    numbers = {}
    for key in ("owner", "group"):
        number = row.get(key)
        if number is not None and not _whole(number, 0, (1 << 32) - 2):
            raise PlanError("store: %s is %r" % (key, number))
        numbers[key] = number
    place = Place(
        final=_text(row, "final"),
        incoming=_text(row, "incoming") if not row.get("read_only") else "",
        complete=frozenset(complete),
        read_only=row.get("read_only") is True,
        owner=numbers["owner"],
        group=numbers["group"],
    )
    for path in (place.final, place.incoming):
        if path and (not path.startswith("/") or "\0" in path):
            raise PlanError("store: %r is no absolute path" % path)
    if place.read_only and len(place.complete) != len(files):
        raise PlanError("store: read_only, but not everything is there")
    return place


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(row: dict[str, Any], key: str, least: int, most: int) -> int:
    if not _whole(row.get(key), least, most):
        raise PlanError("%s is %r, not a whole number from %d to %d" % (key, row.get(key), least, most))
    return int(row[key])


def _text(row: dict[str, Any], key: str) -> str:
    if not isinstance(row.get(key), str) or not row[key]:
        raise PlanError("%s is %r, not a text" % (key, row.get(key)))
    return str(row[key])


def _tls(row: dict[str, Any]) -> dict[str, str] | None:
    tls = _optional(row, "tls")
    if tls and not all(isinstance(tls.get(key), str) for key in ("key", "certificate")):
        raise PlanError("tls has no key or no certificate")
    return tls


def _optional(row: dict[str, Any], key: str) -> dict[str, Any] | None:
    if row.get(key) is not None and not isinstance(row[key], dict):
        raise PlanError("%s is no mapping" % key)
    return row.get(key)

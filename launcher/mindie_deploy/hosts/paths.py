"""What a host's file system says: the state of paths, and free space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from mindie_deploy.hosts.answer import Answer, entry, number_of, text_of
from mindie_deploy.hosts.facts import DiskFacts, PathState, Reading, Unknown
from mindie_deploy.hosts.text import lines_of, whole


def path_states(collection: Mapping[str, object], key: str) -> Reading[tuple[PathState, ...]]:
    """Returns the states of the paths that a stat item asked for."""
    item = entry(collection, key)
    if isinstance(item, Unknown):
        return item
    states = item.get("paths")
    if item.get("error") or item.get("timed_out") or not isinstance(states, list):
        return Unknown(f"{key}: {text_of(item.get('error')) or 'the answer has no paths'}")
    return tuple(_state(state) for state in states if isinstance(state, Mapping) and text_of(state.get("path")))


def only_state(collection: Mapping[str, object], key: str) -> Reading[PathState]:
    """Returns the state of the one path that a stat item asked for."""
    states = path_states(collection, key)
    if isinstance(states, Unknown):
        return states
    return states[0] if len(states) == 1 else Unknown(f"{key}: the answer is not about one path")


def program(collection: Mapping[str, object], name: str) -> Reading[PathState]:
    """Returns the state of a program: the one that was found, else what stands in its place, else its first place.

    Where that is a link, the kind is that of what it leads to.
    A directory in its place is what a container leaves behind that was started with a mount of a missing file.
    """
    states = path_states(collection, f"program/{name}")
    programs = collection.get("programs")
    found = programs.get(name) if isinstance(programs, Mapping) else None
    if isinstance(states, Unknown):
        return states
    if isinstance(found, str):
        state = next((state for state in states if state.path == found), PathState(found, exists=True, kind="file"))
        return replace(state, kind=state.target_kind) if state.kind == "link" else state
    if not states:
        return Unknown(f"nobody looked for {name}")
    return next((state for state in states if state.exists), states[0])


def disk(collection: Mapping[str, object], key: str, path: str) -> Reading[DiskFacts]:
    """Returns the space of a disk item."""
    item = entry(collection, key)
    if isinstance(item, Unknown):
        return item
    total, available = number_of(item.get("total_bytes")), number_of(item.get("available_bytes"))
    if item.get("error") or total is None or available is None or min(total, available) < 0:
        return Unknown(f"{path}: {text_of(item.get('error')) or 'the answer has no sizes'}")
    return DiskFacts(
        path=path,
        ancestor=text_of(item.get("ancestor")) or path,
        total_bytes=total,
        available_bytes=available,
        filesystem=text_of(item.get("filesystem")) or None,
        read_only=item.get("read_only") is True,
    )


def disk_of_table(answer: Answer | Unknown, path: str) -> Reading[DiskFacts]:
    """Reads `df -PTk PATH`: one row of file system, type, sizes in KiB and the mount point."""
    if isinstance(answer, Unknown):
        return answer
    rows = [line.split() for line in lines_of(answer.stdout) if line.strip()][1:]
    if answer.status != 0 or len(rows) != 1 or len(rows[0]) < 7:
        return answer.failure(f"df of {path}")
    total, available = whole(rows[0][2]), whole(rows[0][4])
    if total is None or available is None:
        return Unknown(f"df of {path}: these are no sizes: {' '.join(rows[0][2:5])}")
    return DiskFacts(path, path, total * 1024, available * 1024, rows[0][1])


def below(path: str) -> str:
    """Returns the directory that a path stands in, where its temporary neighbours will be written."""
    return str(PurePosixPath(path).parent)


def _state(state: Mapping[str, object]) -> PathState:
    """Returns one state, each field only if it has its type."""
    return PathState(
        path=text_of(state.get("path")),
        exists=state.get("exists") is True,
        kind=text_of(state.get("kind")) or None,
        mode=text_of(state.get("mode")) or None,
        owner=text_of(state.get("owner")) or None,
        group=text_of(state.get("group")) or None,
        uid=number_of(state.get("uid")),
        gid=number_of(state.get("gid")),
        size=number_of(state.get("size")),
        target=text_of(state.get("target")) or None,
        target_kind=text_of(state.get("target_kind")) or None,
        error=text_of(state.get("error")) or None,
    )


def incoming_directory(path: str) -> str:
    """Returns where a transfer to `path` writes until all is proven: a hidden directory beside it."""
    parent, _, name = path.rstrip("/").rpartition("/")
    return f"{parent}/.{name}.incoming"

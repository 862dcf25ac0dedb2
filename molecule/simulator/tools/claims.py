"""Processes that claim NPU memory: found by their environment, as the driver finds them by their open device."""

from __future__ import annotations

import os

from .light import NamedTuple

VARIABLE = b"SIMULATED_NPU_CLAIM="


class Claim(NamedTuple):
    """What one process holds on one NPU at a moment. Memory in MiB, AICore rate in percent."""

    npu: int
    pid: int
    name: str
    mib: int
    aicore: int


def read_claims(now: float, proc: str = "/proc") -> tuple[list[Claim], list[str]]:
    """All claims at the time `now` (seconds since 1970) by pid, and what is wrong with malformed ones.

    A child inherits its parent's environment; a process whose parent has the same claim holds nothing of its own.
    """
    texts: dict[int, str] = {}
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        environment = _read(f"{proc}/{name}/environ")
        if VARIABLE in environment:
            for line in environment.split(b"\0"):
                if line.startswith(VARIABLE):
                    texts[int(name)] = line[len(VARIABLE) :].decode("utf-8", "replace")
    claims: list[Claim] = []
    problems: list[str] = []
    for pid in sorted(texts):
        if texts.get(_parent(pid, proc)) == texts[pid]:
            continue
        for part in filter(None, texts[pid].split(";")):
            try:
                claims.append(_claim(part, pid, _name(pid, proc), now))
            except ValueError as error:
                problems.append(f"process {pid}: {VARIABLE.decode()}{part}: {error}")
    return claims, problems


def _read(file: str) -> bytes:
    """A file of /proc; empty when the process ended meanwhile or is another user's, and then it has no claim to see."""
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def _claim(part: str, pid: int, name: str, now: float) -> Claim:
    """One claim `npu=3,mib=56470,from=<epoch>,over=<seconds>,aicore=0`; memory grows evenly over the time."""
    values: dict[str, float] = {}
    for item in part.split(","):
        key, separator, value = item.strip().partition("=")
        if not separator or key not in ("npu", "mib", "from", "over", "aicore"):
            raise ValueError(f"{item!r} is not one of npu=, mib=, from=, over=, aicore=")
        values[key] = float(value)
    if "npu" not in values or "mib" not in values:
        raise ValueError("npu= and mib= are needed")
    over = values.get("over", 0.0)
    share = 1.0 if over <= 0 else min(max((now - values.get("from", 0.0)) / over, 0.0), 1.0)
    return Claim(int(values["npu"]), pid, name, int(values["mib"] * share), int(values.get("aicore", 0)))


def _parent(pid: int, proc: str) -> int:
    """Pid of the parent; the name in /proc/PID/stat may itself hold blanks and brackets."""
    fields = _read(f"{proc}/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _name(pid: int, proc: str) -> str:
    """Name of a process, at most 15 characters by the kernel; empty when it cannot be read."""
    return _read(f"{proc}/{pid}/comm").decode("utf-8", "replace").rstrip("\n")

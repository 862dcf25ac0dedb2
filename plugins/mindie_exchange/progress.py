# SPDX-License-Identifier: Apache-2.0
"""How far a member is: what its lanes say, over all their lives, added up for the controller."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any

from mindie_exchange.plan import Plan

STATUS_EVERY_S = 1.0
MOST_WARNINGS = 100
SHOWN_WARNINGS = 20

# What the lanes count, added up.
COUNTS = (
    "bytes",
    "bytes_done",
    "bytes_before",
    "files",
    "files_done",
    "received",
    "sent",
    "again",
    "refused",
    "from_source",
)
# What goes on counting when a lane is started again.
LASTING = ("received", "sent", "again", "refused", "from_source")


class Progress:
    """`lanes`: by number, what each lane said last."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.began = time.monotonic()
        self.lanes: dict[int, dict[str, Any]] = {}
        self.warnings: list[str] = []
        self._proven: set[str] = set()
        self._lasting = dict.fromkeys(LASTING, 0)
        self._lasting_peers: dict[str, dict[str, int]] = {}
        # the best second so far, in bytes
        self._peak_in = self._peak_out = 0.0
        self._before: tuple[float, dict[str, Any]] = (self.began, {})

    def warn(self, text: str) -> None:
        if len(self.warnings) < MOST_WARNINGS:
            self.warnings.append(text)

    def lane_ended(self, number: int) -> None:
        """A lane is gone and will be started again; what it did stays counted."""
        status = self.lanes.pop(number, {})
        for key in LASTING:
            self._lasting[key] += int(status.get(key, 0))
        for name, row in status.get("peers", {}).items():
            _add(self._lasting_peers, name, row)

    def proven(self, name: str) -> None:
        self._proven.add(name)

    def show(self, state: str, message: str) -> None:
        """Writes the status file."""
        statuses = list(self.lanes.values())
        now = time.monotonic()
        total = {key: self._lasting.get(key, 0) + sum(int(status.get(key, 0)) for status in statuses) for key in COUNTS}
        peers = {name: dict(row) for name, row in self._lasting_peers.items()}
        bad: dict[str, int] = {}
        unreached: dict[str, str] = {}
        for status in statuses:
            for name, row in status.get("peers", {}).items():
                _add(peers, name, row)
            for name, count in status.get("bad", {}).items():
                bad[name] = bad.get(name, 0) + count
            unreached.update(status.get("unreached", {}))
        since, old = self._before
        passed = max(0.001, now - since)
        came = total["received"] + total["from_source"] - old.get("received", 0) - old.get("from_source", 0)
        for name, row in peers.items():
            last = old.get("peers", {}).get(name, {})
            row["rate_in"] = int(max(0, row["received"] - last.get("received", 0)) / passed)
            row["rate_out"] = int(max(0, row["sent"] - last.get("sent", 0)) / passed)
        rate_in, rate_out = max(0, came) / passed, max(0, total["sent"] - old.get("sent", 0)) / passed
        if passed >= STATUS_EVERY_S:
            self._peak_in, self._peak_out = max(self._peak_in, rate_in), max(self._peak_out, rate_out)
            self._before = (now, dict(total, peers=peers))
        line = dict(
            total,
            state=state,
            message=message,
            rate=int(rate_in),
            rate_out=int(rate_out),
            peak_in=int(self._peak_in),
            peak_out=int(self._peak_out),
            elapsed_s=round(now - self.began, 1),
            peers=peers,
            bad=bad,
            unreached=unreached,
            waits_for=sorted({name for status in statuses for name in status.get("waits_for", [])}),
            proven=len(self._proven),
            source_trouble=next((s["source_trouble"] for s in statuses if s.get("source_trouble")), ""),
            warnings=self.warnings[-SHOWN_WARNINGS:],
            pid=os.getpid(),
        )
        write_status(self._plan.status_file, line)


def _add(sums: dict[str, dict[str, int]], name: str, row: dict[str, int]) -> None:
    mine = sums.setdefault(name, {"received": 0, "sent": 0})
    for key in ("received", "sent"):
        mine[key] += row[key]


def note_proof(notes: str, folder: str, name: str, sha256: str) -> None:
    """Adds to the notes which file `name` in the folder was when its sha256 was right. Raises OSError."""
    info = os.stat(os.path.join(folder, name))
    identity = "%d:%d:%d:%d" % (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
    number = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(number, ("%s\t%s\t%s\n" % (identity, sha256, name)).encode())
    finally:
        os.close(number)


def write_status(path: str, line: dict[str, Any]) -> None:
    """Replaces the status file as a whole. Where that cannot be done the transfer goes on all the same."""
    new = path + ".new"
    try:
        os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        with os.fdopen(number, "w") as handle:
            handle.write(json.dumps(line) + "\n")
        os.rename(new, path)
    except OSError as error:
        complain("cannot write the status file %s: %s" % (path, error.strerror or error))


def complain(text: str) -> None:
    """Says something where the agent was started; where that cannot be written either nobody can be told."""
    with contextlib.suppress(OSError):
        os.write(2, (text + "\n").encode("utf-8", "replace"))

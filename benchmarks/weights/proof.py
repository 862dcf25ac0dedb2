"""What it costs to prove files that stand: all of them anew, and again when nothing was touched."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .network import LabError
from .payload import Payload, read

SCAN = Path(__file__).with_name("scan.py")
MODULE = Path(__file__).resolve().parents[2] / "plugins" / "modules" / "mindie_weights_scan.py"


@dataclass
class Cost:
    """A way to prove the payload."""

    what: str
    size: int
    seconds: float
    cpu_s: float

    def cells(self) -> list[str]:
        """A line of the table."""
        speed = f"{self.size / self.seconds / 1e9:.2f}"
        return [self.what, f"{self.seconds:.2f}", speed, f"{self.cpu_s / (self.size / 1e9):.2f}"]


def measure(payload: Payload) -> list[Cost]:
    """All ways, on files in the page cache. Raises LabError, ValueError when one fails or does not prove every file."""
    read(payload)
    with tempfile.TemporaryDirectory() as state:
        stat = _scan(payload, state, "stat", proven=False, what="look at the names, nothing proven yet")
        full = _scan(payload, state, "full", what=f"full proof, {os.cpu_count()} files at once")
        again = _scan(payload, state, "remembered", what="second check, nothing touched")
    files = [str(payload.directory / file.name) for file in payload.files]
    names = "\0".join(files).encode()
    sums = f"xargs -0 -n1 -P{os.cpu_count()} sha256sum"
    costs = [stat, again, full, _timed(f"`{sums}`", payload, shlex.split(sums), names)[0]]
    if shutil.which("openssl"):
        sums = f"xargs -0 -n1 -P{os.cpu_count()} openssl dgst -sha256"
        costs.append(_timed(f"`{sums}`", payload, shlex.split(sums), names)[0])
    return costs


def _scan(payload: Payload, state: str, mode: str, what: str, proven: bool = True) -> Cost:
    """A run of the module. Raises LabError when it says another sha256 than the payload has, or none."""
    arguments = {"directory": str(payload.directory), "state_directory": state, "mode": mode}
    cost, text = _timed(what, payload, [sys.executable, str(SCAN), str(MODULE), json.dumps(arguments)])
    answer: dict[str, Any] = json.loads(text)
    found = {file["name"]: file["sha256"] for file in answer["files"]}
    wanted = {file.name: file.sha256 if proven else None for file in payload.files}
    if found != wanted:
        raise LabError(f"{what}: the module's digests are not those of the payload")
    return cost


def _timed(what: str, payload: Payload, words: Sequence[str], standard_input: bytes = b"") -> tuple[Cost, str]:
    """Runs a program to its end: its cost, children included, and what it printed. Raises LabError."""
    before, began = os.times(), time.monotonic()
    done = subprocess.run(words, input=standard_input, capture_output=True, check=False)
    seconds, after = time.monotonic() - began, os.times()
    if done.returncode != 0:
        raise LabError(f"{shlex.join(words)} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(what, payload.size, seconds, used), done.stdout.decode()


def table(costs: list[Cost]) -> str:
    """All ways as a Markdown table."""
    head = ["proof", "seconds", "GB/s", "CPU s per GB"]
    rows = [head, ["---"] * len(head), *(cost.cells() for cost in costs)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)

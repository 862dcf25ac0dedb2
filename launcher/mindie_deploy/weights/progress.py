"""Progress of a reading or a transfer on one host: what a job wrote into its status file, as one line for people."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from mindie_deploy.weights.plan import size_text

# Names of other members that a line shows, and letters of each.
SHOWN = 3
LONGEST_NAME = 60
# Of what a host says in bytes.
LARGEST = 1 << 60


def progress_line(host: str, doing: str, status: Mapping[str, Any], elapsed_s: float) -> dict[str, Any]:
    """Returns one line of progress for the launcher, with `message` for people.

    `status` comes from a host and is not believed to have any shape.
    """
    done, total, rate = (number(status.get(key)) for key in ("bytes_done", "bytes", "rate"))
    return {
        "host": host,
        "state": str(status.get("state"))[:40],
        "message": _message(doing, status, done, total, rate),
        "elapsed_s": round(elapsed_s, 1),
        "bytes": total,
        "bytes_done": done,
        "rate": rate,
        "slowest": slowest(status),
    }


def status_command(path: str) -> str:
    """Returns a shell command that prints what a job wrote last, and how many seconds ago by the host's clock."""
    name = shlex.quote(path)
    return f"cat {name} && echo && echo $(( $(date +%s) - $(stat -c %Y {name}) ))"


def read_status(text: str) -> tuple[dict[str, Any], float]:
    """Reads what that command printed; ({}, 0.0) before the job wrote anything, and for anything else."""
    lines = text.strip().splitlines()
    try:
        status, age = json.loads(lines[0]), float(lines[-1])
    except (ValueError, IndexError, RecursionError):
        return {}, 0.0
    return (status, age) if isinstance(status, dict) else ({}, 0.0)


def _message(doing: str, status: Mapping[str, Any], done: int, total: int, rate: int) -> str:
    if status.get("state") == "waiting":
        return f"{doing}: waits for another transfer into the same directory"
    if status.get("state") == "serving":
        waits = status.get("waits_for")
        names = [str(name)[:LONGEST_NAME] for name in waits[:SHOWN]] if isinstance(waits, list) else []
        return f"{doing}: everything is here; still needed by {', '.join(names)}" if names else f"{doing}: done"
    percent = 100 * done // total if total else 0
    message = f"{doing}: {percent} % of {size_text(total)}, {size_text(rate)}/s"
    if rate and total > done:
        message += f", {duration_text((total - done) / rate)} to go"
    unreached = status.get("unreached")
    if isinstance(unreached, Mapping) and unreached:
        message += f"; not connected: {', '.join(sorted(str(name)[:LONGEST_NAME] for name in unreached)[:SHOWN])}"
    trouble = status.get("source_trouble")
    if isinstance(trouble, str) and trouble:
        message += f"; {trouble[:300]}"
    return message


def slowest(status: Mapping[str, Any]) -> str:
    """Returns the member that the host hears least from at the moment, "" with fewer than two to compare."""
    peers = status.get("peers")
    if not isinstance(peers, Mapping) or len(peers) < 2:
        return ""
    rates = {str(name): number(row.get("rate_in")) for name, row in peers.items() if isinstance(row, Mapping)}
    return min(rates, key=lambda name: (rates[name], name))[:LONGEST_NAME] if rates and max(rates.values()) else ""


def number(value: object) -> int:
    """Returns a count that a host sent, 0 for what cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST else 0


def duration_text(seconds: float) -> str:
    """Returns a duration as people read it: "42 s", "12 min", "3 h 05 min"."""
    whole = int(seconds + 0.5)
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"

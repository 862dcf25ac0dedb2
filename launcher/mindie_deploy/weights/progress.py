"""Progress of a reading or a transfer on one host: what a job wrote into its status file, as one line for people."""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Mapping
from typing import Any

from mindie_deploy.weights.plan import size_text

# Names of other members that a line shows, and letters of each.
SHOWN = 3
LONGEST_NAME = 60
# Of what a host says in bytes.
LARGEST = 1 << 60
# Whose rate is below this part of what the others usually reach is behind them; rates of a second vary less than that.
BEHIND = 0.5


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
        "slowest": slowest(status)[0],
    }


def status_command(path: str, lease: str = "") -> str:
    """Returns a shell command that prints what a job wrote last, and how many seconds ago by the host's clock.

    With a `lease` it says that somebody waits for the job, too; the job makes that file.
    """
    name = shlex.quote(path)
    touch = f"touch -c {shlex.quote(lease)}; " if lease else ""
    return f"{touch}cat {name} && echo && echo $(( $(date +%s) - $(stat -c %Y {name}) ))"


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
    behind, its_rate = slowest(status)
    if behind:
        message += f"; {slowest_text(behind, its_rate)}"
    return message


def straggler(rates: Mapping[str, float]) -> str:
    """Returns whose rate is clearly below the others' median, "" where nobody's is. One that stands still counts."""
    if len(rates) < 2:
        return ""
    name = min(rates, key=lambda one: (rates[one], one))
    usual = statistics.median(rate for other, rate in rates.items() if other != name)
    return name if rates[name] < BEHIND * usual else ""


def slowest_text(name: str, rate: float) -> str:
    """Returns how lines for people name who is behind, in bytes a second."""
    return f"slowest: {name} at {size_text(int(rate))}/s"


def slowest(status: Mapping[str, Any]) -> tuple[str, int]:
    """Returns the member that a host hears clearly less from than from the others, and its bytes a second; ("", 0)
    where there is none.

    Members give one another about equal parts of what arrives, so that a slow one is behind in the last second and
    altogether; one that had less to give for a while is behind in one of the two only.
    """
    peers = status.get("peers")
    if not isinstance(peers, Mapping):
        return "", 0
    rows = {str(name): row for name, row in peers.items() if isinstance(row, Mapping)}
    now = {name: number(row.get("rate_in")) for name, row in rows.items()}
    name = straggler(now)
    if not name or straggler({one: number(row.get("received")) for one, row in rows.items()}) != name:
        return "", 0
    return name[:LONGEST_NAME], now[name]


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

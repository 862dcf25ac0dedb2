"""What a fix has changed, in the record of its run, from where it can be taken back: fix.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mindie_deploy.errors import UsageError
from mindie_deploy.preflight.finding import as_mapping
from mindie_deploy.preflight.fix_action import FixAction, FixPlan, HostFixes
from mindie_deploy.runs.records import RunRecord, runs_directory
from mindie_deploy.runs.result import RunResult

FILE = "fix.json"
FORMAT = 1
SHOWN = 5


def changes_of(result: RunResult, plan: FixPlan) -> FixPlan:
    """Returns the changes of a plan that were made, also by a run that failed in the middle."""
    hosts = {}
    for host, told in result.of("mindie_fix").items():
        if host not in plan.hosts:
            continue
        made = {(one["kind"], one["target"]) for one in told.get("actions") or () if one.get("changed")}
        actions = tuple(one for one in plan.hosts[host].actions if (one.kind, one.target) in made)
        if actions:
            hosts[host] = HostFixes(actions, plan.hosts[host].hccn_tool, plan.hosts[host].libraries)
    return FixPlan(hosts)


def write(record: RunRecord, made: FixPlan) -> Path:
    """Writes what was changed, with what it was before and the commands that take it back."""
    document = {"format": FORMAT, "run": record.run_id, **made.to_dict()}
    return record.write(FILE, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def undo_of(name: str, known: Sequence[str], root: Path | None = None) -> tuple[FixPlan, tuple[FixAction, ...]]:
    """Returns the plan that takes a run's changes back, the last first, and the changes that nothing takes back.

    `name` is the id of the run or the path of its record, `known` the hosts of the inventory. Raises UsageError where
    there is no such record, where it cannot be read, and for hosts that are no longer there.
    """
    root = root or runs_directory()
    path = Path(name) if "/" in name else root / name
    path = path / FILE if path.is_dir() else path
    try:
        document = as_mapping(json.loads(path.read_text(encoding="utf-8")))
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}; this version reads {FORMAT}")
        made = FixPlan.from_dict(document)
    except FileNotFoundError as error:
        raise UsageError(f"no run {name} has changed anything by fix: there is no {path}", _hint(root)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", _hint(root)) from error
    strangers = [host for host in made.hosts if host not in known]
    if strangers:
        raise UsageError(
            f"{path} names {', '.join(strangers)}, which the inventory does not have", "give its inventory: -i"
        )
    return _backwards(made.hosts), tuple(
        one for fixes in made.hosts.values() for one in fixes.actions if one.undo is None
    )


def _backwards(hosts: Mapping[str, HostFixes]) -> FixPlan:
    found = {}
    for host, fixes in hosts.items():
        actions = tuple(back for one in reversed(fixes.actions) if (back := one.reversed()) is not None)
        if actions:
            found[host] = HostFixes(actions, fixes.hccn_tool, fixes.libraries)
    return FixPlan(found)


def _hint(root: Path) -> str:
    """Names the last runs that have changed something."""
    runs = sorted((path.parent.name for path in root.glob(f"*/{FILE}")), reverse=True)[:SHOWN]
    return f"runs that can be undone: {', '.join(runs)}" if runs else f"no run below {root} has changed anything"


def log_tails(result: RunResult) -> dict[str, str]:
    """Returns what removed containers had printed, by host."""
    return {host: str(told["log_tail"]) for host, told in result.of("mindie_fix").items() if told.get("log_tail")}

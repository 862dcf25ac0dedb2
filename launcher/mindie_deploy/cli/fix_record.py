"""What a fix has changed, in the record of its run, from where it can be taken back: fix.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.errors import UsageError
from mindie_deploy.preflight.finding import as_mapping
from mindie_deploy.preflight.fix_action import FixAction, FixPlan, HostFixes, HostPlaces
from mindie_deploy.preflight.fix_changes import is_in_model, is_of_weights, require_ours
from mindie_deploy.preflight.text import printable
from mindie_deploy.runs.records import RunRecord, runs_directory
from mindie_deploy.runs.result import RunResult

FILE = "fix.json"
FORMAT = 2
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


def write(record: RunRecord, made: FixPlan, deployment: str) -> Path:
    """Writes what was changed, with what it was before and the commands that take it back."""
    document = {"format": FORMAT, "run": record.run_id, "deployment": deployment, **made.to_dict()}
    return record.write(FILE, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Undo:
    """What takes the changes of a record back, the last first, and the changes that nothing takes back."""

    path: Path
    plan: FixPlan
    lasting: tuple[FixAction, ...]


def undo_of(name: str, known: Sequence[str], settings: Settings, root: Path | None = None) -> Undo:
    """Returns what takes back what a run has changed.

    `name` is the id of the run or the path of its record, `known` the hosts of the inventory. Raises UsageError where
    there is no such record, where it cannot be read, and where it is of another deployment, of hosts that are not
    there, or holds a change that no fix makes.
    """
    root = root or runs_directory()
    path = Path(name) if "/" in name else root / name
    path = path / FILE if path.is_dir() else path
    try:
        document = as_mapping(json.loads(path.read_text(encoding="utf-8")))
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}; this version reads {FORMAT}")
        deployment, made = str(document["deployment"]), FixPlan.from_dict(document)
    except FileNotFoundError as error:
        raise UsageError(f"no run {name} has changed anything by fix: there is no {path}", _hint(root)) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}", _hint(root)) from error
    _require_here(path, deployment, made, known, settings)
    for host, fixes in made.hosts.items():
        for action in fixes.actions:
            try:
                require_ours(action, settings)
            except ValueError as error:
                raise _not_ours(path, host, str(error)) from error
    lasting = tuple(one for fixes in made.hosts.values() for one in fixes.actions if one.undo is None)
    return Undo(path, _backwards(made.hosts), lasting)


def at_places(undo: Undo, places: Mapping[str, HostPlaces]) -> FixPlan:
    """Returns the plan with the tools that the hosts themselves name: what a record says of them is not believed.

    Raises UsageError for a path that is not in the host's directory of the model.
    """
    found = {}
    for host, fixes in undo.plan.hosts.items():
        where = places.get(host, HostPlaces())
        for action in fixes.actions:
            if is_of_weights(action) and not is_in_model(action.target, where.model):
                model = where.model or "not known"
                raise _not_ours(undo.path, host, f"{action.target} is no file of the model, whose directory is {model}")
        found[host] = HostFixes(fixes.actions, where.hccn_tool, where.libraries)
    return FixPlan(found)


def _require_here(path: Path, deployment: str, made: FixPlan, known: Sequence[str], settings: Settings) -> None:
    """Raises UsageError for a record of another deployment, and of hosts that the inventory does not have."""
    if deployment != settings.deployment:
        other = printable(deployment)
        raise UsageError(
            f"{path} is of the deployment {other}, and that of the inventory is {settings.deployment}",
            "give its inventory: -i",
        )
    strangers = [printable(host) for host in made.hosts if host not in known]
    if strangers:
        raise UsageError(
            f"{path} names {', '.join(strangers)}, which the inventory does not have", "give its inventory: -i"
        )


def _not_ours(path: Path, host: str, why: str) -> UsageError:
    return UsageError(
        f"{path} holds what no fix of this deployment has done: {printable(f'{host}: {why}')}; nothing was changed",
        "name a run by its id; a record that was edited since, or of other settings, cannot be taken back",
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

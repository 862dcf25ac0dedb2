"""mindie-deploy explain and config: what an id means, and what the settings come to."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from mindie_deploy.cli.options import InventoryOption, JsonOption
from mindie_deploy.cli.session import session
from mindie_deploy.cli.terminal import Terminal
from mindie_deploy.cluster.problems import shown
from mindie_deploy.cluster.secret_names import is_secret_name
from mindie_deploy.cluster.settings import GROUPS, Settings
from mindie_deploy.errors import UsageError
from mindie_deploy.mindie.error_catalogue import FAULTS
from mindie_deploy.mindie.exit_statuses import EXIT_STATUSES
from mindie_deploy.preflight.explain import explain as explain_check
from mindie_deploy.preflight.registry import all_checks
from mindie_deploy.runs.redaction import HIDDEN
from mindie_deploy.runs.settings_files import places_of

config = typer.Typer(help="Look at the settings.", no_args_is_help=True)


def explain(
    what: Annotated[str, typer.Argument(metavar="[ID]", help="Id of a check, or of a likely cause.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Say what a check or a likely cause means, how it is seen, and what to do; without an id, list them all."""
    terminal = Terminal(as_json=as_json)
    what = what.strip()
    if not what:
        _list(terminal)
        return
    if what in all_checks():
        check = explain_check(what)
        terminal.json(check.to_dict())
        if not as_json:
            terminal.result(check.to_text(min(terminal.out.width, 100)).rstrip())
        return
    causes = dict(_causes())
    if what not in causes:
        known = [*all_checks(), *causes]
        near = [one for one in known if what in one][:5]
        near += [one for one in difflib.get_close_matches(what, known, n=3, cutoff=0.75) if one not in near]
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise UsageError(f"there is no check and no cause {what!r}", f"{hint}mindie-deploy explain lists all ids")
    cause = causes[what]
    terminal.json({"id": what, **cause})
    if not as_json:
        terminal.result("\n".join([what, "", *(f"  {key:<10} {value}" for key, value in cause.items())]))


def _list(terminal: Terminal) -> None:
    """Prints every id with its title: the checks, then the causes that are found in the log of a failed start."""
    titles = {name: found.title for name, found in all_checks().items()}
    causes = {name: cause["what"] for name, cause in _causes()}
    terminal.json({"checks": titles, "causes": causes})
    if terminal.as_json:
        return
    for head, of_kind in (("checks before a start", titles), ("causes of a failed start", causes)):
        terminal.result(f"{head}:")
        if not terminal.out.is_terminal:
            terminal.result("\n".join(f"  {name:<30} {title}" for name, title in of_kind.items()))
            continue
        table = Table.grid(padding=(0, 2))
        for name, title in of_kind.items():
            table.add_row(f"  {name}", Text(title))
        terminal.result(table)


def _causes() -> Iterator[tuple[str, dict[str, str]]]:
    for fault in FAULTS:
        yield (
            fault.id,
            {"what": fault.title, "seen by": fault.pattern, "do": fault.remedy, "source": fault.source},
        )
    for status, (title, remedy) in EXIT_STATUSES.items():
        yield f"exit-{status}", {"what": title, "seen by": f"exit status {status}", "do": remedy}


@config.command("show")
def config_show(
    inventory: InventoryOption = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only those that differ from their default.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show every setting with its value and where it is set."""
    with session("config", inventory, as_json=as_json, keep_record=False) as one:
        one.know_settings()
        settings = one.deployment.settings
        assert settings is not None  # know_settings has made sure
        defaults = Settings()
        files, hosts = one.deployment.inventory.files, one.deployment.names
        rows = []
        for name in (name for group in GROUPS for name in group.model_fields):
            value, key = getattr(settings, name), f"mindie_{name}"
            places = places_of(key, files, hosts)
            default = value == getattr(defaults, name)
            if changed and default:
                continue
            # What is encrypted, or comes from a program, stands in no file as text.
            rows.append((key, _hidden(value), places[-1] if places else "default" if default else "inventory"))
        one.terminal.json({key: {"value": value, "from": place} for key, value, place in rows})
        if not one.terminal.out.is_terminal:
            # For grep and cut: a line a setting, however long.
            for key, value, place in rows:
                one.terminal.result(f"{key}\t{shown(value)}\t{place}")
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("setting", "value", "from"):
            table.add_column(column, overflow="fold")
        for key, value, place in rows:
            table.add_row(key, shown(value), Text(place, "dim" if place == "default" else ""))
        one.terminal.result(table)


def _hidden(value: object) -> object:
    """Hides values that their names inside a dictionary tell to be secret."""
    if isinstance(value, dict):
        return {key: HIDDEN if is_secret_name(str(key)) else _hidden(item) for key, item in value.items()}
    return value

"""mindie-deploy check, plan, sync: look, and bring the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from mindie_deploy.cli.aftermath import cancelled
from mindie_deploy.cli.files import require_writable, write_file
from mindie_deploy.cli.launch import changed, judged, planned, require_launchable, show_report
from mindie_deploy.cli.options import InventoryOption, JsonOption, LimitOption, VerboseOption, YesOption
from mindie_deploy.cli.plan_view import plan_of, plan_view
from mindie_deploy.cli.session import session
from mindie_deploy.cli.terminal import Terminal, duration
from mindie_deploy.errors import UsageError
from mindie_deploy.preflight.html import html
from mindie_deploy.preflight.junit import junit
from mindie_deploy.preflight.report import Report
from mindie_deploy.runs.bundle import read_saved


def check(
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    saved: Annotated[
        Path | None,
        typer.Option("--from", help="Judge what a bundle or a run's record has saved, without hosts or inventory."),
    ] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write the report as one page of HTML.")] = None,
    junit_file: Annotated[Path | None, typer.Option("--junit", help="Write the report as JUnit XML, for CI.")] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Read the facts of every host and judge them. Changes nothing; ends with 3 when a launch would fail."""
    if html_file is not None and html_file == junit_file:
        raise UsageError(f"--html and --junit name the same file {html_file}", "name two files")
    files = {path: make for path, make in ((html_file, html), (junit_file, junit)) if path is not None}
    for path in files:
        require_writable(path)
    if saved is not None:
        if inventory or limit:
            raise UsageError("--from judges what was saved: it takes no inventory and no --limit", "leave them out")
        terminal = Terminal(as_json=as_json)
        report = _judged(saved)
        _tell(terminal, report, files)
        require_launchable(report)
        return
    with session("check", inventory, as_json=as_json, verbose=verbose) as one:
        report = judged(one, one.play("check", "check", limit=limit))
        _tell(one.terminal, report, files)
        one.terminal.note(f"checked in {duration(one.elapsed)}", "dim")
        require_launchable(report)


def _judged(source: Path) -> Report:
    """Judges what was saved. Raises UsageError where it is of no form that can be judged: it may come from anybody."""
    saved = read_saved(source)
    try:
        return saved.report()
    except Exception as error:
        words = f"{source} cannot be judged: {type(error).__name__}: {str(error)[:300]}"
        remedy = "make it again with `mindie-deploy bundle`; if that made it and nobody changed it, report this"
        raise UsageError(words, remedy) from error


def _tell(terminal: Terminal, report: Report, files: Mapping[Path, Callable[[Report], str]]) -> None:
    """Prints the report, and writes it to the files."""
    for path, make in files.items():
        write_file(path, make(report))
    terminal.json(report.to_dict())
    show_report(terminal, report)
    for path in files:
        terminal.note(f"report: {path}", "dim")


def plan(
    inventory: InventoryOption = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show every line of new files and long changes.")] = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show what `up` would change on every host. Changes nothing."""
    with session("plan", inventory, as_json=as_json, verbose=verbose) as one:
        _report, found = planned(one, "plan")
        one.terminal.json(found.to_dict())
        one.terminal.result(plan_view(found, whole=diff))
        one.terminal.note(f"planned in {duration(one.elapsed)}", "dim")


def sync(
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    yes: YesOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what is missing where, and how long it will take.")
    ] = False,
    remove_extra: Annotated[
        bool, typer.Option("--remove-extra", help="Also remove files there that the model does not have.")
    ] = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Bring the weights to every host and prove every byte. What is there and right is left alone."""
    with session("sync", inventory, as_json=as_json, verbose=verbose) as one:
        extra = {"weights_remove_extra": True} if remove_extra else {}
        looked = one.play("sync", "compare the weights", check=True, limit=limit, extra=extra)
        if looked.status == "cancelled":
            raise cancelled(one, looked, writes=False)
        one.require(looked, writes=False)
        found = plan_of(looked, one.deployment.names, one.record.redact)
        plans = looked.of("mindie_weights_plan")
        summaries = {host: str((told.get("plan") or {}).get("summary", "")) for host, told in plans.items()}
        for host, summary in summaries.items():
            one.terminal.note(f"{host}: {summary}")
        expected = next((str((told.get("plan") or {}).get("expected", "")) for told in plans.values()), "")
        if found.changes:
            one.terminal.note(f"to bring it to all: {expected}")
        if dry_run:
            one.terminal.json({"plan": summaries, "changes": bool(found.changes), "expected": expected})
            one.terminal.result("something is missing" if found.changes else "nothing to copy")
            return
        if found.changes and not one.confirm("Copy?", yes=yes):
            one.terminal.note("nothing was changed")
            return
        # Without anything to copy the run still proves what is there.
        one.terminal.note(f"record: {one.record.directory}", "dim")
        result = changed(one, one.play("sync", "sync", limit=limit, extra=extra))
        one.terminal.json({"changed": list(result.changed_hosts), "hosts": list(result.stats), "plan": summaries})
        for told in result.of("mindie_exchange").values():
            if told.get("summary"):
                one.terminal.note(str(told.get("msg")))
        hosts = result.changed_hosts
        done = f"copied to {', '.join(hosts)} and proven" if hosts else "nothing to copy: all hosts have the weights"
        one.terminal.result(f"{done} ({duration(one.elapsed)})")

"""Draws the report of a check on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mindie_deploy.preflight.finding import Finding
from mindie_deploy.preflight.ping_grid import grid_lines
from mindie_deploy.preflight.report import Report

STYLES = {"block": "bold red", "warn": "yellow", "info": "cyan", "ok": "green"}
VERDICTS = {
    "ok": "nothing stands in the way",
    "warn": "warnings; a launch is allowed",
    "block": "a launch would fail, or is not proven to work",
}


def report_view(report: Report) -> RenderableType:
    """Returns the report: verdict, a table of hosts, and each finding with evidence and remedy."""
    return Group(*_parts(report))


def verdict_line(report: Report) -> Text:
    """Returns the verdict on one line."""
    counts = ", ".join(f"{report.count(severity)} {severity}" for severity in ("block", "warn", "info"))
    return Text.assemble(
        ("check ", "bold"),
        (report.verdict.upper(), STYLES[report.verdict]),
        f"  {VERDICTS[report.verdict]}  ({len(report.hosts)} hosts, {report.checks} checks; {counts})",
    )


def _parts(report: Report) -> Iterator[RenderableType]:
    told = report.table()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in told["columns"]:
        table.add_column(column, overflow="fold")
    for row in told["rows"]:
        *cells, verdict = row
        marked = [Text(cell, STYLES["block"] if cell.endswith(" !") else "") for cell in cells]
        table.add_row(*marked, Text(verdict, STYLES.get(verdict, "")))
    yield table
    yield from _drift(report.drift())
    for finding in report.findings:
        yield Text("")
        yield from _finding(finding)
    grid = list(grid_lines(report.pings))
    if grid:
        yield Text("")
        yield Text("pings between NPUs (rows: from, columns: to; a share: packets lost):")
        yield from (Text(f"  {line}") for line in grid)
    yield Text("")
    for words, ids in (("skipped", report.skipped), ("lowered to warnings", report.lowered)):
        if ids:
            yield Text(f"{words} by the settings: {', '.join(ids)}", "yellow")
    yield verdict_line(report)


def _drift(rows: list[list[str]]) -> Iterator[RenderableType]:
    """Draws what differs between the hosts, if anything does."""
    if not rows:
        return
    yield Text("\nwhat differs between the hosts:")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in rows[0]:
        table.add_column(heading, overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(cell, STYLES["warn"] if cell.endswith(" !") else "") for cell in row))
    yield table


def _finding(finding: Finding) -> Iterator[Text]:
    yield Text.assemble(
        (finding.severity.upper(), STYLES[finding.severity]),
        "  ",
        (finding.check_id, "bold"),
        f"  {finding.statement}",
    )
    yield Text(f"  where: {finding.where}")
    for evidence in finding.evidence:
        yield Text(f"  seen:  {evidence.says}   [{evidence.command}]", "dim")
    yield Text.assemble(("  next:  ", "bold"), finding.remedy)
    if finding.hides:
        yield Text(f"  hides: {', '.join(finding.hides)}", "dim")

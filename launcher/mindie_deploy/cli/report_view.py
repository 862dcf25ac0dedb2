"""Draws the report of a check on a terminal: its text, in colours."""

from __future__ import annotations

from rich.text import Text

from mindie_deploy.preflight.report import VERDICT_WORDS, Report

STYLES = {"block": "bold red", "warn": "yellow", "info": "cyan", "ok": "green"}
ODD_CELL = r"(?m)\S+ !(?=  |$)"
REMEDY = r"(?m)^  do(?=  )"
FINDING = r"(?m)^{}(?: \(not known\))?(?=  \S)"  # the severity at the beginning of a finding
LAST_CELL = r"(?m)(?<=  ){}$"  # the verdict of a host


def report_view(report: Report, width: int) -> Text:
    """Returns the report for a terminal of `width` columns. The verdict stands at both ends: long reports scroll."""
    text = Text(report.to_text(width))
    text.highlight_regex(ODD_CELL, STYLES["block"])
    text.highlight_regex(REMEDY, "bold")
    for severity, style in STYLES.items():
        text.highlight_regex(FINDING.format(severity.upper()), style)
        text.highlight_regex(LAST_CELL.format(severity), style)
    return Text.assemble(text, "\n", verdict_line(report))


def verdict_line(report: Report) -> Text:
    """Returns the verdict on one line."""
    counts = ", ".join(f"{report.count(severity)} {severity}" for severity in ("block", "warn", "info"))
    return Text.assemble(
        ("check: ", "bold"),
        (VERDICT_WORDS[report.verdict], STYLES[report.verdict]),
        f" ({len(report.hosts)} hosts, {report.checks} checks; {counts})",
    )

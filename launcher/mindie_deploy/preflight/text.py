"""Findings and tables as plain text, about 100 columns wide, for terminals and the output of ansible-playbook."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from mindie_deploy.preflight.finding import Finding, places_text
from mindie_deploy.preflight.registry import FIXES, all_checks

SEVERITY_WORDS = {"block": "BLOCK", "warn": "WARN", "info": "INFO"}
MOST_EVIDENCE = 6  # lines; the JSON form has all of them
MOST_IDS = 6
LONGEST_SAYS = 400  # characters of one value
LABEL_WIDTH = 9


def table_lines(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Yields rows with their columns aligned; the first row is the heading.

    Columns that do not fit into `width` follow in further tables below, each with the first column before them.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for number, columns in enumerate(_blocks(widths, width)):
        if number:
            yield ""
        for row in cells:
            yield "  ".join(row[column].ljust(widths[column]) for column in columns).rstrip()


def _blocks(widths: Sequence[int], width: int) -> list[list[int]]:
    """Returns which columns stand side by side: as many as fit, the first in each block."""
    blocks, used = [[0]], widths[0]
    for column, needed in enumerate(widths[1:], start=1):
        if used + 2 + needed > width and len(blocks[-1]) > 1:
            blocks.append([0])
            used = widths[0]
        blocks[-1].append(column)
        used += 2 + needed
    return blocks


def finding_lines(finding: Finding, width: int) -> Iterator[str]:
    """Yields what, where, the evidence, what to do, and what else it explains."""
    word = SEVERITY_WORDS[finding.severity] + (" (not known)" if finding.kind == "unknown" else "")
    lowered = " (lowered by mindie_checks_warn)" if finding.lowered else ""
    yield from wrapped(f"{word}  {finding.check_id}: {finding.statement}{lowered}", width, "", "      ")
    yield from _labelled("where", finding.where, width)
    for evidence in finding.evidence[:MOST_EVIDENCE]:
        says = evidence.says if len(evidence.says) <= LONGEST_SAYS else evidence.says[: LONGEST_SAYS - 3] + "..."
        at = f" ({places_text(evidence.places)})" if len(finding.evidence) > 1 else ""
        yield from _labelled("seen", f"{evidence.command}: {says}{at}", width)
    if len(finding.evidence) > MOST_EVIDENCE:
        yield from _labelled("", f"and {len(finding.evidence) - MOST_EVIDENCE} more", width)
    yield from _labelled("do", finding.remedy, width)
    check = all_checks().get(finding.check_id)
    if check is not None and check.fix and finding.kind == "fail":
        yield from _labelled("or", f"mindie-deploy fix {check.id}, which {FIXES[check.fix]}", width)
    if finding.hides:
        listed = ", ".join(finding.hides)
        many = f"{len(finding.hides)} other findings at the same places"
        yield from _labelled("explains", listed if len(finding.hides) <= MOST_IDS else many, width)


def wrapped(text: str, width: int, first: str = "", later: str = "  ") -> list[str]:
    """Returns text in lines of at most `width` columns; longer words stay whole."""
    return textwrap.wrap(
        printable(text),
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def printable(text: str) -> str:
    """Returns text that cannot move the cursor or change colours: it may come from a broken host."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _labelled(label: str, text: str, width: int) -> Iterator[str]:
    yield from wrapped(text, width, f"  {label.ljust(LABEL_WIDTH)}", " " * (LABEL_WIDTH + 2))

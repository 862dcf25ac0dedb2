"""The report as one page of HTML that needs nothing else: no script, no file, no network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypedDict

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mindie_deploy.preflight.checks.topology import DIRECT, UNREAD
from mindie_deploy.preflight.ping_matrix import Pair
from mindie_deploy.preflight.report import COUNTED, VERDICT_WORDS, Report
from mindie_deploy.preflight.table import drifting

RADIUS, CENTRE = 62.0, 80.0
MOST_COLUMNS = 8  # with more hosts than this each is a row of the table of versions


class Grid(TypedDict):
    """The pings of one rail: for each source host a cell for each target, its text and how it is drawn."""

    title: str
    hosts: list[str]
    rows: list[tuple[str, list[tuple[str, str]]]]


def html(report: Report) -> str:
    """Returns the page. Whatever hosts said is escaped: it may come from a broken or hostile one."""
    environment = Environment(
        loader=PackageLoader("mindie_deploy.preflight", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        report=report,
        verdict=VERDICT_WORDS[report.verdict],
        counts=[(report.count(severity), words) for severity, words in COUNTED.items()],
        table=report.table(),
        drift=drifting(report.versions),
        most_columns=MOST_COLUMNS,
        grids=list(_grids(report.pings)),
        topologies=[
            (host, _drawing(dict(links)), sorted(set(links.values()))) for host, links in report.topology.items()
        ],
    )


def _grids(pairs: tuple[Pair, ...]) -> Iterator[Grid]:
    """Yields a grid for every pair of NPU indexes that ping one another."""
    hosts = list(dict.fromkeys(place[0] for pair in pairs for place in (pair.source, pair.target)))
    cells = {(pair.source, pair.target): pair for pair in pairs}
    for npu, other in sorted({(pair.source[1], pair.target[1]) for pair in pairs}):
        rows = [(host, [_cell(cells.get(((host, npu), (peer, other)))) for peer in hosts]) for host in hosts]
        yield Grid(title=f"NPU {npu}" if npu == other else f"NPU {npu} to NPU {other}", hosts=hosts, rows=rows)


def _cell(pair: Pair | None) -> tuple[str, str]:
    if pair is None:
        return "", "none"
    if pair.sent is None or pair.received is None:
        return "?", "unknown"
    kind = "good" if pair.received == pair.sent else "bad" if pair.received == 0 else "some"
    return f"{pair.received}/{pair.sent}", kind


def _drawing(links: dict[str, str]) -> Markup:
    """Returns the NPUs of a host in a circle with a line for each link; others than HCCS are dashed and named."""
    names = sorted({int(npu) for pair in links for npu in pair.split("-")})
    places = {}
    for index, npu in enumerate(names):
        angle = 2 * math.pi * index / max(len(names), 1) - math.pi / 2
        places[npu] = (CENTRE + RADIUS * math.cos(angle), CENTRE + RADIUS * math.sin(angle))
    parts = []
    for pair, word in links.items():
        (x1, y1), (x2, y2) = (places[int(npu)] for npu in pair.split("-"))
        kind = "link" if word.upper() in DIRECT else "link unread" if word.upper() in UNREAD else "link odd"
        title = Markup("<title>NPU {}: {}</title>").format(pair, word)
        ends = Markup('x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"').format(x1, y1, x2, y2)
        parts.append(Markup('<line class="{}" {}>{}</line>').format(kind, ends, title))
    for npu, (x, y) in places.items():
        parts.append(Markup('<circle class="npu" cx="{0:.1f}" cy="{1:.1f}" r="11"/>').format(x, y))
        parts.append(Markup('<text class="npu" x="{:.1f}" y="{:.1f}">{}</text>').format(x, y + 4, npu))
    label = "Links between the NPUs"
    return Markup('<svg viewBox="0 0 160 160" width="160" height="160" role="img" aria-label="{}">{}</svg>').format(
        label, Markup("").join(parts)
    )

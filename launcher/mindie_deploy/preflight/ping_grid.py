"""The pings of all hosts drawn as grids of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mindie_deploy.preflight.finding import numbers_text
from mindie_deploy.preflight.ping_matrix import Pair

MOST_COLUMNS = 12
MOST_TITLES = 4


def grid_lines(pairs: Iterable[Pair]) -> Iterator[str]:
    """Yields a grid for each rail with a ping that is not well: a row for each source host, a column for each target.

    A cell is "ok", the share of lost packets, "?" where there is no answer, or "-" where nothing was asked. Rails with
    the same grid share it. Of more hosts than fit into a line, those without such a ping are left out; if they are
    still too many, there is no grid.
    """
    found = tuple(pairs)
    ill = [pair for pair in found if cell_text(pair) != "ok"]
    hosts = _hosts(found)
    if len(hosts) > MOST_COLUMNS:
        hosts = _hosts(ill)
    if not hosts or len(hosts) > MOST_COLUMNS:
        return
    cells = {(pair.source, pair.target): cell_text(pair) for pair in found}
    grids: dict[tuple[tuple[str, ...], ...], list[tuple[int, int]]] = {}
    for npu, peer_npu in sorted({(pair.source[1], pair.target[1]) for pair in ill}):
        grid = tuple(tuple(cells.get(((host, npu), (other, peer_npu)), "-") for other in hosts) for host in hosts)
        grids.setdefault(grid, []).append((npu, peer_npu))
    for grid, between in grids.items():
        yield _title(between)
        rows = [["", *hosts], *([host, *row] for host, row in zip(hosts, grid, strict=True))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(hosts) + 1)]
        for row in rows:
            rest = (text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))
            yield f"  {row[0].ljust(widths[0])}  {'  '.join(rest)}"


def _title(between: list[tuple[int, int]]) -> str:
    """Returns which NPUs a grid is about: one rail, several, or pairs of different rails."""
    if all(npu == peer_npu for npu, peer_npu in between):
        return f"NPU {numbers_text([npu for npu, _ in between])}"
    return ", ".join(f"NPU {npu} to {peer_npu}" for npu, peer_npu in between[:MOST_TITLES]) + (
        f" and {len(between) - MOST_TITLES} more" if len(between) > MOST_TITLES else ""
    )


def cell_text(pair: Pair) -> str:
    """Returns how a ping went, in a few letters."""
    if pair.sent is None or pair.received is None:
        return "?"
    return "ok" if pair.received == pair.sent else f"{100 * (pair.sent - pair.received) / max(pair.sent, 1):.0f} %"


def _hosts(pairs: Iterable[Pair]) -> list[str]:
    return list(dict.fromkeys(place[0] for pair in pairs for place in (pair.source, pair.target)))

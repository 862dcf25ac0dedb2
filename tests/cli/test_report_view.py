"""How a report looks on a terminal: its text, coloured, as wide as the terminal."""

from __future__ import annotations

import io

from rich.console import Console

from mindie_deploy.cli.report_view import report_view
from tests.preflight.builders import cluster, driver, healthy_host, judged, ports


def drawn(width: int, *, colour: bool) -> str:
    report = judged(
        cluster(4, host2=healthy_host("host2", 1, hccn=ports(1, 3, link_up=False), driver=driver("24.1.0")))
    )
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, color_system="standard" if colour else None, highlight=False,
        markup=False,
    )  # fmt: skip
    console.print(report_view(report, width))
    return out.getvalue()


def test_nothing_is_wider_than_a_narrow_terminal_and_every_column_is_there() -> None:
    narrow, wide = drawn(80, colour=False), drawn(140, colour=False)
    assert max(map(len, narrow.splitlines())) <= 80
    for heading in ("NPUs", "firmware", "image", "clock", "verdict"):
        assert heading in narrow
        assert heading in wide
    assert narrow.count("\nhost2 ") == wide.count("\nhost2 ") + 1  # the table goes on below


def test_the_odd_ones_and_what_blocks_are_coloured() -> None:
    text = drawn(140, colour=True)
    assert "\x1b[1;31m24.1.0 !\x1b[0m" in text
    assert "\x1b[1;31mBLOCK\x1b[0m  hccn.link-up" in text
    assert "\x1b[1;31mblock\x1b[0m" in text
    assert "\x1b[32mok\x1b[0m" in text
    assert "check: \x1b" in text.splitlines()[-1].replace("\x1b[1m", "").replace("\x1b[0m\x1b", "\x1b")


def test_what_differs_names_the_odd_host_first_in_words() -> None:
    lines = [line.split() for line in drawn(140, colour=False).splitlines()]
    assert ["driver", "25.2.0", "host1,", "host3,", "host4"] in lines
    assert ["24.1.0", "!", "host2"] in lines

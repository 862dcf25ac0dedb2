"""What is said of a run."""

from __future__ import annotations

from benchmarks.weights.agents import piece_size
from benchmarks.weights.outcome import GIB, HEAD, Outcome, needs, table

KIB = 1 << 10


def faulty() -> Outcome:
    made = Outcome("agents", 4, GIB, rate=50e6, floor=GIB / 20, faulty=3)
    made.complete = {1: 21.0, 2: 22.0, 3: 80.0}
    made.started = 0.5
    made.sent = GIB + GIB // 100
    made.received = {1: GIB, 2: GIB, 3: 2 * GIB}
    made.cpu_s = {0: 1.0, 1: 3.0, 2: 4.0, 3: 5.0}
    return made


def test_ratio_is_that_of_the_last_and_keeps_the_faulty_apart() -> None:
    assert (faulty().ratio(), faulty().ratio(faulty=True)) == (1.1, 4.0)


def test_a_killed_source_has_no_ratio_of_its_own() -> None:
    made = faulty()
    made.faulty = 0
    assert (made.ratio(), made.ratio(faulty=True)) == (4.0, None)


def test_table() -> None:
    lines = table([faulty()]).splitlines()
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == [
        "agents",
        "4",
        "400",
        "1024 MiB shards",
        "53.7",
        "0.5",
        "1.100 / 4.000",
        "1.010, 0.000",
        "2.000",
        "1.0 / 4.0",
        "0.0",
    ]
    assert len(lines[0].strip("|").split("|")) == len(HEAD)


def test_needs_of_fast_links() -> None:
    made = faulty()
    assert needs([made]) == []
    made.rate, made.complete, made.cpu_s = None, {1: 1.0}, {0: GIB / 1e9, 1: 2 * GIB / 1e9}
    (line,) = needs([made])
    assert "1.07 GB/s; cores for each GB/s: source 1.00, receiver 2.00" in line
    assert "100 Gbit/s: 12 and 25, 200 Gbit/s: 25 and 50 cores" in line


def test_piece_size_is_a_power_of_two_within_bounds() -> None:
    assert piece_size(1 << 20, 16) == 256 * KIB
    assert piece_size(512 << 20, 4) == 256 * KIB
    assert piece_size(1_300_000_000_000, 4) == 8192 * KIB
    assert piece_size(3 * 800 * 700 * KIB, 3) in (512 * KIB, 1024 * KIB)

"""What is believed of an earlier run, and what is not."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from mindie_exchange import journal
from mindie_exchange.journal import Journal, Range
from mindie_exchange.layout import Segment
from mindie_exchange.looking import Coverage


def note(folder: Path, *rows: tuple[str, int, int, int], file: str = ".pieces.0") -> None:
    one = Journal(str(folder / file))
    one.note(rows)
    one.close()


def read(folder: Path) -> dict[str, list[tuple[int, int, int]]]:
    return {name: [row[:3] for row in rows] for name, rows in journal.read(str(folder)).items()}


def test_what_was_noted_is_read(tmp_path: Path) -> None:
    note(tmp_path, ("a b", 0, 10, 1), ("sub/ä", 10, 5, 0xFFFFFFFF))
    note(tmp_path, ("a b", 10, 10, 2), file=".pieces.1")
    assert read(tmp_path) == {"a b": [(0, 10, 1), (10, 10, 2)], "sub/ä": [(10, 5, 0xFFFFFFFF)]}
    assert all(one.sure and not one.synced for rows in journal.read(str(tmp_path)).values() for one in rows)


def test_nothing_is_there(tmp_path: Path) -> None:
    assert journal.read(str(tmp_path)) == {}
    assert journal.read(str(tmp_path / "missing")) == {}


def test_a_torn_line_does_not_count_and_takes_no_other_one_with_it(tmp_path: Path) -> None:
    note(tmp_path, ("a", 0, 10, 1), ("a", 10, 10, 0x12345678))
    path = tmp_path / ".pieces.0"
    whole = path.read_bytes()
    for cut in range(1, 18):
        path.write_bytes(whole[:-cut])
        assert read(tmp_path) == {"a": [(0, 10, 1)]}, cut
        note(tmp_path, ("b", 0, 5, 3))
        assert read(tmp_path)["b"] == [(0, 5, 3)], cut
        assert read(tmp_path)["a"] in ([(0, 10, 1)], [(0, 10, 1), (10, 10, 0x12345678)]), cut


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 100,
        b"a\t0\t10",
        b"a\t0\t10\t1",
        b"a\t-1\t10\t00000001",
        b"a\t0\t0\t00000001",
        b"a\t0\t10\t0000000g",
        b"a\t0\t10\t00000001\t2",
        "a\t²\t10\t00000001".encode(),
        b"\xff\xfe",
        b"#synced x",
        b"#synced 99999999999999999999",
    ],
)
def test_lines_that_are_none_of_ours(tmp_path: Path, line: bytes) -> None:
    with (tmp_path / ".pieces.0").open("wb") as out:
        out.write(line + b"\n")
    note(tmp_path, ("b", 0, 5, 3))
    assert read(tmp_path) == {"b": [(0, 5, 3)]}
    assert not journal.read(str(tmp_path))["b"][0].synced


def test_names_that_look_like_marks(tmp_path: Path) -> None:
    note(tmp_path, ("#boot x", 0, 10, 1), ("#synced 7", 0, 10, 1), ("c", 0, 1, 1))
    assert set(read(tmp_path)) == {"#boot x", "#synced 7", "c"}
    assert all(one.sure for rows in journal.read(str(tmp_path)).values() for one in rows)


def test_a_later_writing_counts_and_a_loss_too(tmp_path: Path) -> None:
    one = Journal(str(tmp_path / ".pieces.0"))
    one.note([("a", 0, 10, 1), ("a", 10, 10, 2)])
    one.synced(one.position())
    one.note_lost([("a", 0, 10)])
    assert read(tmp_path) == {"a": [(10, 10, 2)]}
    one.note([("a", 0, 10, 9)])
    one.close()
    found = {row.offset: row for row in journal.read(str(tmp_path))["a"]}
    assert found[0] == Range(0, 10, 9, synced=False, sure=True)
    assert found[10].synced


def test_a_loss_takes_what_came_in_other_pieces_with_it(tmp_path: Path) -> None:
    """A range that is lost in part must not count as a whole after a kill."""
    note(tmp_path, ("a", 0, 100, 1), ("a", 100, 100, 2), ("b", 0, 100, 3), file=".pieces")
    one = Journal(str(tmp_path / ".pieces.0"))
    one.note([("a", 20, 10, 4)])
    one.note_lost([("a", 20, 10)])
    one.close()
    assert read(tmp_path) == {"a": [(100, 100, 2)], "b": [(0, 100, 3)]}


def test_a_sync_covers_only_what_was_noted_before_it_began(tmp_path: Path) -> None:
    one = Journal(str(tmp_path / ".pieces.0"))
    one.note([("a", 0, 10, 1)])
    position = one.position()
    one.note([("a", 10, 10, 2)])
    one.synced(position)
    one.close()
    assert [row.synced for row in journal.read(str(tmp_path))["a"]] == [True, False]


def other_boot(folder: Path) -> None:
    for path in folder.glob(".pieces*"):
        path.write_bytes(path.read_bytes().replace(journal.boot_id().encode(), b"another"))


def test_after_a_restart_of_the_host_only_what_was_synced_is_sure(tmp_path: Path) -> None:
    one = Journal(str(tmp_path / ".pieces.0"))
    one.note([("a", 0, 10, 1)])
    one.synced(one.position())
    one.note([("a", 10, 10, 2)])
    one.close()
    other_boot(tmp_path)
    assert [(row.synced, row.sure) for row in journal.read(str(tmp_path))["a"]] == [(True, True), (False, False)]


def test_what_is_not_sure_is_compared_with_the_disk(tmp_path: Path) -> None:
    blocks = [bytes([index]) * 1000 for index in range(4)]
    (tmp_path / "a.partial").write_bytes(b"".join(blocks[:2]) + bytes(1000))
    note(tmp_path, *(("a", 1000 * index, 1000, zlib.crc32(block)) for index, block in enumerate(blocks)))
    (tmp_path / "b.partial").symlink_to(tmp_path / "a.partial")
    note(tmp_path, ("b", 0, 1000, zlib.crc32(blocks[0])), ("c", 0, 1000, zlib.crc32(blocks[0])))
    other_boot(tmp_path)
    found = journal.believed(str(tmp_path), journal.read(str(tmp_path)))
    # The third is zeros, the fourth behind the end, b is a link, c is not there.
    assert {name: [row.offset for row in rows] for name, rows in found.items()} == {"a": [0, 1000], "b": [], "c": []}


def test_journals_become_one_and_keep_what_is_synced(tmp_path: Path) -> None:
    one = Journal(str(tmp_path / ".pieces.0"))
    one.note([("a", 0, 10, 1), ("gone", 0, 10, 1)])
    one.synced(one.position())
    one.note([("a", 10, 10, 2)])
    one.close()
    note(tmp_path, ("a", 20, 10, 3), file=".pieces.5")
    known = journal.read(str(tmp_path))
    for _ in range(2):
        journal.merge(str(tmp_path), known, ["a", "not there"])
        assert [path.name for path in tmp_path.glob(".pieces*")] == [".pieces"]
        known = journal.read(str(tmp_path))
        assert {row[:4] for row in known["a"]} == {(0, 10, 1, True), (10, 10, 2, False), (20, 10, 3, False)}
        assert "gone" not in known


def test_a_link_in_the_place_of_a_journal(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"a\t0\t10\t00000001\n")
    (tmp_path / ".pieces.0").symlink_to(victim)
    assert journal.read(str(tmp_path)) == {}
    with pytest.raises(OSError, match="symbolic links"):
        Journal(str(tmp_path / ".pieces.0"))
    journal.merge(str(tmp_path), {}, [])
    assert victim.read_bytes() == b"a\t0\t10\t00000001\n"


# coverage


def rows(*ranges: tuple[int, int]) -> list[Range]:
    return [Range(offset, length, 7 + offset, synced=False, sure=True) for offset, length in ranges]


def test_ranges_of_other_pieces_are_put_together() -> None:
    coverage = Coverage(rows((0, 10), (20, 10), (10, 10), (50, 5)), 100)
    assert coverage.holds(Segment(0, 0, 30))
    assert coverage.holds(Segment(0, 5, 20))
    assert not coverage.holds(Segment(0, 5, 26))
    assert not coverage.holds(Segment(0, 40, 5))
    assert coverage.holds(Segment(0, 50, 5))
    assert coverage.crc(Segment(0, 20, 10)) == 27
    assert coverage.crc(Segment(0, 0, 30)) == 0


def test_what_is_behind_the_end_of_the_file_is_not_there() -> None:
    coverage = Coverage(rows((0, 10), (10, 10)), 19)
    assert coverage.holds(Segment(0, 0, 10))
    assert not coverage.holds(Segment(0, 0, 20))

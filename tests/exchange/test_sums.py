"""The crc32 of the pieces of proven files, as the host that they are left for reads them."""

from __future__ import annotations

import hashlib
import importlib
import zlib
from pathlib import Path

import pytest

from mindie_exchange import sums
from mindie_exchange.plan import File
from tests.exchange.swarm import KIB, Swarm, noise, swarming
from tests.interpreters import PYTHONS
from tests.modules import module_runner  # noqa: F401  (finds the modules' utilities)

PIECES = importlib.import_module("ansible.module_utils.mindie_weights_pieces")
PIECE = PIECES.PIECE
MIB = KIB * KIB


def right(content: bytes) -> list[int]:
    return [zlib.crc32(content[at : at + PIECE]) for at in range(0, len(content), PIECE)]


def left_by(path: Path, content: bytes) -> list[int] | None:
    """What the reader of a host believes of the content."""
    found = PIECES.Pieces(str(path)).of(hashlib.sha256(content).hexdigest(), len(content))
    return None if found is None else list(found.sums)


def test_both_sides_cut_alike() -> None:
    assert sums.PIECE == PIECE


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize("part", [3 * MIB + 7, PIECE, 64 * MIB])
@pytest.mark.parametrize("known", [False, True])
def test_they_do_not_depend_on_how_the_bytes_came(size: int, part: int, known: bool) -> None:
    content = noise("sums", size)
    one = sums.Sums()
    for at in range(0, size, part):
        view = memoryview(content)[at : at + part]
        one.take(view, zlib.crc32(view) if known else None)
    assert one.all() == right(content)


def test_a_line_that_was_cut_off_is_none_and_harms_no_other(tmp_path: Path) -> None:
    path, files = tmp_path / ".sums.0", []
    for text in (b"one", b"two", b"three"):
        files.append(File(text.decode(), len(text), hashlib.sha256(text).hexdigest()))
    sums.note_sums(str(path), [(files[0], right(b"one")), (files[1], right(b"two"))])
    for cut in range(1, 90):
        whole = path.read_bytes()
        path.write_bytes(whole[:-cut])
        sums.note_sums(str(path), [(files[2], right(b"three"))])
        assert left_by(path, b"one") == right(b"one"), cut
        # Without its line end alone it is whole again.
        assert left_by(path, b"two") in ([right(b"two")] if cut == 1 else [None]), cut
        assert left_by(path, b"three") == right(b"three"), cut
        path.write_bytes(whole)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("piece_size", [256 * KIB, PIECE])
def test_whoever_receives_a_file_leaves_them(tmp_path: Path, python: str, piece_size: int) -> None:
    model = {f"shard-{i}": noise(f"sums {i}", 2 * PIECE + i * 5 * MIB) for i in range(2)}
    model |= {"small": b"small", "empty": b""}
    with swarming(tmp_path, model, members=3, lanes=2, piece_size=piece_size, python=python) as swarm:
        swarm.start()
        swarm.finish()
        for member in swarm.receivers:
            check(swarm, member.incoming)


def check(swarm: Swarm, incoming: Path) -> None:
    """Every file is in one of the lanes' notes, and with what it is."""
    for name, content in swarm.model.items():
        found = [left_by(path, content) for path in sorted(incoming.glob(".sums.*"))]
        assert [one for one in found if one is not None] == ([right(content)] if content else []), name


def test_a_file_that_is_proven_from_the_disk_leaves_them_too(tmp_path: Path) -> None:
    content = noise("left", 2 * PIECE + 5)
    with swarming(tmp_path, {"shard": content}, members=2, piece_size=MIB, rate=8 * MIB) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.4)
        swarm[1].kill()
        swarm.start(swarm[1])
        swarm.finish()
        check(swarm, swarm[1].incoming)

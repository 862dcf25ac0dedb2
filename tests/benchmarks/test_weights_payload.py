"""The payload of the lab."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from benchmarks.weights import payload

MIB = 1 << 20


@pytest.mark.parametrize(("shape", "files"), [("shards", 28), ("many", 10_000), ("one", 1)])
def test_shapes_have_the_wanted_size(shape: str, files: int) -> None:
    sizes = payload.sizes(shape, 32 * MIB + 7)
    assert (len(sizes), sum(sizes.values())) == (files, 32 * MIB + 7)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="no payload has the shape round"):
        payload.sizes("round", 1)


def test_content_does_not_shrink_and_comes_again() -> None:
    content = b"".join(payload.content(3, 3 * MIB + 5))
    assert len(zlib.compress(content, 1)) > len(content) == 3 * MIB + 5
    assert content == b"".join(payload.content(3, 3 * MIB + 5))
    assert content[:MIB] not in (content[MIB : 2 * MIB], next(payload.content(4, MIB)))


def test_it_is_made_once(tmp_path: Path) -> None:
    made = payload.make(tmp_path, "shards", MIB)
    stamp = (made.directory / "config.json").stat().st_mtime_ns
    assert payload.make(tmp_path, "shards", MIB) == made
    assert (made.directory / "config.json").stat().st_mtime_ns == stamp
    assert (made.size, [file.name for file in made.files]) == (MIB, sorted(file.name for file in made.files))


def test_wrong_finds_missing_short_and_flipped_files(tmp_path: Path) -> None:
    made = payload.make(tmp_path, "shards", MIB)
    assert payload.wrong(made, made.directory) == []
    first, second, third = [made.directory / made.files[index].name for index in (0, 5, 9)]
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    content = bytearray(third.read_bytes())
    content[100] ^= 1
    third.write_bytes(content)
    assert payload.wrong(made, made.directory) == [path.name for path in (first, second, third)]

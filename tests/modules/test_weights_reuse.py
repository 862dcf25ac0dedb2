"""mindie_weights_place: what is good of a broken file is not brought again, and a sync leaves what a sample needs."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.weights.exchange import Exchange
from tests.modules.module_runner import run
from tests.modules.weights_world import STATE, World, exchange_of, free_port, killed_at, whole

MIB = 1024 * 1024
PIECE = 8 * MIB
SHARD = "model-00001-of-00001.safetensors"
SIZES = {SHARD: 4 * PIECE + 3 * MIB, "config.json": 10}
BROKEN = PIECE + 4711  # a byte of the second piece


def worlds(base: Path) -> tuple[World, World]:
    """A host that has the model, and one that gets it."""
    giver, taker = World(base / "giver", SIZES), World(base / "taker", SIZES)
    giver.contents = taker.contents = {**giver.contents, SHARD: os.urandom(SIZES[SHARD])}
    giver.final.mkdir(parents=True)
    for name, content in giver.contents.items():
        (giver.final / name).write_bytes(content)
    return giver, taker


def bring(giver: World, taker: World, lacking: set[str] | None = None) -> dict[str, Any]:
    """A sync with real agents; returns the status of the one that receives."""
    prepared = taker.place("prepared")
    assert not prepared.get("failed"), prepared
    exchange = exchange_of(free_port(), {"giver": giver}, {"taker": taker})
    with_what = plan_of(exchange, set(taker.contents) - (lacking or set(taker.contents)))
    try:
        for name, world in (("giver", giver), ("taker", taker)):
            assert not world.start_agent(with_what(name)).get("failed")
        status = taker.wait_for(whole)
    finally:
        for world in (giver, taker):
            world.exchange("stopped")
    published = taker.place("published")
    assert not published.get("failed"), published
    assert taker.at_final() == taker.contents
    return status


def plan_of(exchange: Exchange, complete: set[str]) -> Any:
    """Returns what gives a member's plan, where the one that receives has these files already."""

    def plan(name: str) -> dict[str, Any]:
        found = exchange.plan(name)
        names = [file["name"] for file in found["files"]]
        found["seeds"]["taker"] = [names.index(one) for one in sorted(complete)]
        if name == "taker":
            found["store"]["complete"] = sorted(complete)
        return found

    return plan


def scan(world: World, mode: str, **more: Any) -> dict[str, Any]:
    found = run("mindie_weights_scan", directory=str(world.final), state_directory=str(world.state), mode=mode, **more)
    assert not found.get("failed"), found
    return found


def flip(path: Path, *places: int) -> None:
    with path.open("r+b") as handle:
        for place in places:
            handle.seek(place)
            byte = handle.read(1)[0]
            handle.seek(place)
            handle.write(bytes([byte ^ 1]))


def pieces_file(world: World) -> Path:
    return next((world.state / "weights").glob("*.pieces"))


def journal_of(world: World) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = STATE.arrived_ranges(str(world.incoming))
    return found


@pytest.fixture
def synced(tmp_path: Path) -> tuple[World, World]:
    """Both have the model; it was brought to the second one."""
    giver, taker = worlds(tmp_path)
    status = bring(giver, taker)
    assert status["received"] >= SIZES[SHARD]
    return giver, taker


@pytest.fixture
def remembered(tmp_path: Path) -> World:
    """A host that has read its whole model, of which one byte broke then."""
    world = worlds(tmp_path)[1]
    world.final.mkdir(parents=True)
    for name, content in world.contents.items():
        (world.final / name).write_bytes(content)
    scan(world, "remembered")
    assert not world.place("noted").get("failed")
    flip(world.final / SHARD, BROKEN)
    return world


# a sample after a sync


def test_after_a_sync_every_file_can_be_sampled(synced: tuple[World, World]) -> None:
    found = scan(synced[1], "sample", pieces=100)
    assert found["hashed_bytes"] == sum(SIZES.values())
    assert found["unsampled"] == []
    assert found["sampled"] == {SHARD: 5, "config.json": 1}
    assert found["broken"] == {}
    flip(synced[1].final / SHARD, BROKEN)
    assert scan(synced[1], "sample", pieces=100)["broken"] == {SHARD: [[PIECE, PIECE]]}


@pytest.mark.parametrize("there", [False, True])
def test_they_are_taken_of_what_gets_its_place_alone(tmp_path: Path, there: bool) -> None:
    """Nothing of another content, of another size, or in a damaged line."""
    world = worlds(tmp_path)[1]
    if there:
        world.final.mkdir(parents=True)
        (world.final / "notes.txt").write_text("mine")
    world.place("prepared")
    world.deliver()
    content = world.contents[SHARD]
    digest = hashlib.sha256(content).hexdigest()
    sums = "".join(f"{zlib.crc32(content[at : at + PIECE]):08x}" for at in range(0, len(content), PIECE))

    def line(of: str, size: int, text: str) -> str:
        row = f"{of}\t{size}\t{PIECE}\t{text}\t"
        return f"{row}{zlib.crc32(row.encode()):08x}\n"

    right = line(digest, len(content), sums)
    small = hashlib.sha256(world.contents["config.json"]).hexdigest()
    (world.incoming / ".sums.0").write_text(right + line("0" * 64, len(content), sums) + right.replace("\t", " "))
    (world.incoming / ".sums.1").write_text(line(small, 11, "00000000"))
    assert world.place("published")["changed"]
    assert pieces_file(world).read_text() == right


def test_an_empty_file_needs_no_notes(tmp_path: Path) -> None:
    world = World(tmp_path, {"empty": 0})
    world.bring()
    assert scan(world, "sample")["unsampled"] == []


def test_what_was_remembered_before_stays(remembered: World) -> None:
    before = set(pieces_file(remembered).read_text().splitlines())
    remembered.contents["other.json"] = b"{}"
    remembered.place("prepared")
    remembered.deliver()
    assert not remembered.place("published").get("failed")
    assert before <= set(pieces_file(remembered).read_text().splitlines())


# broken files


@pytest.mark.parametrize("mode", ["full", "sample"])
def test_one_flipped_byte_brings_one_piece(synced: tuple[World, World], mode: str) -> None:
    giver, taker = synced
    flip(taker.final / SHARD, BROKEN)
    assert scan(taker, mode, pieces=100)["broken"] == {SHARD: [[PIECE, PIECE]]}
    scan(taker, "remembered")  # as a sync does first
    status = bring(giver, taker, {SHARD})
    assert PIECE <= status["received"] < PIECE + MIB, status
    assert not status["warnings"]
    assert scan(taker, "full")["broken"] == {}


def test_pieces_that_are_good_are_told_as_there(remembered: World) -> None:
    row = next(row for row in remembered.place("prepared")["missing"] if row["name"] == SHARD)
    assert row["have"] == SIZES[SHARD] - PIECE
    assert journal_of(remembered) == {SHARD: [(0, PIECE), (2 * PIECE, SIZES[SHARD])]}
    assert (remembered.final / SHARD).stat().st_size == SIZES[SHARD], "it stays until its successor is right"
    assert (remembered.incoming / f"{SHARD}.partial").stat().st_mode & 0o777 == 0o600


def test_what_has_arrived_already_is_not_copied_again(remembered: World) -> None:
    remembered.place("prepared")
    journal = remembered.incoming / ".pieces.reused"
    before = journal.read_bytes()
    remembered.place("prepared")
    assert journal.read_bytes() == before


def test_pieces_that_nobody_could_tell_bad_from_good_are_brought(remembered: World) -> None:
    pieces_file(remembered).unlink()
    remembered.place("prepared")
    assert journal_of(remembered) == {}
    assert not (remembered.incoming / f"{SHARD}.partial").exists()


@pytest.mark.parametrize("damage", ["cut", "bits", "binary", "link"])
def test_damaged_sums_are_none(remembered: World, damage: str) -> None:
    path = pieces_file(remembered)
    text = path.read_bytes()
    if damage == "cut":
        path.write_bytes(b"".join(line[:-1] for line in text.splitlines(keepends=True)))
    elif damage == "bits":
        path.write_bytes(b"\n".join(line[:70] + bytes([line[70] ^ 1]) + line[71:] for line in text.splitlines()))
    elif damage == "binary":
        path.write_bytes(b"\xff\0\t" * 1000)
    else:
        path.rename(path.with_suffix(".elsewhere"))
        path.symlink_to(path.with_suffix(".elsewhere"))
    assert not remembered.place("prepared").get("failed")
    assert journal_of(remembered) == {}


def test_sums_that_lie_about_a_broken_piece_do_not_make_it_right(synced: tuple[World, World]) -> None:
    """The sha256 decides in the end, and the piece is brought after all."""
    giver, taker = synced
    flip(taker.final / SHARD, BROKEN)
    path, content = pieces_file(taker), (taker.final / SHARD).read_bytes()
    rows = []
    for line in path.read_text().splitlines():
        digest, size, piece, text, _check = line.split("\t")
        if int(size) == SIZES[SHARD]:
            text = f"{text[:8]}{zlib.crc32(content[PIECE : 2 * PIECE]):08x}{text[16:]}"
        row = "\t".join([digest, size, piece, text, ""])
        rows.append(f"{row}{zlib.crc32(row.encode()):08x}\n")
    path.write_text("".join(rows))
    bring(giver, taker, {SHARD})


def test_a_file_that_is_all_different_or_cut_gives_what_it_has(remembered: World) -> None:
    (remembered.final / SHARD).write_bytes(bytes(SIZES[SHARD]))
    remembered.place("prepared")
    assert journal_of(remembered) == {}
    (remembered.final / SHARD).write_bytes(remembered.contents[SHARD][: 2 * PIECE + 5])
    remembered.place("prepared")
    assert journal_of(remembered) == {SHARD: [(0, 2 * PIECE)]}


def test_a_piece_that_cannot_be_read_is_brought(remembered: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.preadv

    def bad(number: int, buffers: Any, offset: int, *more: Any) -> int:
        if offset // PIECE == 3:
            raise OSError(errno.EIO, "Input/output error")
        return read(number, buffers, offset, *more)

    monkeypatch.setattr(os, "preadv", bad)
    remembered.place("prepared")
    assert journal_of(remembered) == {SHARD: [(0, PIECE), (2 * PIECE, 3 * PIECE), (4 * PIECE, SIZES[SHARD])]}


def test_a_disk_that_takes_nothing_is_told(remembered: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    result = remembered.place("prepared")
    assert result["failed"]
    assert f"{SHARD}.partial on host2 cannot be written: No space left on device" in result["msg"]
    assert journal_of(remembered).get(SHARD, []) == []


def test_a_broken_file_needs_the_room_of_its_successor(remembered: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        f_frsize, f_bavail = 1, SIZES[SHARD] - 1

    monkeypatch.setattr(os, "statvfs", lambda _path: Usage)
    result = remembered.place("prepared")
    assert f"has {SIZES[SHARD] - 1} bytes free and the weights need {SIZES[SHARD]} more" in result["msg"]
    assert not remembered.incoming.exists()


def test_a_link_is_not_written_through(remembered: World, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    remembered.incoming.mkdir()
    (remembered.incoming / ".pieces.reused").symlink_to(victim)
    (remembered.incoming / f"{SHARD}.partial").symlink_to(victim)
    remembered.place("prepared")
    assert victim.read_text() == "precious"


def test_a_kill_at_any_step_leaves_nothing_noted_that_is_not_there(remembered: World) -> None:
    for step in range(1, 50):
        got_through = not killed_at(step, ("pwrite", "preadv", "fsync", "write"), lambda: remembered.place("prepared"))
        for begin, end in journal_of(remembered).get(SHARD, []):
            content = (remembered.incoming / f"{SHARD}.partial").read_bytes()
            assert content[begin:end] == remembered.contents[SHARD][begin:end], step
        if got_through:
            break
        subprocess.run(["rm", "-rf", remembered.incoming], check=True)
    assert got_through and step > 8
    assert journal_of(remembered) == {SHARD: [(0, PIECE), (2 * PIECE, SIZES[SHARD])]}

"""Disks that flip bits, lose files, are full, or lose their power: nothing wrong gets its name, and who can goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exchange.swarm import KIB, PIECE, Swarm, flip, noise, shards, swarming, write
from tests.interpreters import PYTHONS

RATE = 2 * KIB * KIB
SHARD = "model-1-of-3.safetensors"


def warnings_of(swarm: Swarm, index: int) -> str:
    return "\n".join(swarm[index].status["warnings"])


# the source's disk


@pytest.mark.parametrize("python", PYTHONS)
def test_a_byte_is_wrong_at_the_only_source(tmp_path: Path, python: str) -> None:
    with swarming(tmp_path, shards(), members=3, lanes=2, python=python) as swarm:
        flip(swarm[0].final / SHARD, 300_000)
        swarm.start()
        for member in swarm.receivers:
            assert member.wait() == 1, swarm.told()
            assert f"{SHARD} has another sha256 than the manifest" in member.status["message"]
            assert "m0" in member.status["message"]
            swarm.check_names(member)
            assert not (member.incoming / SHARD).exists()
        os.kill(swarm[0].pid, signal.SIGTERM)
        assert swarm[0].wait() == 3
        # The file is mended at the source, and the next run brings little more than what was wrong.
        write(swarm[0].final / SHARD, swarm.model[SHARD])
        swarm.start()
        swarm.finish()


def test_a_byte_is_wrong_at_one_of_two_sources(tmp_path: Path) -> None:
    """Only pieces that the sources have differently are brought again, and the bad source is named."""
    model = shards()
    with swarming(tmp_path, model, members=4, rate=RATE, seeds={0: list(model), 1: list(model)}) as swarm:
        for offset in range(0, len(model[SHARD]), PIECE):
            flip(swarm[0].final / SHARD, offset + 77)
        swarm.start()
        for member in (swarm[2], swarm[3]):
            assert member.wait() == 0, swarm.told()
            swarm.check_whole(member)
            assert member.status["again"] <= 3 * len(model[SHARD]), swarm.told()
        assert swarm[1].wait() == 0, swarm.told()
        # It has been told, has looked, and says so.
        assert swarm[0].wait() == 1, swarm.told()
        assert f"{SHARD} has another sha256 than the manifest" in swarm[0].status["message"]
        told = warnings_of(swarm, 2) + warnings_of(swarm, 3)
        assert re.search(f"m0 has other bytes than the manifest in [0-9]+ pieces of {SHARD}, the first", told), told


def test_a_file_is_gone_at_one_of_two_sources(tmp_path: Path) -> None:
    model = shards()
    with swarming(tmp_path, model, members=4, rate=RATE, seeds={0: list(model), 1: list(model)}) as swarm:
        (swarm[0].final / SHARD).unlink()
        swarm.start()
        for index in (1, 2, 3):
            assert swarm[index].wait() == 0, swarm.told()
        swarm.check_whole(swarm[2])
        swarm.check_whole(swarm[3])
        assert swarm[0].wait() == 1, swarm.told()
        assert re.search(f"{SHARD} in .*m0/final: .*No such file", swarm[0].status["message"]), swarm.told()


def test_a_file_is_gone_at_the_only_source(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=3) as swarm:
        (swarm[0].final / SHARD).unlink()
        swarm.start()
        for member in swarm.receivers:
            assert member.wait() == 1, swarm.told()
            message = member.status["message"]
            assert re.match(f"{SHARD}, bytes .* cannot be had any more: not from m0 \\(No such file", message), message
        swarm.until(lambda: "not given to anybody any more" in warnings_of(swarm, 0))
        assert swarm[0].process is not None
        assert swarm[0].process.poll() is None, "it may still be of use to others"


def test_a_file_becomes_shorter_at_the_source_while_it_is_sent(tmp_path: Path) -> None:
    with swarming(tmp_path, {"one": noise("one", 3 * KIB * KIB)}, members=2, rate=RATE) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.4)
        os.truncate(swarm[0].final / "one", KIB * KIB)
        assert swarm[1].wait() == 1, swarm.told()
        assert "cannot be had any more: not from m0" in swarm[1].status["message"], swarm.told()
        assert not (swarm[1].incoming / "one").exists()


# a receiver's disk

# Members find one another at once, and nobody asks the source out of impatience.
TOGETHER = {"calls.LONGEST_PAUSE_S": 0.2, "lane.STALLED_AFTER_S": 10}


def test_a_byte_flips_in_a_partial_file(tmp_path: Path) -> None:
    """While the receiver is away; afterwards only that piece is brought again."""
    with swarming(tmp_path, shards(), members=2, rate=RATE) as swarm:
        swarm.start()
        swarm.until(lambda: (swarm[1].incoming / f"{SHARD}.partial").exists() and has(swarm, SHARD, 10))
        swarm[1].kill()
        piece = held_pieces(swarm, SHARD)[0]
        flip(swarm[1].incoming / f"{SHARD}.partial", piece + 5)
        before = swarm[1].arrived_bytes()
        swarm.start(swarm[1])
        swarm.finish()
        assert f"{SHARD} changed on the disk after it was written" in warnings_of(swarm, 1)
        assert swarm[1].status["received"] <= swarm.size - before + 3 * PIECE, swarm.told()


def has(swarm: Swarm, name: str, pieces: int) -> bool:
    return len(held_pieces(swarm, name)) >= pieces


def held_pieces(swarm: Swarm, name: str) -> list[int]:
    """Offsets of the pieces of a file that the journal of m1 tells of."""
    from mindie_exchange import journal

    return sorted(one.offset for one in journal.read(str(swarm[1].incoming)).get(name, []))


def test_a_byte_flips_in_a_finished_file_that_is_served(tmp_path: Path) -> None:
    """m2 notices; m1 takes the name away from its file, and brings the piece again."""
    with swarming(tmp_path, shards(), members=3, constants=TOGETHER) as swarm:
        swarm.start(swarm[0], swarm[1])
        swarm.until(lambda: swarm[1].status.get("state") == "serving")
        flip(swarm[1].incoming / SHARD, 400_000)
        swarm.start(swarm[2])
        swarm.finish()
        assert f"{SHARD}, bytes 393216 to 458751 is not what it was" in warnings_of(swarm, 1), swarm.told()


def test_a_byte_flips_in_a_finished_file_while_nobody_looks(tmp_path: Path) -> None:
    """m1 starts again with a file that has its name and is wrong. m2 finds out, gets the piece elsewhere, tells m1."""
    with swarming(tmp_path, shards(), members=3, constants=TOGETHER) as swarm:
        swarm.start(swarm[0], swarm[1])
        swarm.until(lambda: swarm[1].status.get("state") == "serving")
        swarm[1].kill()
        flip(swarm[1].incoming / SHARD, 400_000)
        swarm.start(swarm[1], swarm[2])
        swarm.finish()
        assert "has another sha256 than the manifest; it is brought again" in warnings_of(swarm, 1), swarm.told()
        assert swarm[2].status["again"] <= 4 * PIECE, swarm.told()


def test_a_byte_flips_in_a_finished_file_and_the_source_comes_back_later(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=3, constants=TOGETHER) as swarm:
        swarm.start(swarm[0], swarm[1])
        swarm.until(lambda: swarm[1].status.get("state") == "serving")
        swarm[0].kill()
        flip(swarm[1].incoming / SHARD, 400_000)
        swarm.start(swarm[2])
        swarm.until(lambda: swarm[2].status.get("bytes_done", 0) == swarm.size - PIECE)
        assert not (swarm[1].incoming / SHARD).exists(), "it is known to be wrong"
        swarm.start(swarm[0])
        swarm.finish()


def test_a_link_where_a_partial_file_must_be(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=3) as swarm:
        victim = tmp_path / "victim"
        victim.write_bytes(b"precious")
        swarm[1].incoming.mkdir(parents=True)
        (swarm[1].incoming / f"{SHARD}.partial").symlink_to(victim)
        (swarm[1].incoming / "config.json").symlink_to(victim)
        swarm.start()
        assert swarm[1].wait() == 1, swarm.told()
        assert f"{SHARD}.partial is a symbolic link" in swarm[1].status["message"], swarm.told()
        assert victim.read_bytes() == b"precious"
        (swarm[1].incoming / f"{SHARD}.partial").unlink()
        swarm.start(swarm[1])
        swarm.finish()
        assert not (swarm[1].incoming / "config.json").is_symlink()
        assert victim.read_bytes() == b"precious"


def test_a_link_where_a_folder_must_be(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=2) as swarm:
        (tmp_path / "elsewhere").mkdir()
        swarm[1].incoming.mkdir(parents=True)
        (swarm[1].incoming / "sub").symlink_to(tmp_path / "elsewhere")
        swarm.start()
        assert swarm[1].wait() == 1, swarm.told()
        assert not list((tmp_path / "elsewhere").iterdir())


# power


@pytest.mark.parametrize("python", PYTHONS)
def test_the_power_fails(tmp_path: Path, python: str) -> None:
    """The tails of the partial files are zeros, the journal's last line is torn, and the host has started anew."""
    constants = {"keeping.SYNC_EVERY_S": 0.5}
    with swarming(tmp_path, shards(), members=2, rate=RATE, python=python, constants=constants) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.6)
        swarm[1].kill()
        believed = lose_power(swarm[1].incoming)
        assert believed > swarm.size // 10, "nothing was synced before"
        swarm.start(swarm[1])
        swarm.finish()
        assert swarm[1].status["bytes_before"] >= believed
        assert "the host was restarted" not in swarm[1].status["message"]


def lose_power(incoming: Path) -> int:
    """Leaves what a disk holds that lost everything that was not synced; returns the bytes that are left."""
    from mindie_exchange import journal

    text = (incoming / ".pieces.0").read_text()
    (incoming / ".pieces.0").write_text(re.sub("#boot .*", "#boot another", text) + "model-2-of-3.safetens")
    kept = 0
    for name, ranges in journal.read(str(incoming)).items():
        path = incoming / f"{name}.partial"
        for one in ranges:
            kept += one.length if one.synced else 0
            if not one.synced and path.exists():
                with path.open("r+b") as handle:
                    handle.seek(one.offset)
                    handle.write(bytes(one.length))
    return kept


# full disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    path = tmp_path / "m1"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_a_disk_that_is_too_small_is_told_before_anything_is_sent(tmp_path: Path, small_disk: Path) -> None:
    with swarming(tmp_path, {"large": noise("large", 9 * KIB * KIB)}, members=3) as swarm:
        swarm.start()
        assert swarm[1].wait() == 1, swarm.told()
        assert re.match(r"the disk of .* is too small: 9437184 bytes are missing and", swarm[1].status["message"])
        swarm.until_share(swarm[2], 1.0)
        swarm.until(lambda: (swarm[2].incoming / "large").exists())


def test_a_disk_that_becomes_full(tmp_path: Path, small_disk: Path) -> None:
    with swarming(tmp_path, shards(), members=3, rate=RATE) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.2)
        number = os.open(small_disk / "something else", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError, match="No space"):
            while os.write(number, bytes(4096)):
                pass
        os.close(number)
        assert swarm[1].wait() == 1, swarm.told()
        assert "is full (nothing more fits): make room and start the sync again" in swarm[1].log.read_text(), (
            swarm.told()
        )
        swarm.check_names(swarm[1])
        swarm.until(lambda: swarm[2].status["files_done"] == len(swarm.names))
        before = swarm[1].arrived_bytes()
        assert before
        (small_disk / "something else").unlink()
        swarm.start(swarm[1])
        swarm.finish(swarm[1], swarm[2])
        assert swarm[1].status["bytes_before"] >= before - PIECE


# clocks


def test_no_clock_that_can_jump_is_used() -> None:
    """The hub's Retry-After is a date, so only its reader knows the time of day."""
    for path in (Path(__file__).parents[2] / "plugins" / "mindie_exchange").glob("*.py"):
        if not path.name.startswith("hub"):
            assert not re.search(r"time\.time\(|datetime|CLOCK_REALTIME|localtime", path.read_text()), path.name


def test_the_end_by_sigterm_before_it_has_begun(tmp_path: Path) -> None:
    """It waits for a directory that another agent has."""
    with swarming(tmp_path, shards(), members=2, rate=RATE, constants={"host.LOCK_S": 20}) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.1)
        first, swarm[1].process = swarm[1].process, None
        swarm.start(swarm[1])
        time.sleep(0.7)
        began = time.monotonic()
        os.kill(swarm[1].pid, signal.SIGTERM)
        assert swarm[1].wait() == 3
        assert time.monotonic() - began < 1.5
        swarm[1].process = first
        swarm.finish()


def test_two_agents_in_one_directory(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=2, rate=RATE, constants={"host.LOCK_S": 0.5}) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.1)
        first, swarm[1].process = swarm[1].process, None
        swarm.start(swarm[1])
        assert swarm[1].wait() == 1
        assert "another transfer into" in swarm[1].log.read_text()
        swarm[1].process = first
        swarm[1].log.write_text("")
        time.sleep(0.1)
        swarm.finish()

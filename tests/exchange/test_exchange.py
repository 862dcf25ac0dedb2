"""A whole exchange among real agents, without faults."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

from tests.exchange.swarm import KIB, PIECE, PLUGINS, Swarm, noise, shards, swarming
from tests.interpreters import PYTHONS


@pytest.mark.parametrize("python", PYTHONS)
def test_everybody_has_everything_and_the_source_sends_it_once(tmp_path: Path, python: str) -> None:
    with swarming(tmp_path, shards(), members=4, lanes=2, python=python) as swarm:
        swarm.start()
        swarm.finish()
        source = swarm[0].status
        assert swarm.size <= source["sent"] <= swarm.size + 2 * PIECE, source
        for member in swarm.receivers:
            status = member.status
            assert status["state"] == "done"
            assert status["received"] <= swarm.size + 2 * PIECE, status
            assert status["bytes_done"] == status["bytes"] == swarm.size
            assert not status["warnings"], status


def test_one_archive_runs_everywhere(tmp_path: Path) -> None:
    package = tmp_path / "package"
    shutil.copytree(PLUGINS / "mindie_exchange", package / "mindie_exchange")
    (package / "__main__.py").write_text("import sys\nfrom mindie_exchange.__main__ import main\nsys.exit(main())\n")
    zipapp.create_archive(package, tmp_path / "agent.pyz")
    done = subprocess.run(
        [sys.executable, tmp_path / "agent.pyz"], input=b"{}", capture_output=True, check=False, timeout=30
    )
    assert done.returncode == 2
    assert done.stderr == b"the plan is not of format 1\n"


def test_ten_thousand_tiny_files(tmp_path: Path) -> None:
    model = {f"d{i % 100}/file {i}.txt": noise(str(i), i % 50) for i in range(10_000)}
    with swarming(tmp_path, model, members=3) as swarm:
        swarm.start()
        swarm.finish()


def test_several_seeders_share_the_work(tmp_path: Path) -> None:
    """With three sources no piece is given twice, and each of them gives a part."""
    model = shards()
    with swarming(tmp_path, model, members=5, seeds={0: list(model), 1: list(model), 2: list(model)}) as swarm:
        swarm.start()
        swarm.finish()
        sent = [swarm[index].status["sent"] for index in range(3)]
        assert swarm.size <= sum(sent) <= swarm.size + 4 * PIECE, sent
        assert min(sent) > swarm.size // 6, sent


def test_seeders_of_different_files(tmp_path: Path) -> None:
    """Small files that travel together may be at different members."""
    model = {f"small-{i}": noise(f"small {i}", 500 + i) for i in range(12)} | {"large": noise("large", 5 * PIECE)}
    names = sorted(model)
    seeds = {0: names[::2], 1: names[1::2], 2: names[::3]}
    with swarming(tmp_path, model, members=4, seeds=seeds) as swarm:
        swarm.start()
        swarm.finish()


def test_partial_copies_of_earlier_runs_are_all_used(tmp_path: Path) -> None:
    """The source is gone for good; what is left at the others is everything together."""
    model = {"one": noise("one", 20 * PIECE), "two": noise("two", 20 * PIECE)}
    with swarming(tmp_path, model, members=3, seeds={}) as swarm:
        for member, parity in ((swarm[0], 0), (swarm[1], 1)):
            leave_pieces(swarm, member.incoming, parity)
        swarm.start()
        swarm.finish()
        assert swarm[0].status["received"] == swarm[1].status["received"] == swarm.size // 2
        assert swarm[2].status["received"] == swarm.size


def leave_pieces(swarm: Swarm, incoming: Path, parity: int) -> None:
    """Leaves every second piece of each file, as a run with other pieces (half as large) would have left it."""
    import zlib

    from mindie_exchange.journal import Journal

    incoming.mkdir(parents=True)
    noted = Journal(str(incoming / ".pieces.7"))
    half = PIECE // 2
    for name, content in swarm.model.items():
        with (incoming / f"{name}.partial").open("wb") as handle:
            for offset in range(0, len(content), half):
                if offset // PIECE % 2 == parity:
                    part = content[offset : offset + half]
                    handle.seek(offset)
                    handle.write(part)
                    noted.note([(name, offset, len(part), zlib.crc32(part))])
    noted.close()


def test_a_limit_holds_for_what_is_sent_and_for_what_is_received(tmp_path: Path) -> None:
    """One member has a limit, which bounds what it receives from two sources without any, and what it sends on."""
    model = {"shard": noise("limited", 3 * KIB * KIB)}
    with swarming(tmp_path, model, members=3, seeds={0: ["shard"], 1: ["shard"]}) as swarm:
        swarm[2].changes["rate_limit"] = 1536 * KIB
        swarm.start()
        swarm.finish()
        assert 1.4 < swarm[2].status["elapsed_s"] < 6, swarm[2].status


def test_who_starts_later_is_not_waited_for_in_a_long_pause(tmp_path: Path) -> None:
    """The earlier member called in vain and waits for a minute; the later one knocks."""
    pauses = {"calls.FIRST_PAUSE_S": 60, "calls.LONGEST_PAUSE_S": 60}
    with swarming(tmp_path, shards(), members=3, constants=pauses) as swarm:
        swarm.start(swarm[0])
        swarm.until(lambda: swarm[0].status.get("unreached") == dict.fromkeys(["m1", "m2"], "Connection refused"))
        swarm.start(swarm[1])
        swarm.until(lambda: swarm[1].arrived_bytes() >= swarm.size, 20)
        swarm.start(swarm[2])
        swarm.finish()

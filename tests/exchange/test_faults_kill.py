"""kill -9 of each role at many points of a run, then started again: nothing is lost, and little is sent twice.

EXCHANGE_FAULT_POINTS=20 tries twenty points for each role; without it a few are drawn, others every day.
"""

from __future__ import annotations

import datetime
import os
import random
import time
from pathlib import Path

import pytest

from tests.exchange.swarm import KIB, PIECE, Swarm, shards, swarming
from tests.interpreters import PYTHONS

ALL = 20
COUNT = int(os.environ.get("EXCHANGE_FAULT_POINTS", "3"))
SEED = os.environ.get("EXCHANGE_FAULT_SEED", datetime.date.today().isoformat())
POINTS = sorted(random.Random(SEED).sample(range(ALL), min(ALL, COUNT)))
RATE = 2 * KIB * KIB
# "At most two pieces a connection are sent again."
TWICE = 2 * PIECE


def total(swarm: Swarm) -> int:
    return sum(member.arrived_bytes() for member in swarm.receivers)


def until_point(swarm: Swarm, point: int) -> None:
    """Waits until the receivers together have so many twentieths."""
    swarm.until(lambda: total(swarm) >= (point + 0.5) / ALL * swarm.size * len(swarm.receivers))


def sent_again(swarm: Swarm, member: int) -> int:
    return swarm.sent_to(swarm[member]) - swarm.size


@pytest.mark.parametrize("point", POINTS)
def test_a_receiver(tmp_path: Path, point: int) -> None:
    with swarming(tmp_path, shards(), members=3, rate=RATE) as swarm:
        swarm.start()
        until_point(swarm, point)
        swarm[1].kill()
        swarm.check_names(swarm[1])
        before = swarm[1].arrived_bytes()
        swarm.start(swarm[1])
        swarm.finish()
        assert swarm[1].status["bytes_before"] >= before - TWICE, "it did not go on where it was"
        assert sent_again(swarm, 1) <= 2 * TWICE, swarm.told()
        assert swarm[2].status["received"] <= swarm.size + TWICE, swarm.told()
        assert swarm[0].status["sent"] <= swarm.size + TWICE, swarm.told()


@pytest.mark.parametrize("point", POINTS)
def test_a_lane_of_a_receiver(tmp_path: Path, point: int) -> None:
    with swarming(tmp_path, shards(), members=3, lanes=2, rate=RATE) as swarm:
        swarm.start()
        until_point(swarm, point)
        swarm[1].kill(lane=point % 2)
        swarm.check_names(swarm[1])
        swarm.finish()
        assert sent_again(swarm, 1) <= 2 * TWICE, swarm.told()
        assert swarm[2].status["received"] <= swarm.size + TWICE, swarm.told()
        assert swarm[0].status["sent"] <= swarm.size + TWICE, swarm.told()
        if point < ALL - 4:
            assert any("started again" in one for one in swarm[1].status["warnings"]), swarm.told()


@pytest.mark.parametrize("point", POINTS)
def test_the_source(tmp_path: Path, point: int) -> None:
    with swarming(tmp_path, shards(), members=3, rate=RATE) as swarm:
        swarm.start()
        until_point(swarm, point)
        swarm[0].kill()
        time.sleep(0.2)
        swarm.start(swarm[0])
        swarm.finish()
        for member in swarm.receivers:
            assert member.status["received"] <= swarm.size + TWICE, swarm.told()


@pytest.mark.parametrize("point", POINTS)
def test_a_lane_of_the_source(tmp_path: Path, point: int) -> None:
    with swarming(tmp_path, shards(), members=3, lanes=2, rate=RATE) as swarm:
        swarm.start()
        until_point(swarm, point)
        swarm[0].kill(lane=point % 2)
        swarm.finish()
        for member in swarm.receivers:
            assert member.status["received"] <= swarm.size + TWICE, swarm.told()


@pytest.mark.parametrize("python", PYTHONS)
def test_everybody_again_and_again(tmp_path: Path, python: str) -> None:
    """All are killed at once, three times; a run of its own each time, with the same plan."""
    with swarming(tmp_path, shards(), members=3, lanes=2, rate=RATE, python=python) as swarm:
        for share in (0.2, 0.5, 0.8):
            swarm.start()
            swarm.until(lambda share=share: total(swarm) >= share * 2 * swarm.size)  # type: ignore[misc]
            for member in swarm.members:
                member.kill()
            for member in swarm.receivers:
                swarm.check_names(member)
        before = [member.arrived_bytes() for member in swarm.receivers]
        swarm.start()
        swarm.finish()
        for member, arrived in zip(swarm.receivers, before, strict=True):
            assert member.status["received"] <= swarm.size - arrived + 2 * TWICE, swarm.told()


def test_a_lane_that_is_killed_again_and_again_without_progress_ends_the_run(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=3) as swarm:
        swarm.start(swarm[1])
        for _ in range(20):
            if swarm[1].process is None or swarm[1].process.poll() is not None:
                break
            for pid in swarm[1].lanes:
                os.kill(pid, 9)
            time.sleep(0.3)
        assert swarm[1].wait() == 1
        assert "lane 0 ended 6 times without any progress, the last time with signal 9" in swarm[1].status["message"]


def test_a_lane_that_is_killed_again_and_again_but_goes_on_is_no_reason_to_end(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=2, rate=RATE // 4) as swarm:
        swarm.start()
        for share in range(1, 9):
            swarm.until_share(swarm[1], share / 10)
            # It tells what it did twice a second.
            time.sleep(0.6)
            swarm[1].kill(lane=0)
        swarm.finish()

"""What the controller thinks of an agent that it watches; times are those of a clock that the tests set."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from mindie_deploy.weights.watch import (
    LOST_AFTER_S,
    MOST_RESTARTS,
    NO_PROGRESS_S,
    SHOW_EVERY_S,
    SILENT_AFTER_S,
    SLACK_S,
    SOURCE_GONE_S,
    ExchangeError,
    Verdict,
    Watch,
)

# An agent that lives writes another time whenever it writes.
SECONDS = itertools.count()


@pytest.fixture
def watch() -> Watch:
    return Watch("host2", "the weights", 11200, 36_000.0, 1000.0)


def status(done: int = 0, state: str = "exchanging", **more: Any) -> dict[str, Any]:
    return {"state": state, "bytes_done": done, "received": done, "elapsed_s": float(next(SECONDS)), **more}


@pytest.mark.parametrize("state", ["serving", "done"])
def test_who_has_everything_has_arrived_however_old_the_news(watch: Watch, state: str) -> None:
    assert watch.heard(status(state=state), 10_000.0, 1000.5) is Verdict.ARRIVED


def test_fresh_news_are_waited_on_and_old_ones_looked_into(watch: Watch) -> None:
    assert watch.heard({}, 0.0, 1000.1) is Verdict.WAIT
    assert watch.heard(status(1), SILENT_AFTER_S, 1001.0) is Verdict.WAIT
    assert watch.heard(status(1), SILENT_AFTER_S + 1, 1002.0) is Verdict.SILENT


def test_news_that_never_come_are_looked_into_whatever_the_hosts_clock_says(watch: Watch) -> None:
    late = 1000.0 + SILENT_AFTER_S + SLACK_S + 1
    assert watch.heard({}, 0.0, late) is Verdict.SILENT
    watch.restarted("", late)
    assert watch.heard(status(1, elapsed_s=3.0), -3600.0, late + 1) is Verdict.WAIT
    assert watch.heard(status(1, elapsed_s=3.0), -3600.0, late + SILENT_AFTER_S) is Verdict.WAIT
    assert watch.heard(status(1, elapsed_s=3.0), -3600.0, late + SILENT_AFTER_S + SLACK_S + 2) is Verdict.SILENT


def test_one_that_was_stopped_is_started_again(watch: Watch) -> None:
    assert watch.heard(status(state="stopped"), 0.0, 1001.0) is Verdict.KILLED


def test_what_failed_there_is_told_with_the_host(watch: Watch) -> None:
    with pytest.raises(ExchangeError, match="host2: the disk of /data is full"):
        watch.heard(status(state="failed", message="the disk of /data is full"), 0.0, 1001.0)
    with pytest.raises(ExchangeError) as caught:
        watch.heard(status(state="failed", message="x" * 100_000), 0.0, 1001.0)
    assert len(str(caught.value)) < 3000


def test_nothing_for_long_is_told_with_who_is_not_connected(watch: Watch) -> None:
    stuck = {"unreached": {"host3": "refused", "host1": ""}}
    watch.heard(status(5, **stuck), 0.0, 1001.0)
    assert watch.heard(status(5, **stuck), 0.0, 1001.0 + NO_PROGRESS_S) is Verdict.WAIT
    with pytest.raises(ExchangeError) as caught:
        watch.heard(status(5, **stuck), 0.0, 1002.0 + NO_PROGRESS_S)
    told = str(caught.value)
    for part in ("the weights", "host2", "host1: no connection; host3: refused", "11200", "mindie_weights_port"):
        assert part in told


def test_a_trickle_is_progress(watch: Watch) -> None:
    for step in range(5):
        assert watch.heard(status(step), 0.0, 1001.0 + step * NO_PROGRESS_S) is Verdict.WAIT


@pytest.mark.parametrize("hostile", [{"bytes_done": "much"}, {"unreached": ["host3"]}, {"received": -1}])
def test_a_hostile_status_gets_no_more_patience(watch: Watch, hostile: dict[str, Any]) -> None:
    value = {"state": ["x"], **hostile}
    watch.heard(value, 0.0, 1001.0)
    with pytest.raises(ExchangeError, match="nothing of the weights has come to host2"):
        watch.heard(value, 0.0, 1002.0 + NO_PROGRESS_S)


def test_the_time_limit_ends_it_although_there_is_progress(watch: Watch) -> None:
    watch.heard(status(1), 0.0, 1000.0 + 36_000.0)
    with pytest.raises(ExchangeError, match=r"took longer than 36000 s, the time limit"):
        watch.heard(status(2), 0.0, 1001.0 + 36_000.0)


def test_it_is_started_again_only_so_often_without_progress(watch: Watch) -> None:
    watch.heard(status(1), 0.0, 1001.0)
    for _ in range(MOST_RESTARTS):
        watch.restarted("", 1001.0)
    watch.heard(status(2), 0.0, 1002.0)
    for _ in range(MOST_RESTARTS):
        watch.restarted("MemoryError", 1001.0)
    with pytest.raises(ExchangeError, match=rf"host2 was killed {MOST_RESTARTS + 1} times: .*MemoryError"):
        watch.restarted("x" * 1000 + "MemoryError", 1001.0)


def test_a_restart_may_begin_with_less_and_is_no_progress_then(watch: Watch) -> None:
    """The new agent has not received what the old one did; it counts from the beginning."""
    watch.heard(status(100), 0.0, 1001.0)
    for number in range(MOST_RESTARTS):
        watch.restarted("", 1001.0)
        watch.heard(status(3), 0.0, 1002.0 + number)
    with pytest.raises(ExchangeError):
        watch.restarted("", 1001.0)


def test_a_host_that_does_not_answer_is_lost_after_a_while(watch: Watch) -> None:
    assert not watch.lost(1000.0 + LOST_AFTER_S)
    assert watch.lost(1001.0 + LOST_AFTER_S)
    watch.heard(status(1), 0.0, 1001.0 + LOST_AFTER_S)
    assert not watch.lost(1002.0 + LOST_AFTER_S)


def test_lines_of_progress_are_bearable(watch: Watch) -> None:
    shown = [now for now in range(1000, 1060) if watch.to_show(float(now))]
    assert shown[0] == 1000
    assert len(shown) == 60 / SHOW_EVERY_S


def test_a_source_that_is_gone_is_survived_for_as_long_as_something_comes(watch: Watch) -> None:
    watch.heard(status(1), 0.0, 1001.0)
    watch.beside_source({"state": "serving"}, False, 1001.0 + SOURCE_GONE_S)
    watch.heard(status(2), 0.0, 1001.0 + SOURCE_GONE_S)
    watch.beside_source({"state": "serving"}, False, 1002.0 + SOURCE_GONE_S)
    watch.beside_source({"state": "serving"}, True, 10_000.0)
    with pytest.raises(ExchangeError, match=r"controller is gone.*host2") as caught:
        watch.beside_source({"state": "serving"}, False, 1002.0 + 2 * SOURCE_GONE_S)
    assert "run it again" in str(caught.value)


def test_a_source_that_cannot_be_read_ends_it_with_its_words(watch: Watch) -> None:
    with pytest.raises(ExchangeError, match=r"a\.safetensors became shorter"):
        watch.beside_source({"state": "failed", "message": "a.safetensors became shorter"}, True, 1001.0)

"""What an exchange achieved, from what its members said last."""

from __future__ import annotations

from typing import Any

import pytest

from mindie_deploy.weights.summary import SHORTEST_JUDGED_S, Summary, summarise

GB = 10**9


def member(seconds: Any, size: int = 100 * GB, before: int = 0) -> dict[str, Any]:
    return {"bytes": size, "bytes_before": before, "elapsed_s": seconds}


def summary(**statuses: dict[str, Any]) -> Summary:
    found = summarise(statuses)
    assert found is not None
    return found


def test_a_host_that_took_much_longer_than_the_others_is_named_with_its_rate() -> None:
    found = summary(host1=member(100), host2=member(110.5), host3=member(2500))
    assert (found.behind, found.behind_rate) == ("host3", 40_000_000)
    assert found.text == "300 GB to 3 hosts in 41 min, 40 MB/s to each; slowest: host3 at 40 MB/s"


@pytest.mark.parametrize(
    "statuses",
    [
        {"host1": member(100), "host2": member(120), "host3": member(150)},
        {"host1": member(100)},
        {"host1": member(1), "host2": member(SHORTEST_JUDGED_S - 1)},
        # It needed little, and waited for the others.
        {"host1": member(100), "host2": member(110), "host3": member(100, before=95 * GB)},
        {"host1": member(100), "host2": member("long"), "host3": member(100)},
    ],
)
def test_where_nobody_is_clearly_behind_nobody_is_named(statuses: dict[str, Any]) -> None:
    assert summary(**statuses).behind == ""
    assert "slowest" not in summary(**statuses).text


def test_nothing_that_came_has_no_summary() -> None:
    assert summarise({"host1": member(100, before=100 * GB)}) is None

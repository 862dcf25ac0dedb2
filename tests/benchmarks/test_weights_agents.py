"""The exchange of the project in the lab, with and without a fault."""

from __future__ import annotations

import pytest
from benchmarks.weights import agents
from benchmarks.weights.faults import Cut, Kill, Throttle
from benchmarks.weights.lab import Lab
from benchmarks.weights.network import LabError


def test_all_members_become_complete(small: Lab) -> None:
    small.floor = 40e6
    outcome = agents.run(small)
    assert sorted(outcome.complete) == [1, 2]
    assert outcome.sent / small.payload.size < 1.2
    assert outcome.ended >= max(outcome.complete.values())
    assert set(outcome.cpu_s) == {0, 1, 2}


def test_a_killed_member_comes_back(small: Lab) -> None:
    small.floor = 2e6
    small.net.shape_all([2e6] * 3)
    fault = Kill(2, seconds=0.5)
    outcome = agents.run(small, faults=[fault])
    assert sorted(outcome.complete) == [1, 2]
    assert not fault.under_way


def test_a_link_is_cut_and_another_becomes_slow(small: Lab) -> None:
    small.floor = 2e6
    small.net.shape_all([2e6] * 3)
    outcome = agents.run(small, faults=[Cut(1, seconds=0.2), Throttle(2, 1e6)])
    assert sorted(outcome.complete) == [1, 2]


def test_a_fault_that_never_came_fails_the_run(small: Lab) -> None:
    small.floor = 40e6
    with pytest.raises(LabError, match="m1 was not away and back before the run ended"):
        agents.run(small, faults=[Kill(1, share=3.0)])


def test_an_agent_that_ends_badly_fails_the_run(small: Lab) -> None:
    small.floor = 40e6
    with pytest.raises(LabError, match=r"the agent of m\d ended with 2; its log ends:\nthe plan"):
        agents.run(small, settings={"format": 99})

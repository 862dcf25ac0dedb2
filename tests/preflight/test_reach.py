"""Ports between the hosts: what is blocked is named once, where it has to be mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mindie_deploy.hosts.facts import Unknown
from mindie_deploy.hosts.reach import reach
from mindie_deploy.preflight.gathered import with_listener

from .builders import finding, ids, judged, only
from .reaches import trying

COUNTS = (2, 3, 4, 8)
Outcome = Callable[[int, int, int], Any]


def at_port(port: int, outcome: object, *sources: int) -> Outcome:
    """One port fails from these hosts, or from all."""
    return lambda source, target, asked: outcome if asked == port and (not sources or source in sources) else "answered"


@pytest.mark.parametrize("count", COUNTS)
def test_ports_that_answer_are_no_finding(count: int) -> None:
    report = judged(trying(count))
    assert report.verdict == "ok"
    assert not {"ports.reachable", "net.host-route"} & set(ids(report))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("outcome", "says"), [
    ("silent", "no answer within 5 s"),
    ("refused", "refused"),
    ("stranger", "something else than our listener answered (it hung up)"),
])  # fmt: skip
def test_a_port_that_nobody_reaches(count: int, outcome: str, says: str) -> None:
    found = only(judged(trying(count, at_port(1120, outcome))))
    assert (found.check_id, found.severity, found.where) == ("ports.reachable", "block", "host1")
    sources = ", ".join(f"host{number}" for number in range(2, count + 1))
    assert found.evidence[0].says == (
        f"port 1120 (mindie_multi_nodes_infer_port) of host1 (10.0.0.11) from {sources}: {says}"
    )
    assert "firewall-cmd" in found.remedy


def test_a_port_that_one_host_does_not_reach() -> None:
    found = only(judged(trying(4, at_port(1120, "silent", 3))))
    assert found.evidence[0].says.endswith("from host3: no answer within 5 s; host2, host4 can")


def test_a_port_that_fails_in_two_ways() -> None:
    def outcome(source: int, target: int, port: int) -> str:
        return "answered" if port == 1025 else "refused" if source == 2 else "silent"

    says = only(judged(trying(4, outcome))).evidence[0].says
    assert says.endswith("from host2: refused; from host3, host4: no answer within 5 s")


def test_the_port_of_the_api_is_only_mentioned() -> None:
    found = only(judged(trying(4, at_port(1025, "silent"))))
    assert (found.check_id, found.severity) == ("ports.reachable", "warn")
    assert "API" in found.title


@pytest.mark.parametrize("count", COUNTS)
def test_a_leader_that_nobody_reaches_is_one_finding(count: int) -> None:
    found = only(judged(trying(count, lambda source, target, port: "silent")))
    assert (found.check_id, found.severity, found.where) == ("net.host-route", "block", "host1")
    assert found.hides == ("ports.reachable",)


def test_a_host_that_does_not_reach_the_leader_alone() -> None:
    found = only(judged(trying(4, lambda source, target, port: "no-route" if source == 3 else "answered")))
    assert (found.check_id, found.where) == ("net.host-route", "host3")
    assert found.hides == ("ports.reachable",)
    assert "No route to host" in found.evidence[0].says


def test_a_host_without_a_way_does_not_hide_a_closed_port() -> None:
    def outcome(source: int, target: int, port: int) -> str:
        return "no-route" if source == 3 else "refused" if port == 1120 else "answered"

    report = judged(trying(4, outcome))
    assert finding(report, "net.host-route").where == "host3"
    found = finding(report, "ports.reachable")
    assert found.where == "host1"
    assert "from host2, host4: refused" in found.evidence[0].says


def test_one_silent_port_is_a_filter_and_no_missing_way() -> None:
    facts = trying(4, lambda source, target, port: "silent", ports=((1120, "mindie_multi_nodes_infer_port"),))
    assert only(judged(facts)).check_id == "ports.reachable"


def test_without_a_listener_nothing_is_known_and_nothing_is_blocked() -> None:
    facts = trying(4, at_port(1120, "refused"), not_listening={1120: "Address already in use"})
    report = judged(facts)
    assert report.verdict == "ok"
    found = finding(report, "ports.reachable")
    assert (found.kind, found.severity, found.where) == ("unknown", "info", "host1")
    assert "Address already in use" in found.evidence[0].says


def test_a_leader_that_went_away_meanwhile_is_no_proof_against_its_ports() -> None:
    report = judged(trying(4, lambda source, target, port: "silent", lost=(1,)))
    assert report.verdict == "warn"  # its pings are not known either
    assert finding(report, "ports.reachable").kind == "unknown"
    assert "net.host-route" not in ids(report)


def test_a_host_that_went_away_is_told_in_the_words_of_ssh() -> None:
    said = (
        "Task failed: Data could not be sent. Make sure this host can be reached over ssh: ssh: connect to host x: No"
    )
    told = with_listener({"unreachable": True, "msg": said}, {}, {})
    assert told is not None
    assert reach(told) == Unknown("ssh: connect to host x: No")
    assert with_listener({}, {}, {}) is with_listener({"skipped": True}, {}, {}) is None


def test_a_connection_that_could_not_be_tried_is_not_known() -> None:
    report = judged(trying(4, at_port(1120, Unknown("no answer in time"), 2)))
    assert report.verdict == "ok"
    found = finding(report, "ports.reachable")
    assert (found.kind, found.where) == ("unknown", "host2")

"""Ports between the hosts: what is blocked is named once, where it has to be mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mindie_deploy.hosts.facts import Unknown
from mindie_deploy.hosts.reach import reach
from mindie_deploy.preflight.gathered import with_listener
from mindie_deploy.preflight.way_causes import way_causes

from .builders import finding, ids, judged, only
from .reaches import trying, trying_hccl

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


def hccl_fails(count: int, *ways: tuple[int, int], how: str = "silent") -> Any:
    """The judgement where HCCL's port is closed on these ways; 0 stands for every host."""

    def outcome(source: int, target: int) -> str:
        closed = any(one in (0, source) and other in (0, target) for one, other in ways)
        return how if closed else "answered"

    return judged(trying_hccl(count, outcome))


@pytest.mark.parametrize("how", ["silent", "refused", "no-route"])
@pytest.mark.parametrize(("count", "ways", "hosts", "says"), [
    (4, [(0, 3)], ("host3",), "none of 3 hosts reaches host3: host1 to host3 (10.0.0.13), port 60000: "),
    (4, [(3, 0)], ("host3",), "host3 reaches none of 3 hosts: host3 to host1 (10.0.0.11), port 60000: "),
    (4, [(2, 3)], ("host2",), "host2 to host3 (10.0.0.13), port 60000: "),
    (4, [(0, 1), (0, 3)], ("host1", "host3"), "none of 3 hosts reaches host1: "),
    (3, [(0, 2), (2, 0)], ("host2",), "none of 2 hosts reaches host2: "),
    (3, [(0, 0)], ("host1", "host2", "host3"), "none of 6 ways is open: "),
    (2, [(1, 2)], ("host2",), "host1 to host2 (10.0.0.12), port 60000: "),
    (64, [(0, 0)], tuple(f"host{number}" for number in range(1, 65)), "none of 4032 ways is open: "),
])  # fmt: skip
def test_closed_ports_of_hccl_are_one_finding(
    count: int, ways: list[tuple[int, int]], hosts: tuple[str, ...], says: str, how: str
) -> None:
    found = only(hccl_fails(count, *ways, how=how))
    assert (found.check_id, found.severity, found.hosts) == ("ports.hccl-reachable", "warn", hosts)
    assert found.evidence[0].says.startswith(says)
    assert all(len(one.says) < 400 for one in found.evidence)


@pytest.mark.parametrize("closed", [1, 3])
def test_a_host_that_the_leader_does_not_hear_is_told_once(closed: int) -> None:
    def lost(source: int, target: int) -> str:
        return "silent" if target == 1 and closed in (1, source) else "answered"

    found = only(judged(trying_hccl(4, lost, leader=lambda source: lost(source, 1))))
    assert (found.check_id, found.where) == ("net.host-route", f"host{closed}")
    assert set(found.hides) == {"ports.reachable", "ports.hccl-reachable"}


def test_what_was_not_tried_for_a_lock_is_told_and_blocks_nothing() -> None:
    why = "not tried: anna@control1 holds the lock of the deployment (up, run x)"
    held = {number: {60000: why} for number in (1, 2, 3)} | {1: {1120: why, 1025: why, 60000: why}}
    report = judged(trying_hccl(3, lambda *_: "refused", leader=lambda source: "refused", not_listening=held))
    assert report.verdict == "ok"
    for check_id, hosts in (("ports.reachable", ("host1",)), ("ports.hccl-reachable", ("host1", "host2", "host3"))):
        found = finding(report, check_id)
        assert (found.kind, found.severity, found.hosts) == ("unknown", "info", hosts)
        assert why in found.evidence[0].says


def test_connections_of_hccl_that_say_nothing_are_told_by_the_host_that_asked() -> None:
    report = judged(trying_hccl(4, lambda source, target: Unknown("cut") if source == 2 else "answered"))
    found = finding(report, "ports.hccl-reachable")
    assert (found.kind, found.severity, found.hosts) == ("unknown", "info", ("host2",))
    assert [one.says for one in found.evidence] == ["host1, host3, host4, port 60000: cut"]


def test_ways_are_explained_by_few_causes() -> None:
    hosts = ("a", "b", "c", "d")
    tried = [(one, other) for one in hosts for other in hosts if one != other]
    failed = [way for way in tried if way[1] == "a" or way[0] == "b" or way == ("c", "d")]
    causes = way_causes(tried, failed)
    assert [(one.kind, one.hosts) for one in causes] == [
        ("unreached", ("a",)), ("reaches-nobody", ("b",)), ("pair", ("c",)),
    ]  # fmt: skip
    assert sorted(way for one in causes for way in one.ways) == sorted(failed)
    assert way_causes(tried, []) == []
    mute = [way for way in tried if way[0] in ("b", "c")]
    assert [one.hosts for one in way_causes(tried, mute)] == [("b",), ("c",)]

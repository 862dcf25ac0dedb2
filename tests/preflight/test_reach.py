"""The second round trip: what is asked, and what the answers say about a port, an NPU, a rail, a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from mindie_deploy.hosts.facts import HostFacts, ListeningPort, PortProbe, ReachFacts, Unknown
from mindie_deploy.hosts.questions import questions
from mindie_deploy.hosts.reach import reach
from mindie_deploy.preflight.finding import Unreachable
from mindie_deploy.preflight.ping_matrix import Pair, grid_lines, pairs_of
from mindie_deploy.preflight.report import Report
from tests.preflight.builders import (
    NPUS,
    UNKNOWN,
    cluster,
    engine,
    finding,
    healthy_host,
    hosts_of,
    judged,
    only,
    own_container,
    ports,
    settings,
    weights,
)

Lost = Callable[[tuple[str, int], tuple[str, int]], int]  # packets lost of three, from a source to a target


def plan(facts: Mapping[str, HostFacts | Unreachable], **changes: object) -> dict[str, dict[str, Any]]:
    known = {name: host for name, host in facts.items() if isinstance(host, HostFacts)}
    return questions(hosts_of(facts), known, settings(**changes), "word")


def asked(facts: Mapping[str, HostFacts | Unreachable], kind: str = "pings", **changes: object) -> list[dict[str, Any]]:
    return [one | {"from": name} for name, todo in plan(facts, **changes).items() for one in todo["asked"][kind]]


def answered(count: int, lost: Lost, **changes: object) -> Report:
    """The report of a cluster in which every ping was answered but for the packets that `lost` takes away."""
    facts = cluster(count)
    for name, todo in plan(facts, **changes).items():
        pings = {
            one["key"]: ping_answer(one, lost((name, one["npu"]), (one["peer"], one["peer_npu"])))
            for one in todo["asked"]["pings"]
        }
        ports_ok = {one["key"]: {"outcome": "answered"} for one in todo["asked"]["ports"]}
        host = facts[name]
        assert isinstance(host, HostFacts)
        facts[name] = replace(host, reach=reach(todo["asked"], {"items": {**pings, **ports_ok}}, {}))
    return judged(facts, **changes)


def ping_answer(asked: dict[str, Any], lost: int) -> dict[str, object]:
    lines = [f"device {asked['npu']} PING {asked['address']}"]
    lines += [f"recv time out seq={i}" if i < lost else f"recv seq={i},time=0.1ms" for i in range(3)]
    lines.append(f"3 packets transmitted, {3 - lost} received, {100 * lost / 3:.2f}% packet loss")
    error = "Command execute failed!" if lost else ""
    return {"status": 1 if lost else 0, "stdout": "\n".join(lines) + "\n", "stderr": error, "error": None}


def test_rails_are_all_ordered_pairs_of_equal_index() -> None:
    pings = asked(cluster(4))

    assert len(pings) == 8 * 12
    assert all(one["npu"] == one["peer_npu"] and one["from"] != one["peer"] for one in pings)
    assert len(asked(cluster(4), check_pings="full")) == 32 * 24
    assert asked(cluster(4), check_pings="off") == [] and asked(cluster(1)) == []


def test_the_time_follows_the_peers_of_one_npu_and_not_all_pings() -> None:
    few, many = plan(cluster(2))["host1"]["collect"], plan(cluster(8))["host1"]["collect"]

    assert len(many["items"]) > 6 * len(few["items"])
    assert many["limit"] - few["limit"] == 6 * 6
    assert {one["exclusive"] for one in few["items"] if "command" in one} == {f"hccn/{npu}" for npu in NPUS}


@pytest.mark.parametrize("changes", [{"link_up": False}, {"address": None}, {"link_up": UNKNOWN}, {"address": "x"}])
def test_an_npu_without_link_or_address_neither_pings_nor_is_pinged(changes: dict[str, Any]) -> None:
    pings = asked(cluster(host3=healthy_host("host3", 2, hccn=ports(2, 5, **changes))))

    assert len(pings) == 96 - 6
    assert not [one for one in pings if one["npu"] == 5 and "host3" in (one["from"], one["peer"])]


def test_a_host_that_gave_no_facts_is_left_out() -> None:
    facts = cluster(host3=Unreachable("no route", "no-connection"))

    assert not [one for one in asked(facts) if "host3" in (one["from"], one["peer"])]
    assert "host3" not in plan(facts)


def test_ports_are_tried_on_the_leader_and_on_the_source_of_the_weights() -> None:
    quiet = asked(cluster(3), "ports")
    assert [(one["from"], one["peer"], one["port"]) for one in quiet] == [
        ("host2", "host1", 1120),
        ("host3", "host1", 1120),
    ]
    assert plan(cluster(3))["host1"]["listen"] == [1120]

    empty = cluster(3, host2=healthy_host("host2", 1, weights=weights({})))
    sources = asked(empty, "ports", weights_source="host:host3:/r1")
    assert {(one["from"], one["peer"]) for one in sources if one["setting"] == "mindie_weights_port"} == {
        ("host1", "host3"),
        ("host2", "host3"),
    }
    assert not asked(cluster(3), "ports", check_ports=False)


def test_a_running_deployment_answers_itself_and_a_loading_one_is_left_alone() -> None:
    listening = (ListeningPort("0.0.0.0", 1120),)
    running = healthy_host("host1", 0, engine=engine(own_container()), listening=listening)
    loading = replace(running, listening=())
    foreign = healthy_host("host1", 0, listening=listening)

    assert [one["expect"] for one in asked(cluster(2, host1=running), "ports")] == [""]
    for host in (running, loading, foreign):
        assert plan(cluster(2, host1=host))["host1"]["listen"] == []
    for host in (loading, foreign):  # ports.free speaks about a foreign listener
        assert asked(cluster(2, host1=host), "ports") == []


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_pings_that_arrive_are_no_finding(count: int) -> None:
    report = answered(count, lambda source, target: 0)

    assert report.findings == () and len(report.pings) == 8 * count * (count - 1)
    assert list(grid_lines(report.pings)) == []
    assert Report.from_dict(report.to_dict()).pings == report.pings


@pytest.mark.parametrize(
    ("lost", "title", "devices", "hosts"),
    [
        (lambda s, t: 3 if ("host2", 3) in (s, t) else 0, "an NPU does not reach other", {"host2": (3,)}, ["host2"]),
        (lambda s, t: 3 if "host2" in (s[0], t[0]) else 0, "no NPU of a host", {}, ["host2"]),
        (
            lambda s, t: 3 if s[1] == 3 else 0,
            "the NPUs of one rail",
            {f"host{number}": (3,) for number in (1, 2, 3, 4)},
            ["host1", "host2", "host3", "host4"],
        ),
        (lambda s, t: 3, "no NPU reaches", {}, ["host1", "host2", "host3", "host4"]),
        (lambda s, t: 3 if (s, t) == (("host2", 3), ("host4", 3)) else 0, "reach another", {"host2": (3,)}, ["host2"]),
        (lambda s, t: 1 if ("host2", 3) in (s, t) else 0, "packets between NPUs are lost", {"host2": (3,)}, ["host2"]),
    ],
)
def test_one_cause_is_one_finding(lost: Lost, title: str, devices: dict[str, Any], hosts: list[str]) -> None:
    found = only(answered(4, lost))

    assert found.check_id == "hccn.cross-ping-matrix" and found.severity == "block"
    assert title in found.title
    assert (dict(found.devices), list(found.hosts)) == (devices, hosts)


def test_of_two_hosts_nobody_can_tell_which_it_is() -> None:
    found = only(answered(2, lambda source, target: 3 if source[1] == 3 else 0))

    assert found.devices == {"host1": (3,), "host2": (3,)}


def test_two_causes_at_once_are_both_named() -> None:
    report = answered(4, lambda s, t: 3 if ("host2", 3) in (s, t) or "host4" in (s[0], t[0]) else 0)

    assert sorted(one.where for one in report.findings) == ["host2: NPU 3", "host4"]


def test_the_full_matrix_finds_what_rails_do_not_see() -> None:
    crossed: Lost = lambda s, t: 3 if (s, t) == (("host1", 0), ("host2", 5)) else 0  # noqa: E731

    assert answered(3, crossed).findings == ()
    assert only(answered(3, crossed, check_pings="full")).devices == {"host1": (0,)}


def test_a_grid_shows_rows_from_and_columns_to() -> None:
    report = answered(3, lambda s, t: 3 if (s, t) == (("host1", 2), ("host3", 2)) else 0)

    assert list(grid_lines(report.pings)) == [
        "NPU 2  host1  host2  host3",
        "host1      -     ok  100 %",
        "host2     ok      -     ok",
        "host3     ok     ok      -",
    ]
    assert "100 %" in report.to_text()


def with_reach(name: str, index: int, value: object) -> HostFacts:
    return healthy_host(name, index, reach=value)


def test_no_answer_is_unknown_and_blocks_nothing() -> None:
    report = judged(cluster(host2=with_reach("host2", 1, Unknown("the module ended"))))
    found = finding(report, "hccn.cross-ping-matrix")

    assert (found.kind, found.severity, found.hosts) == ("unknown", "warn", ("host2",))

    busy = reach({"pings": [{"key": "k", "npu": 4, "peer": "host1", "peer_npu": 4, "address": "a"}]}, {"items": {}}, {})
    found = finding(judged(cluster(host2=with_reach("host2", 1, busy))), "hccn.cross-ping-matrix")
    assert (found.kind, found.devices) == ("unknown", {"host2": (4,)})


def test_answers_of_no_known_form_are_unknown() -> None:
    for hostile in ({"pings": 5, "ports": "x"}, {"pings": [5, None], "ports": [[]]}, {}):
        found = reach(hostile, {}, {"not a port": "x", "5": 7})
        assert found.pings == () and found.ports == () and found.not_listening == {5: ""}
    probe = {"key": "p", "peer": "host1", "address": "10.0.0.1", "port": 1, "setting": "s"}
    for item in (None, 5, {"outcome": "answered", "error": "broken"}, {"outcome": "perhaps"}):
        found = reach({"ports": [probe]}, {"items": {"p": item}}, {})
        assert isinstance(found.ports[0].outcome, Unknown)


def probed(outcome: Any, says: str = "") -> ReachFacts:
    return ReachFacts((), (PortProbe("host1", "10.0.0.11", 1120, "mindie_multi_nodes_infer_port", outcome, says),))


@pytest.mark.parametrize("outcome", ["refused", "silent", "no-route", "stranger"])
def test_a_port_that_cannot_be_reached_is_named_at_its_host(outcome: str) -> None:
    facts = {f"host{rank + 1}": with_reach(f"host{rank + 1}", rank, probed(outcome, "No route")) for rank in (1, 2, 3)}
    found = only(judged(cluster(**facts)))

    assert (found.check_id, found.where) == ("ports.reachable", "host1")
    assert "from host2, host3, host4" in found.evidence[0].says


def test_one_host_that_is_kept_away_is_told_from_those_that_are_not() -> None:
    facts = {f"host{rank + 1}": with_reach(f"host{rank + 1}", rank, probed("answered")) for rank in (1, 2)}
    found = only(judged(cluster(**facts, host4=with_reach("host4", 3, probed("silent", "no answer within 3 s")))))

    assert "from host4: no answer within 3 s; host2, host3 can" in found.evidence[0].says


def test_a_listener_that_could_not_be_made_says_nothing_about_the_network() -> None:
    leader = with_reach("host1", 0, ReachFacts((), (), {1120: "Cannot assign requested address"}))
    report = judged(cluster(host1=leader, host2=with_reach("host2", 1, probed("refused"))))
    found = finding(report, "ports.reachable")

    assert (found.kind, found.severity, found.hosts) == ("unknown", "info", ("host1",))


@pytest.mark.parametrize("broken", [{"from": ["h"]}, {"from": "hx", "to": ["h", 1]}, {}])
def test_a_pair_of_no_known_form_is_refused(broken: dict[str, Any]) -> None:
    healthy = Pair(("h", 1), ("g", 1), "a", 3, 3).to_dict()
    with pytest.raises((KeyError, TypeError, ValueError)):
        Pair.from_dict({**healthy, **broken} if broken else {})
    assert pairs_of({"host": Unreachable("x")}) == ()

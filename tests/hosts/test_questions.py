"""The second round trip: what is asked, planned from the facts, and what the answers say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mindie_deploy.hosts.facts import HostFacts, ListeningPort, PathState, ReachFacts, Unknown
from mindie_deploy.hosts.questions import PING_TIMEOUT_S, listened, questions
from mindie_deploy.hosts.reach import ENDED, reach
from mindie_deploy.hosts.targets import targets
from mindie_deploy.preflight.finding import Unreachable
from tests.hosts.samples import ROOT, sample
from tests.preflight.builders import (
    NPUS,
    SHARDS,
    UNKNOWN,
    cluster,
    engine,
    healthy_host,
    hosts_of,
    model_files,
    own_container,
    ports,
    settings,
    surroundings,
    weights,
)

Facts = Mapping[str, HostFacts | Unreachable]


def planned(facts: Facts, **changes: object) -> dict[str, Any]:
    known = {name: host for name, host in facts.items() if isinstance(host, HostFacts)}
    found = targets(hosts_of(facts), known, settings(**changes))
    return json.loads(json.dumps(found))  # as it comes out of Ansible


def plan(facts: Facts, **changes: object) -> dict[str, dict[str, Any]]:
    found = planned(facts, **changes)
    return {name: questions(name, found, settings(**changes), "word") for name in found}


def asked(facts: Facts, kind: str = "pings", **changes: object) -> list[dict[str, Any]]:
    return [one | {"from": name} for name, todo in plan(facts, **changes).items() for one in todo["asked"][kind]]


def test_rails_are_all_ordered_pairs_of_the_same_index() -> None:
    pings = asked(cluster(4))
    assert len(pings) == len({(one["from"], one["npu"], one["peer"]) for one in pings}) == 8 * 12
    assert all(one["npu"] == one["peer_npu"] and one["from"] != one["peer"] for one in pings)
    assert len(asked(cluster(4), check_pings="full")) == 32 * 24


def test_not_all_begin_with_the_same_host() -> None:
    plans = plan(cluster(4), check_ports=False)
    assert [todo["asked"]["pings"][0]["peer"] for todo in plans.values()] == ["host2", "host3", "host4", "host1"]


def test_one_npu_does_one_thing_at_a_time() -> None:
    commands = plan(cluster(4))["host2"]["pings"]["items"]
    assert {one["exclusive"] for one in commands} == {f"hccn/{npu}" for npu in NPUS}
    assert commands[0]["command"] == ["hccn_tool", "-i", "0", "-ping", "-g", "address", "29.1.0.13"]
    assert all(one["timeout"] and one["retries"]["patterns"] for one in commands)


def test_the_limit_follows_the_peers_of_one_npu_and_not_all_pings() -> None:
    few, many = plan(cluster(2))["host1"]["pings"], plan(cluster(8))["host1"]["pings"]
    assert len(many["items"]) == 7 * len(few["items"])
    assert many["limit"] - few["limit"] == 6 * PING_TIMEOUT_S


@pytest.mark.parametrize(
    ("sample", "again"), [("ping-ok-0", False), ("ping-loss-33-1", True), ("ping-link-down-3", False)]
)
def test_what_arrives_in_part_is_asked_again_and_what_is_lost_is_not(sample: str, again: bool) -> None:
    text = "".join((ROOT / "generated" / "hccn_tool" / f"{sample}.{name}").read_text() for name in ("stdout", "stderr"))
    ping = plan(cluster(2))["host1"]["pings"]["items"][0]
    patterns = ping["retries"]["patterns"]
    assert any(re.search(pattern, text) for pattern in patterns) is again
    lost = "3 packets transmitted, 0 received, 100.00% packet loss\nCommand execute failed!\n"
    assert not any(re.search(pattern, lost) for pattern in patterns)
    assert any(re.search(pattern, "hccn_tool is busy, please try again.") for pattern in patterns)


@pytest.mark.parametrize("changes", [
    {"check_pings": "off", "check_ports": False},
    {"check_pings": "off"},
    {"check_ports": False},
])  # fmt: skip
def test_what_is_switched_off_is_not_asked(changes: dict[str, Any]) -> None:
    assert bool(asked(cluster(3), **changes)) == ("check_pings" not in changes)
    assert bool(asked(cluster(3), "ports", **changes)) == ("check_ports" not in changes)


@pytest.mark.parametrize("facts", [cluster(1), cluster(2, host2=Unreachable("x")), {}])
def test_a_host_alone_asks_nobody(facts: Facts) -> None:
    assert planned(facts) == {}


@pytest.mark.parametrize("changes", [
    {"link_up": False}, {"address": None}, {"link_up": UNKNOWN}, {"address": UNKNOWN}, {"address": "x"},
    {"address": "0.0.0.0"}, {"address": ""},
])  # fmt: skip
def test_an_npu_without_link_or_address_neither_pings_nor_is_pinged(changes: dict[str, Any]) -> None:
    pings = asked(cluster(host3=healthy_host("host3", 2, hccn=ports(2, 5, **changes))))
    assert len(pings) == 96 - 6
    assert not [one for one in pings if one["npu"] == 5 and "host3" in (one["from"], one["peer"])]


def test_an_address_that_two_have_is_not_pinged() -> None:
    pings = asked(cluster(host3=healthy_host("host3", 2, hccn=ports(2, 5, address="29.1.5.11"))))
    assert len(pings) == 96 - 6 - 4
    assert {one["peer"] for one in pings if one["npu"] == 5} == {"host2", "host4"}


def test_a_host_that_gave_no_facts_is_left_out() -> None:
    facts = cluster(host3=Unreachable("no route", "no-connection"))
    assert not [one for one in asked(facts) if "host3" in (one["from"], one["peer"])]
    assert "host3" not in plan(facts)


def leaders(facts: Facts, **changes: object) -> list[dict[str, Any]]:
    """The questions for ports that settings name, without those of HCCL."""
    return [one for one in asked(facts, "ports", **changes) if one["setting"] != "HCCL"]


def test_without_the_leader_none_of_its_ports_is_tried() -> None:
    assert leaders(cluster(3, host1=Unreachable("x"))) == []


def test_the_ports_of_the_leader() -> None:
    tried = leaders(cluster(3))
    assert [(one["from"], one["peer"], one["address"], one["port"], one["expect"]) for one in tried] == [
        (name, "host1", "10.0.0.11", port, "word") for name in ("host2", "host3") for port in (1120, 1025)
    ]
    torch = {one["setting"] for one in leaders(cluster(2), backend_type="torch", environment={"HCCL_BUFFSIZE": "512"})}
    assert torch == {"mindie_multi_nodes_infer_port", "mindie_master_port", "mindie_port"}


def test_the_port_of_the_weights_is_tried_where_they_have_to_be_copied() -> None:
    empty = cluster(3, host2=healthy_host("host2", 1, weights=weights({})))
    tried = asked(empty, "ports", weights_source="host:host3:/r1")
    names = ("host1", "host2", "host3")
    assert {(one["from"], one["peer"]) for one in tried if one["setting"] == "mindie_weights_port"} == {
        (one, other) for one in names for other in names if one != other
    }
    assert "host3" not in {one["peer"] for one in leaders(cluster(3), weights_source="host:host3:/r1")}
    assert "host3" not in {one["peer"] for one in leaders(empty)}
    some = cluster(3, host2=healthy_host("host2", 1, weights=weights(model_files(without=(SHARDS[5],)))))
    assert "host3" in {one["peer"] for one in leaders(some, weights_source="host:host3:/r1")}


def listening(*places: tuple[str, int], **changes: Any) -> HostFacts:
    return healthy_host("host1", 0, listening=tuple(ListeningPort(*place) for place in places), **changes)


OURS = engine(own_container())


@pytest.mark.parametrize(("leader", "tried", "listened_on"), [
    (listening(), {1120: "word", 1025: "word"}, [1120, 1025]),
    # somebody else holds a port: ports.free says so
    (listening(("0.0.0.0", 1120)), {1025: "word"}, [1025]),
    (listening(("::", 1120)), {1025: "word"}, [1025]),
    (listening(("::ffff:10.0.0.11", 1120)), {1025: "word"}, [1025]),
    # a listener elsewhere is in nobody's way
    (listening(("127.0.0.1", 1120)), {1120: "word", 1025: "word"}, [1120, 1025]),
    # our own deployment: what it listens on answers for itself, what it does not yet is left to it
    (listening(("10.0.0.11", 1120), ("0.0.0.0", 1025), engine=OURS), {1120: "", 1025: ""}, []),
    (listening(("10.0.0.11", 1120), engine=OURS), {1120: ""}, []),
    (listening(("127.0.0.1", 1025), engine=OURS), {}, []),
    (listening(engine=OURS), {}, []),
    (healthy_host("host1", 0, listening=UNKNOWN), {}, []),
])  # fmt: skip
def test_who_answers_at_a_port(leader: HostFacts, tried: dict[int, str], listened_on: list[int]) -> None:
    facts = cluster(2, host1=leader)
    assert {one["port"]: one["expect"] for one in leaders(facts)} == tried
    assert [port for port in listened(planned(facts)["host1"]) if port != 60000] == listened_on


@pytest.mark.parametrize("count", [2, 3, 64])
def test_every_host_tries_a_port_of_hccl_on_every_other(count: int) -> None:
    plans = plan(cluster(count))
    ways = [
        (name, one["peer"]) for name, todo in plans.items() for one in todo["asked"]["ports"] if one["port"] == 60000
    ]
    assert len(ways) == len(set(ways)) == count * (count - 1)
    assert all(one != other for one, other in ways)
    assert all(todo["asked"]["listen"][-1] == 60000 for todo in plans.values())
    todo = plans["host2"]["ports"]
    assert len(todo["items"]) == count - 1 + 2  # two ports of the leader
    assert todo["limit"] <= 60 and todo["parallel"] == 32


def hccl(facts: Facts, **changes: object) -> dict[str, set[int]]:
    """The ports of HCCL that are tried, by the host that is asked."""
    found: dict[str, set[int]] = {}
    for one in asked(facts, "ports", **changes):
        if one["setting"] == "HCCL":
            found.setdefault(one["peer"], set()).add(one["port"])
    return found


def test_the_port_of_hccl_is_where_its_variables_put_it_and_one_that_is_free() -> None:
    assert hccl(cluster(2), environment={"HCCL_IF_BASE_PORT": "50000"}) == {"host1": {50000}, "host2": {50000}}
    ranged = {"HCCL_IF_BASE_PORT": "50000", "HCCL_HOST_SOCKET_PORT_RANGE": "52000,51000-51010"}
    assert hccl(cluster(2), environment=ranged) == {"host1": {51000}, "host2": {51000}}
    for unknown in (
        {"HCCL_HOST_SOCKET_PORT_RANGE": "auto"},
        {"HCCL_IF_BASE_PORT": "x"},
        {"HCCL_IF_BASE_PORT": "70000"},
    ):
        assert hccl(cluster(2), environment=unknown) == {}
    taken = cluster(2, host2=healthy_host("host2", 1, listening=(ListeningPort("0.0.0.0", 60000),)))
    assert hccl(taken) == {"host1": {60000}, "host2": {60001}}
    assert hccl(cluster(2), multi_nodes_infer_port=60000) == {"host1": {60001}, "host2": {60000}}


def test_nobody_disturbs_hccl_where_our_deployment_runs() -> None:
    runs = healthy_host("host2", 1, engine=OURS, listening=(ListeningPort("0.0.0.0", 60000),))
    assert set(hccl(cluster(3, host2=runs))) == {"host1", "host3"}
    assert set(hccl(cluster(3, host2=replace(runs, listening=())))) == {"host1", "host3"}


def test_where_a_run_holds_the_lock_nothing_listens_and_nobody_asks() -> None:
    lock = PathState("/var/lib/mindie-deploy/deepseek-r1/lock", True, "file")
    facts = cluster(3, host1=healthy_host("host1", 0, surroundings=surroundings(0, lock=lock)))
    plans = plan(facts)
    assert {one["peer"] for todo in plans.values() for one in todo["asked"]["ports"]} == {"host2", "host3"}
    assert plans["host1"]["asked"]["listen"] == []
    assert asked(facts, "pings")
    found = reach({"asked": plans["host1"]["asked"], "collection": {"items": {}}})
    assert isinstance(found, ReachFacts)
    assert set(found.not_listening) == {1120, 1025, 60000}
    assert all("holds the lock" in reason for reason in found.not_listening.values())


def test_the_listener_of_another_check_takes_no_port() -> None:
    other = healthy_host("host1", 0, listening=(ListeningPort("10.0.0.11", 1120, 77, by_check=True),))
    assert 1120 in listened(planned(cluster(2, host1=other))["host1"])


PING = {"key": "ping/0/host2/0", "npu": 0, "peer": "host2", "peer_npu": 0, "address": "10.10.100.10"}
PORT = {"key": "p", "peer": "host1", "address": "10.0.0.11", "port": 1120, "setting": "mindie_multi_nodes_infer_port"}


def answered(item: object, one: dict[str, object] = PING, **more: object) -> ReachFacts:
    kind = "pings" if one is PING else "ports"
    found = reach({"asked": {kind: [one]}, "collection": {"items": {one["key"]: item}}, **more})
    assert isinstance(found, ReachFacts)
    return found


@pytest.mark.parametrize(("item", "packets"), [
    ({"status": 0, "stdout": sample("hccn/ping-ok-no-banner-typo.txt").text}, (3, 3)),
    ({"status": 1, "stdout": "3 packets transmitted, 2 received, 33.33% packet loss\n", "stderr": "failed"}, (3, 2)),
    ({"status": 1, "stdout": "3 packets transmitted, 0 received, 100.00% packet loss\n"}, (3, 0)),
])  # fmt: skip
def test_packets_of_a_ping(item: dict[str, object], packets: tuple[int, int]) -> None:
    assert answered(item).pings[0].packets == packets


@pytest.mark.parametrize("item", [
    None, 5, {}, {"status": 0, "stdout": ""}, {"status": None, "error": "no answer within 15 s", "timed_out": True},
    {"status": 0, "stdout": "device 5 PING 10.10.100.10\n3 packets transmitted, 3 received, 0.00% packet loss\n"},
    {"status": 0, "stdout": "device 0 PING 10.9.9.9\n3 packets transmitted, 3 received, 0.00% packet loss\n"},
    {"status": 0, "stdout": "3 packets transmitted, 4 received, 0.00% packet loss\n"},
    {"status": 0, "stdout": "3 packets transmitted, 3 received, 0.00% packet loss"},  # cut
])  # fmt: skip
def test_a_ping_that_says_nothing_is_unknown(item: object) -> None:
    assert isinstance(answered(item).pings[0].packets, Unknown)


@pytest.mark.parametrize("outcome", ["answered", "stranger", "refused", "silent", "no-route"])
def test_the_outcome_of_a_connection(outcome: str) -> None:
    found = answered({"outcome": outcome, "says": "words", "error": None}, PORT).ports[0]
    assert (found.outcome, found.says, found.peer, found.port) == (outcome, "words", "host1", 1120)


@pytest.mark.parametrize("item", [None, 5, {}, {"outcome": "answered", "error": "broken"}, {"outcome": "perhaps"},
                                  {"outcome": ["answered"]}])  # fmt: skip
def test_a_connection_that_says_nothing_is_unknown(item: object) -> None:
    assert isinstance(answered(item, PORT).ports[0].outcome, Unknown)


@pytest.mark.parametrize("reached", [{}, {"asked": {}}, {"msg": "Connection closed"}, {"collection": 5, "asked": {}}])
def test_without_a_collection_nothing_is_known(reached: dict[str, object]) -> None:
    found = reach(reached)
    assert isinstance(found, Unknown)
    assert found.reason == reached.get("msg", "the second round trip gave no answer")


@pytest.mark.parametrize("hostile", [5, {"pings": 5, "ports": "x", "listen": "y"}, {"pings": [5, None, {}],
                                     "ports": [[], {"port": "x"}], "listen": [None, "1"],
                                     "not_tried": {"x": 5, 1: 2, "1234567": "y"}}])  # fmt: skip
def test_questions_of_no_known_form_do_no_harm(hostile: object) -> None:
    found = reach({"asked": hostile, "collection": {}, "started": 5, "stopped": {"was_running": "no"}})
    assert isinstance(found, ReachFacts)
    assert found.not_listening == {}


@pytest.mark.parametrize(("listener", "reasons"), [
    ({"started": {"process": {"pid": 5}}, "stopped": {"was_running": True}}, {}),
    ({"started": {"process": {"pid": 5}}, "stopped": {"unreachable": True}}, {}),
    ({"started": {"process": {"pid": 5}, "refused": {"1120": "in use"}}, "stopped": {"was_running": True}},
     {1120: "in use"}),
    ({"started": {"process": {}, "refused": {"1120": "in use", "1025": "in use"}}}, {1120: "in use", 1025: "in use"}),
    ({"started": {"process": {"pid": 5}}, "stopped": {"was_running": False}},
     dict.fromkeys((1120, 1025), ENDED)),
    ({"started": {"failed": True, "msg": "no python"}}, dict.fromkeys((1120, 1025), "no python")),
    ({}, dict.fromkeys((1120, 1025), "no listener was started")),
])  # fmt: skip
def test_where_no_listener_was(listener: dict[str, object], reasons: dict[int, str]) -> None:
    found = reach({"asked": {"listen": [1120, 1025]}, "collection": {"items": {}}, **listener})
    assert isinstance(found, ReachFacts)
    assert found.not_listening == reasons


def test_a_host_is_asked_whatever_else_of_it_is_unknown() -> None:
    odd = replace(healthy_host("host2", 1), system=UNKNOWN, overview=UNKNOWN, engine=UNKNOWN, weights=UNKNOWN)
    assert len(asked(cluster(2, host2=odd))) == 16

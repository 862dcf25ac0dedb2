"""The second round trip: what is asked, planned from the facts, and what the answers say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mindie_deploy.hosts.facts import HostFacts, ListeningPort, ReachFacts, Unknown
from mindie_deploy.hosts.questions import PING_TIMEOUT_S, listened, listening_seconds, questions
from mindie_deploy.hosts.reach import reach
from mindie_deploy.hosts.targets import targets
from mindie_deploy.preflight.finding import Unreachable
from tests.hosts.samples import ROOT, sample
from tests.preflight.builders import (
    NPUS,
    UNKNOWN,
    cluster,
    engine,
    healthy_host,
    hosts_of,
    own_container,
    ports,
    settings,
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
    items = plan(cluster(4))["host2"]["collect"]["items"]
    commands = [one for one in items if "command" in one]
    assert {one["exclusive"] for one in commands} == {f"hccn/{npu}" for npu in NPUS}
    assert commands[0]["command"] == ["hccn_tool", "-i", "0", "-ping", "-g", "address", "29.1.0.13"]
    assert all(one["timeout"] and one["retries"]["patterns"] for one in commands)


def test_the_limit_follows_the_peers_of_one_npu_and_not_all_pings() -> None:
    few, many = plan(cluster(2))["host1"]["collect"], plan(cluster(8))["host1"]["collect"]
    assert len(many["items"]) == 7 * len(few["items"])
    assert many["limit"] - few["limit"] == 6 * PING_TIMEOUT_S


@pytest.mark.parametrize(
    ("sample", "again"), [("ping-ok-0", False), ("ping-loss-33-1", True), ("ping-link-down-3", False)]
)
def test_what_arrives_in_part_is_asked_again_and_what_is_lost_is_not(sample: str, again: bool) -> None:
    text = "".join((ROOT / "generated" / "hccn_tool" / f"{sample}.{name}").read_text() for name in ("stdout", "stderr"))
    ping = next(one for one in plan(cluster(2))["host1"]["collect"]["items"] if "command" in one)
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


def test_without_the_leader_none_of_its_ports_is_tried() -> None:
    assert asked(cluster(3, host1=Unreachable("x")), "ports") == []


def test_the_ports_of_the_leader() -> None:
    tried = asked(cluster(3), "ports")
    assert [(one["from"], one["peer"], one["address"], one["port"], one["expect"]) for one in tried] == [
        (name, "host1", "10.0.0.11", port, "word") for name in ("host2", "host3") for port in (1120, 1025)
    ]
    torch = {
        one["setting"] for one in asked(cluster(2), "ports", backend_type="torch", environment={"HCCL_BUFFSIZE": "512"})
    }
    assert torch == {"mindie_multi_nodes_infer_port", "mindie_master_port", "mindie_port"}


def test_the_port_of_the_weights_is_tried_where_they_have_to_be_copied() -> None:
    empty = cluster(3, host2=healthy_host("host2", 1, weights=weights({})))
    tried = asked(empty, "ports", weights_source="host:host3:/r1")
    assert {(one["from"], one["peer"]) for one in tried if one["setting"] == "mindie_weights_port"} == {
        ("host1", "host3"),
        ("host2", "host3"),
    }
    assert "host3" not in {one["peer"] for one in asked(cluster(3), "ports", weights_source="host:host3:/r1")}


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
    assert {one["port"]: one["expect"] for one in asked(facts, "ports")} == tried
    assert listened(planned(facts)["host1"]) == listened_on


def test_a_listener_lives_as_long_as_the_hosts_take_one_after_another() -> None:
    found = planned(cluster(8))
    at_once, one_by_one = (listening_seconds(found, settings(), forks) for forks in (64, 1))
    limit = plan(cluster(8))["host1"]["collect"]["limit"]
    assert limit < at_once < one_by_one
    assert one_by_one >= 8 * limit
    assert listening_seconds(found, settings(check_pings="off"), 1) < one_by_one
    assert listening_seconds(planned(cluster(64)), settings(check_pings="full"), 1) == 3600


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
                                     "ports": [[], {"port": "x"}], "listen": [None, "1"]}])  # fmt: skip
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
     dict.fromkeys((1120, 1025), "the listener ended before it was told to")),
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

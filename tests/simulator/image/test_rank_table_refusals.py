"""The rank table: what the daemon refuses, what only a worker notices, what nobody does (ranktable_config.cpp)."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.image.conftest import MakeGang
from tests.simulator.image.gang import Host, eventually

Spoil = Callable[[dict[str, Any]], None]


def put(*path: Any, value: Any) -> Spoil:
    def spoil(table: dict[str, Any]) -> None:
        target: Any = table
        for key in path[:-1]:
            target = target[key]
        if value is None:
            del target[path[-1]]
        else:
            target[path[-1]] = value

    return spoil


SERVER0 = ("server_list", 0)
DEVICE0 = (*SERVER0, "device", 0)

DAEMON_REFUSES: list[tuple[str, Spoil, str]] = [
    ("count as integer", put("server_count", value=2), "Invalid server_count in ranktable file"),
    ("count missing", put("server_count", value=None), "Invalid server_count in ranktable file"),
    ("count not a number", put("server_count", value="two"), "Invalid server_count in ranktable file"),
    ("count differs", put("server_count", value="3"), "which is not equal to server_list length"),
    ("count of one", put("server_count", value="1"), "server_count must be in range [2, 60], but got 1"),
    ("list missing", put("server_list", value=None), "Parameter server_list is invalid"),
    ("server_id a number", put(*SERVER0, "server_id", value=1), "Parameter server_id in ranktable file should be"),
    ("container_ip missing", put(*SERVER0, "container_ip", value=None), "The containerIp in the server node is empty"),
    ("container_ip empty", put(*SERVER0, "container_ip", value=""), "The containerIp in the server node is empty"),
    ("unequal devices", put(*DEVICE0, value=None), "which not equal in ranktable file"),
    ("device_id a number", put(*DEVICE0, "device_id", value=0), "Parameter device_id in ranktable file should be"),
    ("device_id 64", put(*DEVICE0, "device_id", value="64"), "out of allow range [0, 63]"),
    ("rank_id a number", put(*DEVICE0, "rank_id", value=0), "Parameter rank_id in ranktable file should be"),
    ("rank_id 512", put(*DEVICE0, "rank_id", value="512"), "out of allow range [0, 511]"),
    ("placeholder", put(*DEVICE0, "device_ip", value="-.-.-.-"), "Parameter device_ip is invalid in ranktable file."),
    ("unspecified", put(*DEVICE0, "device_ip", value="0.0.0.0"), "Parameter device_ip is invalid in ranktable file."),
    ("device_ip missing", put(*DEVICE0, "device_ip", value=None), "Parameter device_ip in ranktable file should be"),
]


@pytest.mark.parametrize(("name", "spoil", "fragment"), DAEMON_REFUSES, ids=[row[0] for row in DAEMON_REFUSES])
def test_daemon_refuses(follower: Host, name: str, spoil: Spoil, fragment: str) -> None:
    spoil(follower.table)
    assert follower.start().status() == 137
    assert fragment in follower.out()
    assert "ConfigManager init exception: init rank table config error." in follower.out()


def test_empty_list_is_a_crash(follower: Host) -> None:
    follower.table["server_list"] = []
    assert follower.start().status() == 139


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_not_json(follower: Host, text: str) -> None:
    follower.write()
    follower.table_path.write_text(text)
    assert follower.start(write=False).status() == 137


def test_unset_variable_and_one_that_is_too_long(follower: Host) -> None:
    follower.environ["RANK_TABLE_FILE"] = "/" + "r" * 256
    assert follower.start().status() == 137
    assert "please set a valid ranktable file path with RANK_TABLE_FILE" in follower.out()


def test_an_address_that_matches_nothing_is_told_as_repeated_ids(follower: Host) -> None:
    follower.environ["MIES_CONTAINER_IP"] = "127.0.0.99"
    assert follower.start().status() == 137
    assert "npuDeviceID does not allow repetitive element" in follower.out()


def test_host_ip_also_matches(follower: Host) -> None:
    follower.environ["MIES_CONTAINER_IP"] = "127.0.0.99"
    follower.environ["HOST_IP"] = follower.address
    # It goes on to the rendezvous and gives up there.
    assert follower.start().status() == 134


def test_without_the_variable_the_host_name_is_looked_up(follower: Host) -> None:
    del follower.environ["MIES_CONTAINER_IP"]
    assert follower.start().status() == 137
    assert "The env variable MIES_CONTAINER_IP isn't exist." in follower.out()


def test_repeated_device_id_is_seen_on_its_own_host_only(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    follower.knobs["register_tries"] = 1
    leader.table["server_list"][0]["device"][1]["device_id"] = "0"
    assert leader.start().status() == 137
    assert "npuDeviceID does not allow repetitive element" in leader.out()
    assert follower.start().status() == 134
    assert "Finished parsing ranktable file." in follower.out()


def test_a_single_node_ignores_the_table(single: Host) -> None:
    single.environ["RANK_TABLE_FILE"] = "/nonexistent/ranktable.json"
    single.start().ready()
    assert "Start to parse ranktable file" not in single.out()


@pytest.mark.parametrize(
    ("spoil", "fragment"),
    [
        (put(*SERVER0, "server_id", value="host1"), "server_id host1 in rank table is not an IP address"),
        (put("server_list", 1, "device", 1, "rank_id", value="9"), "rank_id should be less than the number of devices"),
    ],
)
def test_only_a_worker_notices(make_gang: MakeGang, spoil: Spoil, fragment: str) -> None:
    leader, follower = make_gang(2)
    spoil(leader.table)
    for host in (leader, follower):
        host.start()
    assert leader.status() == 134
    assert follower.status() == 134
    assert fragment in leader.err()


def test_no_rank_zero_makes_everybody_a_follower(make_gang: MakeGang) -> None:
    host = make_gang(2)[0]
    for server in host.table["server_list"]:
        for device in server["device"]:
            device["rank_id"] = str(int(device["rank_id"]) + 1)
    assert host.start().status() == 134
    assert "rank_id should be less than the number of devices 4, got 4" in host.err()


def test_nobody_notices_repeated_ranks_and_it_hangs(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    leader.table["server_list"][1]["device"][1]["rank_id"] = "2"
    for host in (leader, follower):
        host.start()
    eventually(lambda: "waiting for the other ranks" in leader.log())
    time.sleep(0.5)
    assert leader.alive() and follower.alive()


def test_different_bytes_on_two_hosts(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    follower.table = copy.deepcopy(leader.table) | {"version": "1.0 "}
    for host in (leader, follower):
        host.start()
    assert leader.status() == 134
    assert "EI0005" in leader.err()
    assert follower.status() == 134


def test_device_address_that_the_npu_does_not_have(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    follower.knobs["device_ips"] = {"0": "10.0.1.1", "1": "10.9.9.9"}
    for host in (leader, follower):
        host.start()
    assert follower.status() == 134
    assert "EJ0004" in follower.err()

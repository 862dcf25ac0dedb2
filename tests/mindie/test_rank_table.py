"""The rank table and what keeps one from being made."""

from __future__ import annotations

import json

import pytest

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.errors import ExitCode
from mindie_deploy.mindie.rank_table import RankTableError, rank_table, rank_table_text

Addresses = dict[str, dict[int, str]]


def refused(hosts: list[Host], addresses: Addresses, npus: int = 8) -> list[str]:
    with pytest.raises(RankTableError) as caught:
        rank_table(hosts, addresses, npus)
    assert caught.value.exit_code is ExitCode.CHECK_FAILED
    return caught.value.problems


def test_four_hosts(hosts: list[Host], addresses: Addresses) -> None:
    table = json.loads(rank_table_text(rank_table(hosts, addresses, 8)))
    assert (table["version"], table["server_count"], table["status"]) == ("1.0", "4", "completed")
    assert [server["container_ip"] for server in table["server_list"]] == [host.address for host in hosts]
    assert all(server["server_id"] == server["container_ip"] for server in table["server_list"])
    devices = [device for server in table["server_list"] for device in server["device"]]
    assert [device["rank_id"] for device in devices] == [str(rank) for rank in range(32)]
    assert [device["device_id"] for device in devices] == [str(index) for index in range(8)] * 4
    assert len({device["device_ip"] for device in devices}) == 32


def test_device_indexes_that_became_text_in_json_and_lost_their_order(hosts: list[Host], addresses: Addresses) -> None:
    through_json = json.loads(json.dumps({name: dict(reversed(item.items())) for name, item in addresses.items()}))
    assert rank_table(hosts, through_json, 8) == rank_table(hosts, addresses, 8)


def test_a_missing_address_names_host_and_npu(hosts: list[Host], addresses: Addresses) -> None:
    del addresses["atlas3"][5]
    assert refused(hosts, addresses) == ["host atlas3, NPU 5: no address"]


@pytest.mark.parametrize("address", ["-.-.-.-", "", "NA", "127.0.0.1", "0.0.0.0", "224.0.0.1", "10.0.0.01", "10.0.0"])
def test_a_placeholder_is_never_rendered(hosts: list[Host], addresses: Addresses, address: str) -> None:
    addresses["atlas2"][0] = address
    (problem,) = refused(hosts, addresses)
    assert problem.startswith(f'host atlas2, NPU 0: address "{address}"')


def test_a_duplicate_names_both_places(hosts: list[Host], addresses: Addresses) -> None:
    addresses["atlas4"][7] = addresses["atlas1"][0]
    assert refused(hosts, addresses) == [
        "address 198.51.100.1 is used twice: NPU 0 of host atlas1 and NPU 7 of host atlas4"
    ]


def test_a_host_without_facts_and_a_host_with_too_many(hosts: list[Host], addresses: Addresses) -> None:
    del addresses["atlas1"]
    addresses["atlas2"][8] = "198.51.100.200"
    problems = refused(hosts, addresses)
    assert problems[0] == "host atlas1: no address of any NPU is known"
    assert "NPU 8 is beyond the 8 NPUs" in problems[1]


def test_everything_wrong_is_said_at_once(hosts: list[Host], addresses: Addresses) -> None:
    addresses["atlas1"][0] = "-.-.-.-"
    addresses["atlas2"][1] = addresses["atlas2"][2]
    addresses["atlas3"][3] = "2001:db8::1"
    del addresses["atlas4"][4]
    assert len(refused(hosts, addresses)) == 4


def test_loopback_hosts_make_no_cluster(addresses: Addresses) -> None:
    hosts = [Host("atlas1", "127.0.0.1", 0), Host("atlas2", "192.0.2.2", 1)]
    assert "loopback" in refused(hosts, addresses)[0]

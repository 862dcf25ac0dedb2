"""Hosts in rank order from an inventory."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mindie_deploy.cluster.hosts import Host, hosts_in_rank_order
from mindie_deploy.errors import UsageError


def test_order_of_the_inventory_is_the_rank_order() -> None:
    variables = {"b": {"ansible_host": "192.0.2.2"}, "a": {"ansible_host": "192.0.2.1"}}
    hosts = hosts_in_rank_order(["b", "a"], variables)
    assert hosts == (Host("b", "192.0.2.2", 0), Host("a", "192.0.2.1", 1))
    assert [host.is_leader for host in hosts] == [True, False]


def test_own_address_wins_then_ansible_host_then_the_name() -> None:
    variables: dict[str, dict[str, object]] = {
        "a": {"ansible_host": "jump-a", "mindie_host_address": "10.0.0.1"},
        "b": {"ansible_host": "10.0.0.2"},
        "10.0.0.3": {},
        "c": {"ansible_host": "", "mindie_host_address": "10.0.0.4"},
    }
    hosts = hosts_in_rank_order(list(variables), variables)
    assert [host.address for host in hosts] == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]


@pytest.mark.parametrize(
    ("names", "variables", "said"),
    [
        ([], {}, "empty"),
        (["a"], {}, '"a" is not an IP address'),
        (["a"], {"a": {"ansible_host": "atlas1.example"}}, '"atlas1.example" is not an IP address'),
        (["a"], {"a": {"ansible_host": "10.0.0.300"}}, "is not an IP address"),
        (["a"], {"a": {"ansible_host": "0.0.0.0"}}, "not the address of a host"),
        (["a"], {"a": {"ansible_host": "224.0.0.1"}}, "not the address of a host"),
        (["a"], {"a": {"ansible_host": "fe80::1%eth0"}}, "not the address of a host"),
        (["a"], {"a": {"ansible_host": 5}}, "is not an IP address"),
        (["a", "a"], {"a": {"ansible_host": "10.0.0.1"}}, "listed twice"),
        (
            ["a", "b"],
            {"a": {"ansible_host": "10.0.0.1"}, "b": {"mindie_host_address": "10.0.0.1"}},
            "hosts a and b have the same address 10.0.0.1",
        ),
        (
            ["a", "b"],
            {"a": {"ansible_host": "2001:db8::1"}, "b": {"ansible_host": "2001:db8:0::1"}},
            "have the same address 2001:db8::1",
        ),
        (["a", "b"], {"a": {"ansible_host": "2001:db8::1"}, "b": {"ansible_host": "10.0.0.1"}}, "mixed"),
    ],
)
def test_an_inventory_that_cannot_be_deployed_is_refused(
    names: list[str], variables: Mapping[str, Mapping[str, object]], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        hosts_in_rank_order(names, variables)
    assert said in caught.value.message
    assert caught.value.remedy

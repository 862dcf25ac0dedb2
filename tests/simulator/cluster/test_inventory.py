"""The inventory is one that a user could have written: addresses, keys, host key checking on."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import yaml
from simulated_cluster import inventory
from simulated_cluster.keys import Keys

SUBNET = IPv4Network("172.31.5.0/24")


def test_hosts_are_listed_in_rank_order_with_addresses(tmp_path: Path) -> None:
    directory = inventory.write(tmp_path, ("host1", "host2"), SUBNET, Keys(tmp_path), 8)
    group = yaml.safe_load((directory / "hosts.yml").read_text(encoding="utf-8"))["all"]["children"]["mindie"]
    assert list(group["hosts"].items()) == [
        ("host1", {"ansible_host": "172.31.5.11"}),
        ("host2", {"ansible_host": "172.31.5.12"}),
    ]
    assert group["vars"]["ansible_user"] == "root"
    assert group["vars"]["ansible_python_interpreter"] == "/usr/bin/python3"
    assert group["vars"]["ansible_ssh_private_key_file"] == str(tmp_path / "ssh" / "id_ed25519")


def test_unknown_host_keys_are_refused(tmp_path: Path) -> None:
    document = inventory.hosts_document(("host1",), SUBNET, Keys(tmp_path))
    arguments = document["all"]["children"]["mindie"]["vars"]["ansible_ssh_common_args"].split()
    assert "-oStrictHostKeyChecking=yes" in arguments
    assert f"-oUserKnownHostsFile={tmp_path}/ssh/known_hosts" in arguments


def test_parallel_sizes_follow_the_number_of_hosts(tmp_path: Path) -> None:
    for count, npus in ((1, 8), (2, 8), (4, 8), (3, 4)):
        settings = inventory.settings_document(tmp_path, count, npus)
        assert settings["mindie_data_parallel_size"] * settings["mindie_tensor_parallel_size"] == npus * count
        assert settings["mindie_moe_tensor_parallel_size"] * settings["mindie_moe_expert_parallel_size"] == npus * count


def test_the_product_accepts_the_settings(tmp_path: Path) -> None:
    from mindie_deploy.cluster.settings import Settings

    settings = Settings.from_variables(inventory.settings_document(tmp_path, 4, 8))
    assert settings.image == inventory.IMAGE


def test_an_unchanged_inventory_is_not_written_again(tmp_path: Path) -> None:
    path = inventory.write(tmp_path, ("host1",), SUBNET, Keys(tmp_path), 8) / "hosts.yml"
    before = path.stat().st_ino
    inventory.write(tmp_path, ("host1",), SUBNET, Keys(tmp_path), 8)
    assert path.stat().st_ino == before

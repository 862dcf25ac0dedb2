from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mindie_deploy.errors import UsageError
from mindie_deploy.runs.deployment import read_deployment, resolved
from mindie_deploy.runs.inventory import InventoryError, inventory_sources, read_inventory
from tests.runs.stub_content import StubContent


def test_the_default_inventory_is_in_the_working_directory(content: StubContent) -> None:
    with pytest.raises(UsageError, match="no inventory") as caught:
        inventory_sources(())
    assert "mindie-deploy init" in caught.value.remedy
    Path("inventory").mkdir()
    assert inventory_sources(()) == (str(Path.cwd() / "inventory"),)


def test_paths_are_taken_from_the_working_directory(content: StubContent) -> None:
    Path("mine").mkdir()
    assert inventory_sources(["mine", "a,b"]) == (str(Path.cwd() / "mine"), "a,b")
    with pytest.raises(UsageError, match="does not exist"):
        inventory_sources(["yours"])


def test_hosts_come_in_the_order_of_the_group(content: StubContent) -> None:
    path = content.directory / "hosts.yml"
    path.write_text(
        "all:\n  children:\n    mindie:\n      hosts:\n        zulu: {ansible_host: 192.0.2.9}\n"
        "        alpha: {ansible_host: 192.0.2.1}\n      children:\n"
        "        more: {hosts: {mike: {ansible_host: 192.0.2.5}}}\n"
    )
    assert read_inventory([str(path)]).hosts == ("zulu", "alpha", "mike")


def test_an_inventory_without_the_group_is_an_error(content: StubContent) -> None:
    Path("hosts.yml").write_text("all:\n  children:\n    servers:\n      hosts: {a: {}}\n")
    with pytest.raises(InventoryError, match=r"no host in the group mindie; its groups are servers"):
        read_inventory(["hosts.yml"])


@pytest.mark.parametrize("name", ["hosts.yml", "group_vars/all.yml"])
def test_a_yaml_error_names_file_line_and_column(content: StubContent, name: str) -> None:
    inventory = content.inventory()
    text = (inventory / name).read_text()
    (inventory / name).write_text(text + "broken: [1, 2\nnext: 3\n")
    line = text.count("\n") + 2
    with pytest.raises(InventoryError, match=rf"{name}:{line}:\d+ is not YAML"):
        read_inventory([str(inventory)])


def test_a_source_that_ansible_would_skip_is_an_error(content: StubContent) -> None:
    inventory = content.inventory()
    (inventory / "more").write_text("[mindie\nnonsense here\n")
    with pytest.raises(InventoryError):
        read_inventory([str(inventory)])


def test_settings_are_validated_with_key_value_rule_and_file(content: StubContent) -> None:
    inventory = content.inventory(settings={"mindie_port": "1025", "mindie_prot": 7})
    with pytest.raises(UsageError) as caught:
        read_deployment([str(inventory)])
    told = caught.value.message
    assert "2 settings are wrong" in told
    assert 'mindie_port = "1025"' in told
    assert "did you mean mindie_port?" in told
    assert "group_vars/all.yml:3" in told
    assert "nothing was touched" in caught.value.remedy


def test_sizes_that_do_not_match_the_hosts_are_wrong_settings(content: StubContent) -> None:
    with pytest.raises(UsageError, match="dp x tp"):
        read_deployment([str(content.inventory(settings={"mindie_data_parallel_size": 8}))])


def test_templates_are_left_to_ansible(content: StubContent) -> None:
    inventory = content.inventory(settings={"mindie_port": "{{ 1000 + 25 }}"})
    deployment = read_deployment([str(inventory)])
    assert deployment.settings is None
    told = {"settings": {"port": 1030}, "hosts": [{"name": "host1", "address": "192.0.2.1", "rank": 0}]}
    known = resolved(deployment, told)
    assert known.settings is not None
    assert known.settings.port == 1030


def test_ssh_may_ask_nothing_unless_passwords_are_used(content: StubContent) -> None:
    assert "BatchMode" in read_deployment([str(content.inventory())]).ssh_environment["ANSIBLE_SSH_EXTRA_ARGS"]
    assert read_deployment([str(content.inventory(ansible_password="geheim"))]).ssh_environment == {}


def test_an_encrypted_inventory_without_its_password_says_so(content: StubContent) -> None:
    inventory = content.inventory()
    (inventory / "group_vars" / "vault.yml").write_text("x: 1\n")
    (inventory / "group_vars" / "all.yml").unlink()
    (inventory / "group_vars" / "all.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3061\n")
    with pytest.raises(InventoryError, match=r"vault|encrypted"):
        read_inventory([str(inventory)])


def test_a_wrong_vault_password_is_told_as_such(content: StubContent, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory, right, wrong = content.inventory(), content.directory / "right", content.directory / "wrong"
    right.write_text("a")
    wrong.write_text("b")
    vault = [str(Path(sys.executable).with_name("ansible-vault")), "encrypt", "--vault-password-file", str(right)]
    subprocess.run([*vault, str(inventory / "group_vars" / "all.yml")], check=True, capture_output=True)
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(right))
    assert read_inventory([str(inventory)]).hosts == ("host1", "host2")
    for path in (wrong, content.directory / "missing"):
        monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(path))
        with pytest.raises(InventoryError) as told:
            read_inventory([str(inventory)])
        assert "ANSIBLE_VAULT_PASSWORD_FILE" in told.value.remedy, told.value.message

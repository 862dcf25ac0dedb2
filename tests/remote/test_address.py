from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.errors import UsageError
from mindie_deploy.remote.address import Address, address_of


def read(tmp_path: Path, config: str = "", **variables: Any) -> Address:
    (tmp_path / ".ssh").mkdir(exist_ok=True)
    (tmp_path / ".ssh" / "config").write_text(config)
    environment = {"HOME": str(tmp_path)}
    return address_of("host1", variables, inventory_directory=Path("/inv"), environment=environment)


def test_the_name_is_enough(tmp_path: Path) -> None:
    address = read(tmp_path)
    assert (address.host, address.port, address.user, address.strict) == ("host1", 22, None, True)
    assert address.known_hosts[0] == str(tmp_path / ".ssh" / "known_hosts")


def test_ansibles_variables_win_over_options_and_those_over_ssh_config(tmp_path: Path) -> None:
    config = "Host 10.0.0.1\n  User fromconfig\n  Port 2222\n  IdentityFile /config/key\n  ProxyJump gate:2200\n"
    address = read(tmp_path, config, ansible_host="10.0.0.1")
    assert (address.user, address.port, address.key_files) == ("fromconfig", 2222, ("/config/key",))
    assert address.proxy_command == "ssh -o BatchMode=yes -p 2200 -W 10.0.0.1:2222 gate"
    address = read(
        tmp_path, config, ansible_host="10.0.0.1", ansible_ssh_common_args="-o Port=2300 -o 'User opt' -i /opt/key"
    )
    assert (address.user, address.port, address.key_files) == ("opt", 2300, ("/opt/key",))
    address = read(tmp_path, config, ansible_host="10.0.0.1", ansible_user="me", ansible_port="2400")
    assert (address.user, address.port) == ("me", 2400)


def test_options_are_read_in_all_their_spellings(tmp_path: Path) -> None:
    arguments = '-oUserKnownHostsFile=/a -o "StrictHostKeyChecking no" -C -oIdentitiesOnly=yes -J u@gate'
    address = read(tmp_path, ansible_ssh_common_args=arguments)
    assert address.known_hosts == ("/a",)
    assert not address.strict
    assert address.proxy_command is not None
    assert address.proxy_command.endswith("-W host1:22 u@gate")


def test_templates_of_other_variables_are_resolved(tmp_path: Path) -> None:
    address = read(
        tmp_path, ansible_ssh_private_key_file="{{ inventory_dir }}/{{ name }}", name="keys/{{ inventory_hostname }}"
    )
    assert address.key_files == ("/inv/keys/host1",)


@pytest.mark.parametrize(
    ("value", "words"),
    [("{{ lookup('env', 'X') }}", "cannot be resolved"), ({"__ansible_vault": "..."}, "is encrypted")],
)
def test_what_only_ansible_can_resolve_is_said(tmp_path: Path, value: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(tmp_path, ansible_user=value)

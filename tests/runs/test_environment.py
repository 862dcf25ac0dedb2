from __future__ import annotations

from pathlib import Path

import pytest

from mindie_deploy.content import content_directory
from mindie_deploy.runs.environment import ansible_environment, find_configuration, forks_for, without_prompts


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home")}


def test_our_configuration_is_used_where_the_operator_has_none(home: dict[str, str], tmp_path: Path) -> None:
    added = ansible_environment(home, tmp_path)
    content = content_directory()
    assert added["ANSIBLE_CONFIG"] == str(content / "ansible.cfg")
    assert added["ANSIBLE_ROLES_PATH"].startswith(str(content / "roles"))
    assert added["ANSIBLE_HOST_KEY_CHECKING"] == "True"


@pytest.mark.parametrize("where", ["variable", "directory", "home"])
def test_the_operators_own_configuration_wins_and_our_paths_are_added(
    home: dict[str, str], tmp_path: Path, where: str
) -> None:
    text = "[defaults]\nroles_path = own/roles:/abs/roles\nforks = 3\nhost_key_checking = no ; because\n"
    path = {
        "variable": tmp_path / "x.cfg",
        "directory": tmp_path / "ansible.cfg",
        "home": Path(home["HOME"]) / ".ansible.cfg",
    }[where]
    path.write_text(text)
    base = {**home, **({"ANSIBLE_CONFIG": str(path)} if where == "variable" else {})}
    added = ansible_environment(base, tmp_path)
    assert added["ANSIBLE_CONFIG"] == str(path)
    assert added["ANSIBLE_ROLES_PATH"] == f"{content_directory() / 'roles'}:{path.parent}/own/roles:/abs/roles"
    assert added["ANSIBLE_HOST_KEY_CHECKING"] == "no"
    assert added["ANSIBLE_PIPELINING"] == "True"
    assert "ServerAliveInterval" in added["ANSIBLE_SSH_ARGS"]
    assert forks_for(2, base, tmp_path) == 3
    assert forks_for(8, base, tmp_path) == 8


def test_a_configuration_that_everybody_may_write_is_not_used(home: dict[str, str], tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "ansible.cfg").write_text("[defaults]\n")
    assert find_configuration(home, shared).ours


def test_the_operators_environment_wins(home: dict[str, str], tmp_path: Path) -> None:
    base = {**home, "ANSIBLE_HOST_KEY_CHECKING": "0", "ANSIBLE_LIBRARY": "/own", "ANSIBLE_FORKS": "7"}
    added = ansible_environment(base, tmp_path)
    assert "ANSIBLE_HOST_KEY_CHECKING" not in added
    assert added["ANSIBLE_LIBRARY"].endswith(":/own")
    assert forks_for(4, base, tmp_path) == 7
    assert forks_for(4, home, tmp_path) == 64


def test_the_operators_own_words_for_ssh_win(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("[ssh_connection]\nssh_args = -o ControlMaster=no\n")
    assert "ANSIBLE_SSH_ARGS" not in ansible_environment(home, tmp_path)
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    assert "ANSIBLE_SSH_ARGS" not in ansible_environment({**home, "ANSIBLE_SSH_ARGS": "-C"}, tmp_path)


def test_ssh_asks_nothing() -> None:
    assert without_prompts({}) == {"ANSIBLE_SSH_EXTRA_ARGS": "-o BatchMode=yes"}
    assert without_prompts({"ANSIBLE_SSH_EXTRA_ARGS": "-v"})["ANSIBLE_SSH_EXTRA_ARGS"] == "-v -o BatchMode=yes"

"""What needs no host: init, explain, help, wrong usage, wrong inventories."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mindie_deploy.cli.application import run
from mindie_deploy.runs.deployment import read_deployment
from tests.runs.stub_content import StubContent


@pytest.fixture(autouse=True)
def elsewhere(content: StubContent) -> None:
    """Every test runs in an empty working directory."""


def test_init_writes_an_inventory_that_is_valid_and_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "10.0.0.11", "anna@10.0.0.12:2222", "10.0.0.[13-14]", "--user", "ops"]) == 0
    told = capsys.readouterr()
    assert "rank 0  atlas1  10.0.0.11  (leader)" in told.out
    assert "next: " in told.err
    deployment = read_deployment(["inventory"])
    assert deployment.names == ("atlas1", "atlas2", "atlas3", "atlas4")
    assert deployment.settings is not None
    assert deployment.settings.moe_expert_parallel_size == 32
    variables = deployment.inventory.variables
    assert (variables["atlas2"]["ansible_user"], variables["atlas2"]["ansible_port"]) == ("anna", 2222)
    assert variables["atlas4"]["ansible_user"] == "ops"


def test_init_overwrites_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("inventory").mkdir()
    Path("inventory/mine.yml").write_text("mine")
    assert run(["init", "10.0.0.11"]) == 2
    assert "is not overwritten" in capsys.readouterr().err
    assert [path.name for path in Path("inventory").iterdir()] == ["mine.yml"]


@pytest.mark.parametrize(
    "hosts",
    [
        ["10.0.0.1", "10.0.0.1"],
        ["a b"],
        ["10.0.0.[4-1]"],
        ["10.0.0.[1-99]"],
        ["no-such-host.invalid"],
        ["localhost"],
        ["h:99999"],
        ["1", "2"],
    ],
)
def test_init_refuses_what_no_deployment_can_be_made_of(hosts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", *hosts]) == 2
    assert "next: " in capsys.readouterr().err
    assert not Path("inventory").exists()


def test_init_into_a_place_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert run(["init", "10.0.0.1", "-o", "file/inventory"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_init_of_another_number_of_hosts_fits_the_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "10.0.0.1", "10.0.0.2", "-o", "two"]) == 0
    settings = yaml.safe_load(Path("two/group_vars/all.yml").read_text())
    assert (settings["mindie_data_parallel_size"], settings["mindie_moe_expert_parallel_size"]) == (2, 16)
    assert "mindie-deploy check -i two" in capsys.readouterr().err


def test_explain_knows_checks_and_causes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "hccn.link-up"]) == 0
    assert "hccn_tool" in capsys.readouterr().out
    assert run(["explain", "exit-137", "--json"]) in (0, 2)
    capsys.readouterr()
    assert run(["explain", "hccn.link-upp", "--json"]) == 2
    told = capsys.readouterr()
    assert "hccn.link-up" in json.loads(told.out)["next"]
    assert run(["explain", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert "hccn.link-up" in listed["checks"]
    assert "exit-137" in listed["causes"]


@pytest.mark.parametrize("words", [["up", "--nope"], ["nonesuch"], ["logs", "--tail", "-1"]])
def test_a_wrong_command_line_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["init", "check", "fix", "sync", "plan", "up", "status", "logs", "chat", "down", "explain", "config", "lock"],
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["check"], ["up", "--yes"], ["status"], ["logs"], ["down", "--yes"], ["lock", "status"]]
)
def test_without_an_inventory_the_remedy_is_init(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command) == 2
    assert "next: write one with: mindie-deploy init" in capsys.readouterr().err


def test_a_wrong_setting_ends_with_2_before_any_playbook_runs(
    content: StubContent, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    inventory = content.inventory(settings={"mindie_tensor_parallel_size": 7})
    assert run(["up", "--yes", "-i", str(inventory)]) == 2
    told = capsys.readouterr().err
    assert "mindie_tensor_parallel_size" in told
    assert "group_vars/all.yml:" in told
    assert not (tmp_path / "state").exists()


def test_a_yaml_error_ends_with_2_and_names_the_line(content: StubContent, capsys: pytest.CaptureFixture[str]) -> None:
    inventory = content.inventory()
    (inventory / "group_vars" / "all.yml").write_text("---\nmindie_port: 1025\n  mindie_image: x\n")
    assert run(["check", "--json", "-i", str(inventory)]) == 2
    told = json.loads(capsys.readouterr().out)
    assert "group_vars/all.yml:3" in told["error"]
    assert told["exit_code"] == 2


def test_ctrl_c_outside_of_a_playbook_has_its_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_words: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mindie_deploy.cli.command_check.session", interrupted)
    assert run(["check"]) == 130
    assert "cancelled; nothing of this run goes on" in capsys.readouterr().err


def test_as_a_program_from_any_directory(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "mindie_deploy.cli.main"]
    done = subprocess.run([*program, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("mindie-deploy ")
    done = subprocess.run([*program, "check"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "\x1b" not in done.stderr

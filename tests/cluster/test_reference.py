"""The inventory of the reference cluster says what the declarations say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mindie_deploy.cluster.hosts import hosts_in_rank_order
from mindie_deploy.cluster.parallel import validate
from mindie_deploy.cluster.reference import WIDTH, main, render_group_vars
from mindie_deploy.cluster.schema import rule_text
from mindie_deploy.cluster.settings import GROUPS, Settings

INVENTORY = Path(__file__).parents[2] / "inventory"


def test_group_vars_are_generated() -> None:
    text = (INVENTORY / "group_vars" / "all.yml").read_text(encoding="utf-8")
    assert text == render_group_vars(), "run: python -m mindie_deploy.cluster.reference > inventory/group_vars/all.yml"


def test_group_vars_hold_every_setting_with_its_default() -> None:
    values = yaml.safe_load(render_group_vars())
    assert list(values) == [f"mindie_{name}" for group in GROUPS for name in group.model_fields]
    assert set(values) == {f"mindie_{name}" for name in Settings.model_fields}
    assert Settings.from_variables(values) == Settings()


def test_every_setting_has_a_meaning_and_a_range() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert rule_text(field), name


def test_given_values_are_written_and_come_back() -> None:
    settings = Settings.from_variables({"mindie_ready_prompt": 'Say "你好": {x} # 1', "mindie_environment": {"A": "1"}})
    text = render_group_vars(settings, only={"ready_prompt", "environment"})
    values = yaml.safe_load(text)
    assert list(values) == ["mindie_environment", "mindie_ready_prompt"]
    assert Settings.from_variables(values) == settings


def test_lines_are_short() -> None:
    comments = [line for line in render_group_vars().splitlines() if line.startswith("#")]
    assert max(len(line) for line in comments) <= WIDTH


def test_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert capsys.readouterr().out == render_group_vars()


def test_the_hosts_of_the_inventory_fit_its_settings() -> None:
    inventory = yaml.safe_load((INVENTORY / "hosts.yml").read_text(encoding="utf-8"))
    listed = inventory["all"]["children"]["mindie"]["hosts"]
    hosts = hosts_in_rank_order(list(listed), listed)
    assert [(host.name, host.rank) for host in hosts] == [("atlas1", 0), ("atlas2", 1), ("atlas3", 2), ("atlas4", 3)]
    validate(Settings(), hosts)

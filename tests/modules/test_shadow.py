"""mindie_shadow: links and changed copies; the model itself stays as it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.modules.module_runner import run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "config.json").write_text('{"model_type": "deepseek_v3", "rope_theta": 10000}')
    (directory / "model-00001-of-000001.safetensors").write_bytes(b"weights")
    (directory / ".hidden").write_text("not ours")
    return directory


def arguments(model: Path, **changes: object) -> dict[str, object]:
    return {
        "model": str(model),
        "directory": str(model.parent / "shadow"),
        "changes": changes or {"config.json": {"rope_theta": 20000}},
        "owner": os.geteuid(),
        "group": os.getegid(),
    }


def test_files_are_linked_and_the_changed_one_is_a_copy(model: Path) -> None:
    before = (model / "config.json").read_text()
    made = run("mindie_shadow", **arguments(model))
    shadow = model.parent / "shadow"
    assert made["changed"]
    assert made["files"] == ["config.json", "model-00001-of-000001.safetensors"]
    assert (shadow / "model-00001-of-000001.safetensors").readlink() == model / "model-00001-of-000001.safetensors"
    assert json.loads((shadow / "config.json").read_text()) == {"model_type": "deepseek_v3", "rope_theta": 20000}
    assert oct((shadow / "config.json").stat().st_mode & 0o777) == "0o640"
    assert (model / "config.json").read_text() == before
    assert not run("mindie_shadow", **arguments(model))["changed"]


def test_another_value_makes_it_anew_and_nothing_is_left_beside(model: Path) -> None:
    run("mindie_shadow", **arguments(model))
    other = arguments(model, **{"generation_config.json": {"temperature": 0.6}})
    assert run("mindie_shadow", check=True, **other)["changed"]
    assert run("mindie_shadow", **other)["changed"]
    shadow = model.parent / "shadow"
    assert json.loads((shadow / "generation_config.json").read_text()) == {"temperature": 0.6}
    assert (shadow / "config.json").is_symlink()
    assert sorted(path.name for path in model.parent.iterdir()) == ["model", "shadow"]


def test_a_new_shard_of_the_model_is_linked_too(model: Path) -> None:
    run("mindie_shadow", **arguments(model))
    (model / "tokenizer.json").write_text("{}")
    assert run("mindie_shadow", **arguments(model))["changed"]
    assert (model.parent / "shadow" / "tokenizer.json").is_symlink()


def test_a_broken_config_is_named(model: Path) -> None:
    (model / "config.json").write_text("{")
    refused = run("mindie_shadow", **arguments(model))
    assert refused["failed"]
    assert "config.json is no JSON" in refused["msg"]


def test_check_mode_before_the_weights_are_there_does_not_fail(model: Path) -> None:
    missing = arguments(model / "not" / "yet")
    assert run("mindie_shadow", check=True, **missing)["changed"]
    refused = run("mindie_shadow", **missing)
    assert refused["failed"]
    assert "run sync first" in refused["msg"]


def test_names_that_lead_elsewhere_are_refused(model: Path) -> None:
    assert run("mindie_shadow", **arguments(model, **{"../x.json": {}}))["failed"]

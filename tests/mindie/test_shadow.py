"""The shadow: which settings need one, and what MindIE is then pointed at."""

from __future__ import annotations

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.mindie.shadow import shadow_changes, weights_path


def settings(**changes: object) -> Settings:
    return Settings.from_variables({f"mindie_{name}": value for name, value in changes.items()})


def test_without_such_settings_the_model_itself_is_served() -> None:
    assert shadow_changes(settings()) == {}
    assert weights_path(settings()) == "/data/models/DeepSeek-R1-BF16"


def test_each_setting_changes_its_file() -> None:
    wanted = settings(dtype="half", rope_theta=20000.0, override_generation_config={"temperature": 0.6})
    assert shadow_changes(wanted) == {
        "config.json": {"torch_dtype": "float16", "rope_theta": 20000.0},
        "generation_config.json": {"temperature": 0.6},
    }
    assert weights_path(wanted) == "/var/lib/mindie-deploy/deepseek-r1/model"

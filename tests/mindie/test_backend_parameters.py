"""GPUStack's parameters, pasted."""

from __future__ import annotations

import pytest

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.errors import UsageError
from mindie_deploy.mindie.backend_parameters import BY_NAME, PARAMETERS, BackendParameterError, translate

TUTORIAL = [
    "--data-parallel-size=4",
    "--tensor-parallel-size=8",
    "--moe-tensor-parallel-size=1",
    "--moe-expert-parallel-size=32",
    "--npu-memory-fraction=0.95",
]
EXPECTED = {
    "mindie_data_parallel_size": 4,
    "mindie_tensor_parallel_size": 8,
    "mindie_moe_tensor_parallel_size": 1,
    "mindie_moe_expert_parallel_size": 32,
    "mindie_npu_memory_fraction": 0.95,
}


@pytest.mark.parametrize(
    "pasted",
    [
        TUTORIAL,
        " ".join(TUTORIAL),
        "\n".join(TUTORIAL),
        ["-dp 4", "-tp 8", "-moe-tp=1", "-moe-ep", "32", " --npu-memory-fraction 0.95 "],
        "-dp 4 -tp=8 --moe-tensor-parallel-size 1 -moe-ep 32 --npu-memory-fraction=.95",
    ],
)
def test_the_tutorials_list_in_every_form(pasted: str | list[str]) -> None:
    assert translate(pasted) == EXPECTED
    settings = Settings.from_variables(translate(pasted))
    assert settings.moe_expert_parallel_size == 32


@pytest.mark.parametrize(
    ("pasted", "expected"),
    [
        ("--metrics --truncation", {"mindie_metrics": True, "mindie_truncation": True}),
        ("--no-truncation --enable-split=false", {"mindie_truncation": False, "mindie_enable_split": False}),
        ("--enforce-eager -tp 8", {"mindie_enforce_eager": True, "mindie_tensor_parallel_size": 8}),
        ("-tp -1", {"mindie_tensor_parallel_size": -1}),
        ("--max-input-token-len 0", {"mindie_max_input_token_len": -1}),
        ("--log-level Warning", {"mindie_log_level": "warn"}),
        ("--log-level=Verbose", {"mindie_log_level": "debug"}),
        (['--models={"deepseekv2": {"ep_level": 1}}'], {"mindie_models": {"deepseekv2": {"ep_level": 1}}}),
        ("--models '{\"a\": 1}'", {"mindie_models": {"a": 1}}),
        ("", {}),
        ([], {}),
    ],
)
def test_kinds_of_values(pasted: str | list[str], expected: dict[str, object]) -> None:
    assert translate(pasted) == expected
    Settings.from_variables(expected)


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        ("--tensr-parallel-size=3", "did you mean --tensor-parallel-size?"),
        ("--enable-reasoning", "there is no such parameter"),
        ("--no-tensor-parallel-size", "there is no such parameter"),
        ("-xyz 4", "there is no such parameter"),
        ("8", "there is no such parameter"),
        ("--tensor-parallel-size", "needs a value"),
        ("--tensor-parallel-size=", "needs a value"),
        ("-tp -dp 4", "-tp: needs a value"),
        ("-tp eight", '"eight" is not a whole number'),
        ("-tp 8.0", '"8.0" is not a whole number'),
        ("--npu-memory-fraction=lots", '"lots" is not a number'),
        ("--metrics=1", "takes no value"),
        ("--no-truncation=true", "takes no value"),
        ('--models={"a": 1}', "single quotes"),
        ("--models=[1]", "not a JSON object"),
        ("-tp 8 --tensor-parallel-size=4", "given twice, as 8 and as 4"),
        ("--log-level 'Info", "cannot be split"),
    ],
)
def test_what_gpustack_would_ignore_or_stumble_over_is_refused(pasted: str, said: str) -> None:
    with pytest.raises(BackendParameterError) as caught:
        translate(pasted)
    assert isinstance(caught.value, UsageError)
    assert any(said in problem for problem in caught.value.problems), caught.value.problems


def test_all_faults_are_named() -> None:
    with pytest.raises(BackendParameterError) as caught:
        translate("--a=1 -tp x --metrics")
    assert len(caught.value.problems) == 2


def test_every_parameter_has_a_setting_and_every_name_is_unique() -> None:
    assert {parameter.setting for parameter in PARAMETERS} <= set(Settings.model_fields)
    assert len(BY_NAME) == len(PARAMETERS) + sum(bool(parameter.short) for parameter in PARAMETERS)
    assert len(PARAMETERS) == 53

"""A directory that cannot be served as BF16 is told so, with the file and the remedy."""

from __future__ import annotations

from typing import Any

from mindie_deploy.weights.model import ModelProblem, blocking, judge_model
from tests.weights.scans import CONFIGURATION, INDEX, SHARDS, good_files, model, scan


def problems(without: tuple[str, ...] = (), **changes: Any) -> dict[str, ModelProblem]:
    files = {name: content for name, content in good_files().items() if name not in without}
    return {problem.id: problem for problem in judge_model(scan(files, model=model(**changes)))}


def shard(**changes: Any) -> dict[str, Any]:
    shards: dict[str, Any] = model()["shards"]
    shards[SHARDS[1]].update(changes)
    return shards


def test_bf16_weights_pass() -> None:
    assert judge_model(scan()) == ()


def test_fp8_is_seen_in_the_configuration() -> None:
    found = problems(configuration={**CONFIGURATION, "quantization_config": {"quant_method": "fp8"}})["model-fp8"]
    assert found.severity == "block"
    assert "FP8" in found.message
    assert "BF16" in found.remedy


def test_fp8_is_seen_in_the_shards_when_the_configuration_was_edited() -> None:
    found = problems(shards=shard(dtypes={"F8_E4M3": 3, "F32": 3, "BF16": 1}))["model-fp8"]
    assert found.file == SHARDS[1]


def test_the_gate_bias_may_be_float32() -> None:
    assert problems(shards=shard(dtypes={"BF16": 3, "F32": 1})) == {}


def test_other_quantisation_is_refused() -> None:
    assert problems(configuration={**CONFIGURATION, "quantization_config": {"quant_method": "gptq"}}).keys() == {
        "model-quantized"
    }
    assert "model-quantized" in problems(configuration={**CONFIGURATION, "quantization_config": []})


def test_missing_shards_are_named() -> None:
    found = problems(without=(SHARDS[1],))["model-shard-missing"]
    assert SHARDS[1] in found.message
    assert "1 of the 2" in found.message


def test_tensors_that_are_only_in_the_index_are_named() -> None:
    found = problems(shards=shard(absent=2, absent_names=["model.norm.weight", "lm_head.weight"]))
    assert "lm_head.weight" in found["model-tensor-missing"].message


def test_tensors_that_the_index_places_elsewhere_are_a_warning() -> None:
    found = problems(shards=shard(foreign=1, foreign_names=["model.norm.weight"]))["model-tensor-foreign"]
    assert (found.severity, found.file) == ("warn", SHARDS[1])
    assert "model.norm.weight" in found.message


def test_weights_of_which_nothing_is_bf16_are_refused() -> None:
    shards = {name: {**one, "dtypes": {"F16": 2}} for name, one in model()["shards"].items()}
    found = problems(shards=shards)["model-shard-dtype"]
    assert (found.severity, "F16" in found.message) == ("block", True)
    half = {**CONFIGURATION, "torch_dtype": "float16"}
    assert problems(shards=shards, configuration=half).keys() == {"model-dtype"}


def test_other_dtypes_beside_bf16_are_a_warning() -> None:
    found = problems(shards=shard(dtypes={"BF16": 3, "I8": 1}))["model-shard-dtype"]
    assert (found.severity, found.file) == ("warn", SHARDS[1])
    assert "I8" in found.message


def test_a_broken_shard_is_named() -> None:
    found = problems(shards=shard(error="its header promises 8 bytes of tensors and the file has 4"))
    assert SHARDS[1] in found["model-shard-broken"].message


def test_a_conversion_that_left_the_tokenizer_behind_is_refused() -> None:
    found = judge_model(scan({n: c for n, c in good_files().items() if not n.startswith("tokenizer")}))
    assert [problem.file for problem in blocking(found)] == ["tokenizer.json", "tokenizer_config.json"]


def test_missing_generation_config_is_a_warning() -> None:
    found = problems(without=("generation_config.json",))
    assert found["model-generation"].severity == "warn"


def test_missing_or_broken_configuration_is_refused() -> None:
    assert problems(configuration=None)["model-config"].severity == "block"
    found = problems(configuration=None, configuration_error="it is not JSON: line 3")["model-config"]
    assert "line 3" in found.message


def test_dtype_is_judged() -> None:
    assert problems(configuration={**CONFIGURATION, "torch_dtype": "float16"})["model-dtype"].severity == "warn"
    assert problems(configuration={**CONFIGURATION, "torch_dtype": "float8"})["model-dtype"].severity == "block"


def test_another_model_is_a_warning() -> None:
    assert problems(configuration={**CONFIGURATION, "model_type": "llama"})["model-type"].severity == "warn"
    assert problems(configuration={**CONFIGURATION, "model_type": {"x": 1}})["model-type"].severity == "warn"


def test_without_index_one_shard_is_enough_and_two_are_not() -> None:
    assert problems(without=(INDEX, SHARDS[1]), index_present=False, index_shards=[]) == {}
    assert "model-index" in problems(without=(INDEX,), index_present=False, index_shards=[])
    assert "model-no-weights" in problems(without=(INDEX, *SHARDS), index_present=False, index_shards=[])


def test_a_broken_index_is_refused() -> None:
    assert problems(index_error="it is not JSON")["model-index"].severity == "block"


def test_unreadable_files_are_named() -> None:
    found = judge_model(scan(unreadable={"config.json": "Input/output error"}))
    assert found[0].id == "model-unreadable"

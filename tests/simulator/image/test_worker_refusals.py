"""What only the worker processes refuse, minutes after the daemon took it: environment, sizes, weights, memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulator.image.gang import Host, safetensors, write_json, write_weights

ENVIRONMENT = [
    # mindie_llm/utils/env.py and atb_llm/utils/env.py
    ("NPU_MEMORY_FRACTION", "0", "NPU_MEMORY_FRACTION is out of range"),
    ("NPU_MEMORY_FRACTION", "1.01", "NPU_MEMORY_FRACTION is out of range"),
    ("NPU_MEMORY_FRACTION", "nan", "NPU_MEMORY_FRACTION is out of range"),
    ("NPU_MEMORY_FRACTION", "95%", "NPU_MEMORY_FRACTION must be a number"),
    ("RESERVED_MEMORY_GB", "64", "RESERVED_MEMORY_GB is out of range"),
    ("ASCEND_RT_VISIBLE_DEVICES", "0,a", "ASCEND_RT_VISIBLE_DEVICES must be comma-separated integers"),
    ("WORLD_SIZE", "0", "WORLD_SIZE must be in [1, 1048576]"),
    ("RANK", "1", "RANK must be in [0, 0]"),
    ("MASTER_IP", "host1", "MASTER_IP is not an IP address"),
    ("MASTER_PORT", "http", "MASTER_PORT must be an integer"),
    ("HCCL_BUFFSIZE", "64MB", "HCCL_BUFFSIZE must be an integer"),
    ("HCCL_CONNECT_TIMEOUT", "60", "EI0001"),
    ("CPU_BINDING_NUM", "4", "CPU_BINDING_NUM must be an integer"),
    ("LM_HEAD_LOCAL_TP", "1", "needs DP_PARTITION_UP_ENABLE=1"),
]

SIZES = [
    # mapping.py: two NPUs, one node.
    ({"tp": 4}, "must equal world size 2"),
    ({"moe_ep": 4}, "moe_tp (1) x moe_ep (4) must equal world size 2"),
    # moe_tp left out becomes tp.
    ({"moe_tp": None}, "moe_tp (2) x moe_ep (2) must equal world size 2"),
    ({"dp": 2}, "must equal world size 2"),
    ({"dp": 2, "tp": 1, "cp": 2}, "cp and dp cannot both be greater than 1"),
    ({"dp": 2, "tp": 1, "pp": 2}, "pp and dp cannot both be greater than 1"),
    ({"sp": 3}, "sp (3) must equal tp (2)"),
    ({"moe_ep": "many"}, "moe_ep must be an integer"),
    ({"plugin_params": "{"}, "plugin_params is not JSON"),
    ({"backendType": "torch"}, "HCCL_BUFFSIZE must be set"),
]

Spoil = Callable[[Path], None]


def fp8_config(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    write_json(directory / "config.json", config | {"quantization_config": {"quant_method": "fp8"}})


def other_model(directory: Path) -> None:
    write_json(directory / "config.json", {"model_type": "llama"})


def without_tokenizer(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()


def broken_tokenizer(directory: Path) -> None:
    (directory / "tokenizer_config.json").write_text("{")


def without_shard(directory: Path) -> None:
    (directory / "model-00002-of-000002.safetensors").unlink()


def broken_header(directory: Path) -> None:
    (directory / "model-00002-of-000002.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not json not json")


def huge_header(directory: Path) -> None:
    (directory / "model-00001-of-000002.safetensors").write_bytes(b"\xff" * 64)


def short_shard(directory: Path) -> None:
    path = directory / "model-00002-of-000002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def fp8_shard(directory: Path) -> None:
    path = directory / "model-00001-of-000002.safetensors"
    path.write_bytes(safetensors({"layer.0.weight": ("F8_E4M3", [2, 2])}))


def broken_index(directory: Path) -> None:
    (directory / "model.safetensors.index.json").write_text("{}")


def writable_by_others(directory: Path) -> None:
    (directory / "model-00001-of-000002.safetensors").chmod(0o666)


WEIGHTS = [
    (fp8_config, "weights must be BF16"),
    (other_model, "unsupported model type: llama"),
    (without_tokenizer, "LLMPythonModel initializes fail"),
    (broken_tokenizer, "Failed to get vocab size from tokenizer wrapper"),
    (without_shard, "No such file or directory"),
    (broken_header, "InvalidHeaderDeserialization"),
    (huge_header, "HeaderTooLarge"),
    (short_shard, "MetadataIncompleteBuffer"),
    (fp8_shard, "FP8 weights cannot be loaded"),
    (broken_index, "model.safetensors.index.json is invalid"),
    (writable_by_others, "should not be writable by others"),
]


def dies(host: Host, fragment: str) -> None:
    assert host.start().status() == 134
    assert "Successfully init config manager" in host.out()
    assert fragment in host.err()
    assert "now killing process group" in host.log()


@pytest.mark.parametrize(("name", "value", "fragment"), ENVIRONMENT)
def test_environment(single: Host, name: str, value: str, fragment: str) -> None:
    single.environ[name] = value
    dies(single, fragment)


@pytest.mark.parametrize(("changes", "fragment"), SIZES)
def test_parallel_sizes(single: Host, changes: dict[str, object], fragment: str) -> None:
    for name, value in changes.items():
        if value is None:
            del single.model[name]
        else:
            single.model[name] = value
    dies(single, fragment)


@pytest.mark.parametrize(("spoil", "fragment"), WEIGHTS, ids=[row[0].__name__ for row in WEIGHTS])
def test_weights(single: Host, tmp_path: Path, spoil: Spoil, fragment: str) -> None:
    directory = write_weights(tmp_path / "model")
    spoil(directory)
    single.model["modelWeightPath"] = str(directory)
    dies(single, fragment)


def test_the_permission_switch_works_in_the_workers(single: Host, tmp_path: Path) -> None:
    directory = write_weights(tmp_path / "model")
    writable_by_others(directory)
    single.model["modelWeightPath"] = str(directory)
    single.environ["MINDIE_CHECK_INPUTFILES_PERMISSION"] = "0"
    single.start().ready()


@pytest.mark.parametrize(
    ("fraction", "fragment"),
    [
        # 43.1 GiB of weights; 60.97 GiB are visible: 0.7 is too little for them, 0.75 leaves no room for the cache.
        ("0.7", "NPU out of memory. Tried to allocate"),
        ("0.75", "Warmup failed. Num_npu_blocks should be non-negative"),
    ],
)
def test_memory(single: Host, fraction: str, fragment: str) -> None:
    single.environ["NPU_MEMORY_FRACTION"] = fraction
    dies(single, fragment)


def test_a_cache_too_small_for_the_longest_prompt(single: Host) -> None:
    deploy = single.config["BackendConfig"]["ModelDeployConfig"]
    deploy |= {"maxSeqLen": 400000, "maxInputTokenLen": 400000}
    single.config["BackendConfig"]["ScheduleConfig"]["maxPrefillTokens"] = 400000
    dies(single, "is smaller than required")


def test_mock_loads_nothing(single: Host, tmp_path: Path) -> None:
    directory = write_weights(tmp_path / "model")
    without_shard(directory)
    single.model.update({"modelWeightPath": str(directory), "modelInstanceType": "StandardMock", "moe_ep": 7})
    single.start().ready()

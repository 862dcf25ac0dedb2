"""The simulated model is DeepSeek-R1-BF16 in form."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "molecule" / "simulator" / "weights.py"
WIDTH = {"BF16": 2, "F32": 4, "F8_E4M3": 1}


def make(output: Path, form: str) -> str:
    command = [sys.executable, str(SCRIPT), "--output", str(output), "--form", form]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def header(path: Path) -> dict[str, Any]:
    """Reads a safetensors header by the format's own rules."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    assert length % 8 == 0
    value: dict[str, Any] = json.loads(content[8 : 8 + length])
    assert value.pop("__metadata__") == {"format": "pt"}
    at = 0
    for tensor in value.values():
        count = 1
        for side in tensor["shape"]:
            count *= side
        assert tensor["data_offsets"] == [at, at + count * WIDTH[tensor["dtype"]]]
        at = tensor["data_offsets"][1]
    assert at == len(content) - 8 - length
    return value


@pytest.fixture(scope="module")
def bf16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output: Path = tmp_path_factory.mktemp("bf16") / "DeepSeek-R1-BF16"
    make(output, "bf16")
    return output


@pytest.fixture(scope="module")
def fp8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output: Path = tmp_path_factory.mktemp("fp8") / "DeepSeek-R1"
    make(output, "fp8")
    return output


def test_all_files_are_there(bf16: Path) -> None:
    names = {path.name for path in bf16.iterdir() if not path.name.startswith(".")}
    assert names == {
        *(f"model-{number:05d}-of-000163.safetensors" for number in range(1, 164)),
        "model.safetensors.index.json",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "configuration_deepseek.py",
        "modeling_deepseek.py",
    }
    assert sum(path.stat().st_size for path in bf16.iterdir()) < 30_000_000


@pytest.mark.parametrize("form", ["bf16", "fp8"])
def test_index_and_shards_agree(form: str, request: pytest.FixtureRequest) -> None:
    directory: Path = request.getfixturevalue(form)
    index = json.loads((directory / "model.safetensors.index.json").read_text())
    in_shards: dict[str, str] = {}
    total = 0
    for path in sorted(directory.glob("*.safetensors")):
        tensors = header(path)
        assert tensors
        in_shards.update(dict.fromkeys(tensors, path.name))
        total += sum(tensor["data_offsets"][1] - tensor["data_offsets"][0] for tensor in tensors.values())
    assert in_shards == index["weight_map"]
    assert index["metadata"]["total_size"] == total


def test_the_fp8_form_has_as_many_names_as_the_official_index(fp8: Path) -> None:
    assert len(json.loads((fp8 / "model.safetensors.index.json").read_text())["weight_map"]) == 91_991


def test_the_forms_differ_in_what_marks_them(bf16: Path, fp8: Path) -> None:
    ours, theirs = (json.loads((directory / "config.json").read_text()) for directory in (bf16, fp8))
    assert ours["torch_dtype"] == "bfloat16"
    assert "quantization_config" not in ours
    assert theirs["quantization_config"]["quant_method"] == "fp8"
    shard = "model-00080-of-000163.safetensors"
    assert {tensor["dtype"] for tensor in header(bf16 / shard).values()} <= {"BF16", "F32"}
    assert "F8_E4M3" in {tensor["dtype"] for tensor in header(fp8 / shard).values()}


def test_names_of_the_public_architecture(bf16: Path) -> None:
    names = set(json.loads((bf16 / "model.safetensors.index.json").read_text())["weight_map"])
    assert {
        "model.embed_tokens.weight",
        "lm_head.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "model.layers.3.mlp.gate.e_score_correction_bias",
        "model.layers.60.mlp.experts.255.down_proj.weight",
        "model.layers.60.self_attn.kv_a_proj_with_mqa.weight",
        "model.layers.61.eh_proj.weight",
        "model.layers.61.shared_head.head.weight",
    } <= names
    assert "model.layers.2.mlp.gate.weight" not in names
    assert not any(name.startswith("model.layers.62.") for name in names)


def test_the_same_bytes_every_time(bf16: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    make(tmp_path / "again", "bf16")
    assert time.monotonic() - began < 20

    def digests(directory: Path) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}

    assert digests(tmp_path / "again") == digests(bf16)


def test_a_complete_directory_is_left_alone_and_a_damaged_one_made_again(tmp_path: Path) -> None:
    output = tmp_path / "model"
    assert "made" in make(output, "bf16")
    assert "already there" in make(output, "bf16")
    (output / "config.json").write_text("{}")
    assert "made" in make(output, "bf16")
    assert "fp8" not in (output / "config.json").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_foreign_directory_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(subprocess.CalledProcessError):
        make(tmp_path / "mine", "bf16")
    assert (tmp_path / "mine" / "thesis.txt").exists()

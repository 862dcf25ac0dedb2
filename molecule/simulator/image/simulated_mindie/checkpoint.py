"""What the worker processes refuse in the weights while they load them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import checks

MAX_PYTHON_FILE = 100 * 1024 * 1024
MAX_HEADER = 100 * 1000 * 1000
INDEX = "model.safetensors.index.json"
ITEM_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
SUPPORTED = ("deepseekv2", "deepseek_v2", "deepseek_v3")


class WeightsError(RuntimeError):
    """Weights that the model library cannot load."""


def model_config(directory: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The weights' config.json; raises WeightsError for a model that this image or the hardware cannot run."""
    path = directory / "config.json"
    _python_file(path, environ)
    data = checks.parse_json(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise WeightsError(f"{path}: an object is expected")
    kind = str(data.get("model_type", ""))
    # fault 71: the hint names the directory of the models that the image carries.
    if kind not in SUPPORTED:
        raise WeightsError(f"unsupported model type: {kind}; no directory of that name under atb_llm.models")
    quantization = data.get("quantization_config")
    if isinstance(quantization, dict):
        # Atlas A2 has no FP8: the seed tutorial's note, and faults 74 and 75.
        method = quantization.get("quant_method", "unknown")
        raise WeightsError(f"unsupported quantization_config with quant_method {method}: weights must be BF16")
    return data


def check_tokenizer(directory: Path, environ: Mapping[str, str]) -> None:
    """Tokenizer files that NPU-side conversion leaves out (fault 72)."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = directory / name
        if not path.is_file():
            raise WeightsError(f"LLMPythonModel initializes fail: Can't load tokenizer for '{directory}': no {name}")
        _python_file(path, environ)
        try:
            checks.parse_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise WeightsError(f"Failed to get vocab size from tokenizer wrapper: {name}: {error}") from error


def shards(directory: Path) -> list[str]:
    """Names of all shards the index lists, sorted; without an index, the *.safetensors that are there."""
    index = directory / INDEX
    if not index.is_file():
        names = sorted(path.name for path in directory.glob("*.safetensors"))
        if not names:
            raise WeightsError(f"No .safetensors weights found in {directory}")
        return names
    try:
        table = checks.parse_json(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(table.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{INDEX} is invalid: {error}") from error
    for name in names:
        # fault 73: every file of weight_map must exist.
        if not isinstance(name, str) or not (directory / name).is_file():
            raise WeightsError(f"No such file or directory: {directory / str(name)} named by {INDEX}")
    return names


def check_shard(path: Path, environ: Mapping[str, str]) -> None:
    """One shard as safetensors' reader takes it: header length, JSON, offsets that end where the file ends."""
    _owner(path, environ)
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8:
            raise WeightsError(f"Error while deserializing header: HeaderTooSmall: {path.name}")
        if length > MAX_HEADER:
            raise WeightsError(f"Error while deserializing header: HeaderTooLarge: {path.name}")
        if length > size - 8:
            raise WeightsError(f"Error while deserializing header: InvalidHeaderLength: {path.name}")
        text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"))
        tensors = [value for name, value in header.items() if name != "__metadata__"]
        spans = sorted((*item["data_offsets"], item["dtype"], tuple(item["shape"])) for item in tensors)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"Error while deserializing header: InvalidHeaderDeserialization: {path.name}") from error
    end = 0
    for begin, stop, dtype, shape in spans:
        if str(dtype).startswith("F8"):
            raise WeightsError(f"unsupported dtype {dtype} in {path.name}: FP8 weights cannot be loaded")
        count = 1
        for part in shape:
            count *= part
        if begin != end or stop - begin != count * ITEM_BYTES.get(dtype, 0):
            raise WeightsError(f"Error while deserializing header: InvalidOffset: {path.name}")
        end = stop
    if end != size - 8 - length:
        raise WeightsError(f"Error while deserializing header: MetadataIncompleteBuffer: {path.name}")


def _python_file(path: Path, environ: Mapping[str, str]) -> None:
    """The Python side's own rules (source 1.2): at most 100 MiB, and those of `_owner`."""
    if path.stat().st_size > MAX_PYTHON_FILE:
        raise WeightsError(f"{path.name} is larger than 100 MiB")
    _owner(path, environ)


def _owner(path: Path, environ: Mapping[str, str]) -> None:
    """No other-write bit; owner is the process, its group, or root. The switch works here, unlike in the daemon."""
    if environ.get("MINDIE_CHECK_INPUTFILES_PERMISSION") == "0":
        return
    facts = path.stat()
    if facts.st_mode & 0o002:
        raise WeightsError(f"The file {path.name} should not be writable by others")
    if os.getuid() != 0 and facts.st_uid not in (0, os.getuid()) and facts.st_gid not in os.getgroups():
        raise WeightsError(f"The file {path.name} is not owned by the current user, its group or root")

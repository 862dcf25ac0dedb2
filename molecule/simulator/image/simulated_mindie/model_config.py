"""ModelDeployConfig and its one ModelConfig entry (source 1.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import checks, weights
from .checks import Field, RefusedError, Say

DEPLOY_FIELDS = (
    Field("maxSeqLen", "uint32"),
    Field("maxInputTokenLen", "uint32"),
    Field("ModelConfig", "array"),
    Field("maxLoras", "uint32", required=False, default=0),
    Field("maxLoraRank", "uint32", required=False, default=0),
    Field("speculationGamma", "uint32", required=False, default=0),
    Field("LoraModules", "array", required=False),
)
MODEL_FIELDS = (
    Field("modelName", "string"),
    Field("modelWeightPath", "string"),
    Field("worldSize", "uint32"),
    Field("cpuMemSize", "uint32"),
    Field("npuMemSize", "int32"),
    Field("backendType", "string"),
    Field("trustRemoteCode", "bool"),
    Field("modelInstanceType", "string", required=False, default="Standard"),
)
INSTANCE_TYPES = ("Standard", "StandardMock", "TargetModel", "AssistantModel")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,254}[A-Za-z0-9])?")


@dataclass(frozen=True)
class ModelConfig:
    """The served model; `extra` holds the keys that are passed on to the workers as text (tp, moe_ep, ...)."""

    name: str
    weights_path: str
    max_seq_len: int
    max_input_len: int
    backend_type: str
    instance_type: str
    npu_mem_gib: int
    extra: dict[str, str]
    plugin_params: str
    models: str


def parse(data: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Types, required keys and dp, sp, cp, which are the only parallel sizes looked at here; raises RefusedError."""
    problem = "Failed to initialize ModelDeployConfig from JSON."
    values = checks.read("ModelDeployConfig", data, DEPLOY_FIELDS, say)
    entries: list[dict[str, Any]] = []
    for entry in values["ModelConfig"]:
        if not isinstance(entry, dict):
            say(f"The type of ModelConfig entry should be object, but got {checks.type_name(entry)}")
            raise RefusedError(problem)
        model = checks.read("ModelDeployConfig", entry, MODEL_FIELDS, say)
        for name in ("dp", "sp", "cp"):
            # Source 1.4: at least 1 if given; -1 is refused though documents call it the default.
            if name in entry and _number(entry[name]) is None:
                say(f"Invalid value for {name}, which is {entry[name]}")
                raise RefusedError(problem)
            if name in entry and (_number(entry[name]) or 0) < 1:
                say(f"{name} cannot be smaller than 1.")
                raise RefusedError(problem)
        plugin = entry.get("plugin_params", "")
        model["plugin_params"] = plugin if isinstance(plugin, str) else _dump(plugin)
        model["models"] = _dump(entry["models"]) if "models" in entry else ""
        known = {field.name for field in MODEL_FIELDS} | {"plugin_params", "models"}
        # Source 1.4: any other key is not checked; numbers and booleans become strings and go to the workers.
        model["extra"] = {
            name: _text(value)
            for name, value in entry.items()
            if name not in known and isinstance(value, str | int | float | bool)
        }
        entries.append(model)
    values["entries"] = entries
    if "truncation" in data and not isinstance(data["truncation"], bool | int):
        say(f"The value of truncation {_dump(data['truncation'])} is invalid, use default value.")
    return values


def check(values: dict[str, Any], schedule: Mapping[str, Any], say: Say) -> ModelConfig | None:
    """Ranges, name, type, the cross rules with ScheduleConfig, and the weights directory; None when refused."""
    # Source 1.4: exactly one entry when templateType is Standard.
    if (schedule["templateType"] == "Standard" and len(values["entries"]) != 1) or not values["entries"]:
        say("There should be one modelParam for Standard templateType.")
        return None
    sound = True
    entry = values["entries"][0]
    for problem in _problems(values, entry, schedule):
        say(problem)
        sound = False
    if not sound:
        return None
    path = weights.directory(entry["modelWeightPath"], say)
    if path is None:
        return None
    return ModelConfig(
        name=entry["modelName"],
        weights_path=path,
        max_seq_len=values["maxSeqLen"],
        max_input_len=values["maxInputTokenLen"],
        backend_type=entry["backendType"],
        instance_type=entry["modelInstanceType"],
        npu_mem_gib=entry["npuMemSize"],
        extra=entry["extra"],
        plugin_params=entry["plugin_params"],
        models=entry["models"],
    )


def _problems(values: Mapping[str, Any], entry: Mapping[str, Any], schedule: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    if not _NAME.fullmatch(entry["modelName"]):
        found.append("The value of modelName must be 1 to 256 of [a-zA-Z0-9_.-], first and last a letter or digit.")
    if values["maxSeqLen"] == 0:
        found.append("The value of modelParam.maxSeqLen can not be 0.")
    if not 1 <= values["maxInputTokenLen"] <= 4194304:
        found.append("The value of modelParam.maxInputTokenLen should be in [1, 4194304].")
    if entry["worldSize"] == 0:
        found.append("The value of modelParam.worldSize can not be 0.")
    if entry["backendType"] not in ("atb", "ms", "torch"):
        found.append("Backend type only supports atb, ms, torch.")
    if entry["npuMemSize"] == 0 or entry["npuMemSize"] < -1:
        found.append(f"The value of 'npuMemSize' is {entry['npuMemSize']}; it should be above 0, or -1.")
    if entry["modelInstanceType"] not in INSTANCE_TYPES:
        found.append(f"Model instance type is invalid. supported values: [{', '.join(INSTANCE_TYPES)}]")
    if schedule["maxPreemptCount"] > 0 and entry["cpuMemSize"] == 0:
        found.append("The value of modelParam.cpuMemSize can not be 0 when maxPreemptCount is not 0.")
    if schedule["maxPrefillTokens"] < values["maxInputTokenLen"] and schedule["templateType"] != "Mix":
        found.append("The value of maxPrefillTokens should not be less than maxInputTokenLen.")
    return found


def _number(value: object) -> int | None:
    """An integer, or a string that is one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+", value):
        return int(value)
    return None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _dump(value: object) -> str:
    import json

    return json.dumps(value)

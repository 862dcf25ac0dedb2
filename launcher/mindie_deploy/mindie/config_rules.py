"""MindIE's rules for config.json as data: type, necessity and range of every key, and rules between keys.

Source: MindIE-LLM 3.x, src/config_manager (server_config.cpp, backend_config.cpp, model_deploy_config.cpp,
schedule_config.cpp), whose validator is the strictest of the releases. Types are strict there: "1025" or 1025.0 is not
the number 1025, and 0 is not false.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mindie_deploy.cluster.problems import SettingProblem
from mindie_deploy.cluster.schema import PREFIX

SERVER, BACKEND, DEPLOY, SCHEDULE = "server_config", "backend_config", "model_deploy_config", "schedule_config"
S, B, D, P = "ServerConfig", "BackendConfig", "BackendConfig.ModelDeployConfig", "BackendConfig.ScheduleConfig"
M = D + ".ModelConfig[0]"
OVERRIDES = f"{PREFIX}config_overrides"  # the only way in for a wrong value: our own rendering keeps all rules
LARGEST = 10 * 1024**2  # bytes of config.json
WORDS = {"int": "a whole number", "bool": "true or false", "str": "text", "list": "a list", "dict": "an object"}
BACKEND_NAME = r"[a-z]+(_[a-z]+)*"
MODEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,254}[A-Za-z0-9])?"
WEIGHT_PATH = r"/[A-Za-z0-9_./-]{0,4095}"


@dataclass(frozen=True)
class Rule:
    """One key: `kinds` are the JSON types it may have, `low` and `high` bounds of a number (`high` the length of a
    text), `choices` all values, `pattern` what a text must fit.

    `source` names the file of MindIE-LLM's config manager.
    """

    path: str
    kinds: str
    required: bool
    source: str
    low: int | None = None
    high: int | None = None
    choices: tuple[object, ...] = ()
    pattern: str = ""


def _needed(path: str, kinds: str, source: str, low: int | None = None, high: int | None = None) -> Rule:
    return Rule(path, kinds, True, source, low, high)


def _optional(path: str, kinds: str, source: str, low: int | None = None, high: int | None = None) -> Rule:
    return Rule(path, kinds, False, source, low, high)


RULES: tuple[Rule, ...] = (
    _needed(S, "dict", SERVER),
    _needed(f"{S}.ipAddress", "str", SERVER),
    _optional(f"{S}.managementIpAddress", "str", SERVER),
    _needed(f"{S}.port", "int", SERVER, 1024, 65535),
    _optional(f"{S}.managementPort", "int", SERVER, 1024, 65535),
    _needed(f"{S}.metricsPort", "int", SERVER, 1024, 65535),
    _needed(f"{S}.allowAllZeroIpListening", "bool", SERVER),
    _needed(f"{S}.maxLinkNum", "int", SERVER, 1, 4096),
    _needed(f"{S}.httpsEnabled", "bool", SERVER),
    _needed(f"{S}.tokenTimeout", "int", SERVER, 1, 3600),
    _needed(f"{S}.e2eTimeout", "int", SERVER, 1, 65535),
    Rule(f"{S}.inferMode", "str", True, SERVER, choices=("standard", "dmi")),
    _needed(f"{S}.distDPServerEnabled", "bool", SERVER),
    _optional(f"{S}.fullTextEnabled", "bool", SERVER),
    _optional(f"{S}.openAiSupport", "str", SERVER),
    _optional(f"{S}.interCommTLSEnabled", "bool", SERVER),
    _optional(f"{S}.interCommPort", "int", SERVER, 1024, 65535),
    _optional(f"{S}.maxRequestLength", "int", SERVER, 1, 100),
    _optional(f"{S}.maxJsonDepth", "int", SERVER, 10, 100),
    _optional(f"{S}.HealthCheckConfig", "dict", SERVER),
    _optional(f"{S}.HealthCheckConfig.npuUsageThreshold", "int", SERVER, 0, 100),
    _needed(B, "dict", BACKEND),
    Rule(f"{B}.backendName", "str", True, BACKEND, pattern=BACKEND_NAME, high=50),
    _needed(f"{B}.modelInstanceNumber", "int", BACKEND, 1, 10),
    _needed(f"{B}.npuDeviceIds", "list", BACKEND),
    _needed(f"{B}.tokenizerProcessNumber", "int", BACKEND, 1, 32),
    _needed(f"{B}.multiNodesInferEnabled", "bool", BACKEND),
    _optional(f"{B}.multiNodesInferPort", "int", BACKEND, 1024, 65535),
    _needed(f"{B}.interNodeTLSEnabled", "bool", BACKEND),
    _optional(f"{B}.interNodeTlsCaFiles", "list", BACKEND),
    _optional(f"{B}.interNodeTlsCrlFiles", "list", BACKEND),
    _optional(f"{B}.interNodeTlsCrlPath", "str", BACKEND),
    _optional(f"{B}.kvPoolConfig", "dict", BACKEND),
    Rule(f"{B}.kvPoolConfig.backend", "str", False, BACKEND, choices=("", "unifiedcache", "mooncake", "memcache")),
    _optional(f"{B}.kvPoolConfig.configPath", "str", BACKEND, high=500),
    _needed(D, "dict", DEPLOY),
    _needed(f"{D}.maxSeqLen", "int", DEPLOY, 1, 2**32 - 1),
    _needed(f"{D}.maxInputTokenLen", "int", DEPLOY, 1, 4194304),
    _optional(f"{D}.truncation", "bool int", DEPLOY, -1, 1),
    _optional(f"{D}.maxLoras", "int", DEPLOY, 0, 2**32 - 1),
    _optional(f"{D}.maxLoraRank", "int", DEPLOY, 0, 2**32 - 1),
    _optional(f"{D}.speculationGamma", "int", DEPLOY, 0, 2**32 - 1),
    _optional(f"{D}.LoraModules", "list", DEPLOY),
    _needed(f"{D}.ModelConfig", "list", DEPLOY),
    Rule(f"{M}.modelName", "str", True, DEPLOY, pattern=MODEL_NAME),
    Rule(f"{M}.modelWeightPath", "str", True, DEPLOY, pattern=WEIGHT_PATH),
    _needed(f"{M}.worldSize", "int", DEPLOY, 1, 2**32 - 1),
    _needed(f"{M}.cpuMemSize", "int", DEPLOY, 0, 2**32 - 1),
    _needed(f"{M}.npuMemSize", "int", DEPLOY, -1, 2**31 - 1),
    Rule(f"{M}.backendType", "str", True, DEPLOY, choices=("atb", "ms", "torch")),
    _needed(f"{M}.trustRemoteCode", "bool", DEPLOY),
    Rule(
        f"{M}.modelInstanceType",
        "str",
        False,
        DEPLOY,
        choices=("Standard", "StandardMock", "TargetModel", "AssistantModel"),
    ),
    _optional(f"{M}.plugin_params", "str dict", DEPLOY),
    _optional(f"{M}.models", "dict", DEPLOY),
    *(_optional(f"{M}.{name}", "int", DEPLOY, 1, 512) for name in ("dp", "tp", "pp", "sp", "cp", "moe_tp", "moe_ep")),
    _needed(P, "dict", SCHEDULE),
    Rule(f"{P}.templateType", "str", True, SCHEDULE, choices=("Standard", "Mix")),
    Rule(f"{P}.templateName", "str", True, SCHEDULE, choices=("Standard_LLM",)),
    _needed(f"{P}.cacheBlockSize", "int", SCHEDULE, 1, 128),
    _needed(f"{P}.maxPrefillBatchSize", "int", SCHEDULE, 0, 819200),
    _needed(f"{P}.maxPrefillTokens", "int", SCHEDULE, 1, 4194304),
    _needed(f"{P}.prefillTimeMsPerReq", "int", SCHEDULE, 0, 1000),
    _needed(f"{P}.decodeTimeMsPerReq", "int", SCHEDULE, 0, 1000),
    _needed(f"{P}.prefillPolicyType", "int", SCHEDULE, 0, 3),
    _needed(f"{P}.decodePolicyType", "int", SCHEDULE, 0, 3),
    _needed(f"{P}.maxBatchSize", "int", SCHEDULE, 1, 819200),
    _needed(f"{P}.maxIterTimes", "int", SCHEDULE, 1, 2**32 - 1),
    _needed(f"{P}.maxPreemptCount", "int", SCHEDULE, 0, 819200),
    _needed(f"{P}.supportSelectBatch", "bool", SCHEDULE),
    _needed(f"{P}.maxQueueDelayMicroseconds", "int", SCHEDULE, 500, 1000000),
    _optional(f"{P}.maxFirstTokenWaitTime", "int", SCHEDULE, 0, 3600000),
    _optional(f"{P}.maxN", "int", SCHEDULE, 1, 8192),
    Rule(f"{P}.policyType", "int", False, SCHEDULE, choices=(0, 4, 5, 6, 7)),
    _optional(f"{P}.stageSelectPolicy", "int", SCHEDULE, 0, 2),
    _optional(f"{P}.prefillExpectedTime", "int", SCHEDULE, 1, 10000),
    _optional(f"{P}.decodeExpectedTime", "int", SCHEDULE, 1, 10000),
    *(
        _optional(f"{P}.{name}", "bool", SCHEDULE)
        for name in (
            "bufferResponseEnabled",
            "dynamicBatchSizeEnable",
            "distributedEnable",
            "enableSplit",
            "enablePrefixCache",
        )
    ),
    _optional("LogConfig", "dict", "log_config"),
    _optional("LogConfig.dynamicLogLevelValidHours", "int", "log_config", 1, 168),
)


def config_problems(config: Mapping[str, Any]) -> list[SettingProblem]:
    """Returns every rule that a whole config.json breaks, by key; rules between keys only where each key is right."""
    problems = [problem for rule in RULES for problem in _broken(rule, config)]
    if not problems:
        problems = [problem for check in BETWEEN for problem in check(config)]
    return problems or list(_form(config))


class _Absent:
    """The value of a key that is not there."""


ABSENT = _Absent()


def _broken(rule: Rule, config: Mapping[str, Any]) -> Iterator[SettingProblem]:
    value = _value(config, rule.path)
    if value is ABSENT:
        parent = _value(config, rule.path.rpartition(".")[0]) if "." in rule.path else config
        if rule.required and isinstance(parent, Mapping):
            yield _problem(rule.path, None, "is missing, MindIE refuses the file without it", rule.source)
        return
    kind = _kind(value)
    if kind not in rule.kinds.split():
        words = " or ".join(WORDS[name] for name in rule.kinds.split())
        yield _problem(rule.path, value, f"must be {words}", rule.source)
        return
    fault = _range_fault(rule, value)
    if fault:
        yield _problem(rule.path, value, fault, rule.source)


def _range_fault(rule: Rule, value: Any) -> str:
    if rule.choices and value not in rule.choices:
        return "must be one of " + ", ".join(json.dumps(choice) for choice in rule.choices)
    if rule.pattern and not re.fullmatch(rule.pattern, value):
        return f"must fit {rule.pattern}"
    if isinstance(value, str):
        return f"must have at most {rule.high} characters" if rule.high is not None and len(value) > rule.high else ""
    if _kind(value) != "int":
        return ""
    if (rule.low is not None and value < rule.low) or (rule.high is not None and value > rule.high):
        return f"must be from {rule.low} to {rule.high}"
    return ""


def _value(config: Any, path: str) -> Any:
    for step in path.replace("[0]", ".0").split("."):
        if step == "0":
            config = config[0] if isinstance(config, list) and config else ABSENT
        else:
            config = config.get(step, ABSENT) if isinstance(config, Mapping) else ABSENT
    return config


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    for kind, name in ((int, "int"), (str, "str"), (list, "list"), (Mapping, "dict")):
        if isinstance(value, kind):
            return name
    return "other"


def _problem(path: str, value: object, rule: str, source: str) -> SettingProblem:
    return SettingProblem(f"{OVERRIDES}: {path}", value, f"{rule} (MindIE-LLM, {source}.cpp)")


def _address_rules(config: Mapping[str, Any]) -> Iterator[SettingProblem]:
    server = config[S]
    for key in ("ipAddress", "managementIpAddress"):
        text = server.get(key)
        if text is None:
            continue
        try:
            address = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
        except ValueError:
            yield _problem(f"{S}.{key}", text, "must be an IP address, host names are refused", SERVER)
            continue
        if address.is_unspecified and not server["allowAllZeroIpListening"]:
            yield _problem(f"{S}.{key}", text, "needs allowAllZeroIpListening true", SERVER)


def _port_rules(config: Mapping[str, Any]) -> Iterator[SettingProblem]:
    server = config[S]
    port = server["port"]
    ports = {"port": port, "managementPort": server.get("managementPort", port), "metricsPort": server["metricsPort"]}
    gathering = config[B].get("multiNodesInferPort", 1120)
    for key, value in ports.items():
        if value == gathering:
            yield _problem(f"{S}.{key}", value, "must differ from BackendConfig.multiNodesInferPort", SERVER)
    if ports["metricsPort"] == port != ports["managementPort"]:
        rule = "may equal port only if managementPort does too"
        yield _problem(f"{S}.metricsPort", ports["metricsPort"], rule, "http_server")


def _device_rules(config: Mapping[str, Any]) -> Iterator[SettingProblem]:
    backend = config[B]
    sets, models = backend["npuDeviceIds"], config[B]["ModelDeployConfig"]["ModelConfig"]
    path = f"{B}.npuDeviceIds"
    if len(models) != 1:
        yield _problem(f"{D}.ModelConfig", len(models), "must have exactly one entry", DEPLOY)
        return
    if len(sets) != backend["modelInstanceNumber"]:
        yield _problem(path, sets, "must have as many sets as modelInstanceNumber", BACKEND)
    if backend["multiNodesInferEnabled"] and backend["modelInstanceNumber"] != 1:
        yield _problem(
            f"{B}.modelInstanceNumber", backend["modelInstanceNumber"], "must be 1 on several hosts", BACKEND
        )
    for ids in sets:
        if not isinstance(ids, list) or any(_kind(number) != "int" or number < 0 for number in ids):
            yield _problem(path, sets, "must be lists of whole numbers, at least 0", BACKEND)
        elif len(set(ids)) != len(ids):
            yield _problem(path, sets, "names an NPU twice", BACKEND)
        elif len(ids) != models[0]["worldSize"]:
            rule = f"must have as many NPUs as worldSize, which is {models[0]['worldSize']}"
            yield _problem(path, sets, rule, BACKEND)


def _model_rules(config: Mapping[str, Any]) -> Iterator[SettingProblem]:
    deploy, schedule = config[B]["ModelDeployConfig"], config[B]["ScheduleConfig"]
    model = deploy["ModelConfig"][0] if deploy["ModelConfig"] else {}
    if model.get("npuMemSize") == 0:
        yield _problem(f"{M}.npuMemSize", 0, "must be -1 or above 0", DEPLOY)
    if schedule["maxPreemptCount"] > 0 and model.get("cpuMemSize") == 0:
        yield _problem(f"{M}.cpuMemSize", 0, "must be above 0 when maxPreemptCount is", DEPLOY)
    plugins = model.get("plugin_params", "")
    if isinstance(plugins, str) and plugins:
        try:
            json.loads(plugins)
        except ValueError:
            yield _problem(f"{M}.plugin_params", plugins, "must be JSON, or the engine ends at its start", DEPLOY)
    longest = deploy["maxInputTokenLen"]
    if schedule["templateType"] != "Mix" and longest > schedule["maxPrefillTokens"]:
        rule = f"must be at least maxInputTokenLen, which is {longest}"
        yield _problem(f"{P}.maxPrefillTokens", schedule["maxPrefillTokens"], rule, SCHEDULE)
    if schedule["maxIterTimes"] > deploy["maxSeqLen"]:
        rule = f"must be at most maxSeqLen, which is {deploy['maxSeqLen']}"
        yield _problem(f"{P}.maxIterTimes", schedule["maxIterTimes"], rule, SCHEDULE)


def _batch_rules(config: Mapping[str, Any]) -> Iterator[SettingProblem]:
    schedule = config[B]["ScheduleConfig"]
    for key in ("maxPrefillBatchSize", "maxPreemptCount", "maxN"):
        if schedule.get(key, 0) > schedule["maxBatchSize"]:
            rule = f"must be at most maxBatchSize, which is {schedule['maxBatchSize']}"
            yield _problem(f"{P}.{key}", schedule[key], rule, SCHEDULE)


def _tls_rules(config: Mapping[str, Any]) -> Iterator[SettingProblem]:
    backend = config[B]
    if not backend["interNodeTLSEnabled"]:
        return
    for key in ("interNodeTlsCaPath", "interNodeTlsCert", "interNodeTlsPk"):
        if not backend.get(key):
            yield _problem(f"{B}.{key}", backend.get(key), "must be given when interNodeTLSEnabled is true", BACKEND)
    if not 1 <= len(backend.get("interNodeTlsCaFiles", ())) <= 3:
        files = backend.get("interNodeTlsCaFiles")
        yield _problem(f"{B}.interNodeTlsCaFiles", files, "must have 1 to 3 names", BACKEND)
    if len(backend.get("interNodeTlsCrlFiles", ())) > 3:
        yield _problem(f"{B}.interNodeTlsCrlFiles", backend["interNodeTlsCrlFiles"], "may have 3 names", BACKEND)
    if backend.get("interNodeTlsCrlPath"):
        rule = "must be empty: MindIE checks the directory as if it were a file and refuses it"
        yield _problem(f"{B}.interNodeTlsCrlPath", backend["interNodeTlsCrlPath"], rule, BACKEND)


def _form(config: Mapping[str, Any]) -> Iterator[SettingProblem]:
    """The file must be JSON that comes back as it went out: text keys, no NaN, at most 10 MiB."""
    try:
        text = json.dumps(config, allow_nan=False)
        same = json.loads(text) == config
    except (TypeError, ValueError) as error:
        yield SettingProblem(OVERRIDES, "", f"cannot be written as JSON: {error}")
        return
    if not same:
        yield SettingProblem(OVERRIDES, "", "has keys that are not text; write them in quotes")
    if len(text.encode()) > LARGEST:
        yield SettingProblem(OVERRIDES, len(text), f"must have at most {LARGEST} bytes (MindIE-LLM, file_utils.cpp)")


BETWEEN: tuple[Callable[[Mapping[str, Any]], Iterator[SettingProblem]], ...] = (
    _address_rules,
    _port_rules,
    _device_rules,
    _model_rules,
    _batch_rules,
    _tls_rules,
)

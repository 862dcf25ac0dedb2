"""config.json: each change with the words and the status it is refused with (MindIE-LLM, src/config_manager)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.image.gang import Host

SERVER = ("ServerConfig",)
BACKEND = ("BackendConfig",)
DEPLOY = (*BACKEND, "ModelDeployConfig")
SCHEDULE = (*BACKEND, "ScheduleConfig")
MODEL = (*DEPLOY, "ModelConfig", 0)
GONE = object()


def change(config: Any, path: tuple[Any, ...], value: object) -> None:
    for key in path[:-1]:
        config = config[key]
    if value is GONE:
        del config[path[-1]]
    else:
        config[path[-1]] = value


REQUIRED = [
    # server_config.cpp: among them the four that older examples lack.
    *[
        (*SERVER, name)
        for name in (
            "ipAddress", "port", "metricsPort", "allowAllZeroIpListening", "maxLinkNum", "httpsEnabled",
            "tokenTimeout", "e2eTimeout", "inferMode", "distDPServerEnabled",
        )
    ],
    # backend_config.cpp
    *[
        (*BACKEND, name)
        for name in (
            "backendName", "modelInstanceNumber", "npuDeviceIds", "tokenizerProcessNumber",
            "multiNodesInferEnabled", "interNodeTLSEnabled",
        )
    ],
    # model_deploy_config.cpp
    *[(*DEPLOY, name) for name in ("maxSeqLen", "maxInputTokenLen")],
    *[
        (*MODEL, name)
        for name in (
            "modelName", "modelWeightPath", "worldSize", "cpuMemSize", "npuMemSize", "backendType", "trustRemoteCode",
        )
    ],
    # schedule_config.cpp
    *[
        (*SCHEDULE, name)
        for name in (
            "templateType", "templateName", "cacheBlockSize", "maxPrefillBatchSize", "maxPrefillTokens",
            "prefillTimeMsPerReq", "decodeTimeMsPerReq", "prefillPolicyType", "decodePolicyType", "maxBatchSize",
            "maxIterTimes", "maxPreemptCount", "supportSelectBatch", "maxQueueDelayMicroseconds",
        )
    ],
]  # fmt: skip

VALUES: list[tuple[tuple[Any, ...], object, str]] = [
    # Strict types (param_checker.cpp): nothing is converted.
    ((*SERVER, "port"), "1025", "The type of param port should be int32"),
    ((*SERVER, "port"), 1025.0, "The type of param port should be int32"),
    ((*SERVER, "httpsEnabled"), 0, "The type of param httpsEnabled should be bool"),
    ((*SERVER, "maxLinkNum"), True, "The type of param maxLinkNum should be uint32"),
    ((*SERVER, "maxLinkNum"), -1, "The value of param maxLinkNum for uint32 is invalid"),
    # server_config.cpp: ranges and addresses.
    ((*SERVER, "port"), 1023, "Parameter port should be in [1024, 65535]"),
    ((*SERVER, "managementPort"), 65536, "Parameter managementPort should be in [1024, 65535]"),
    ((*SERVER, "maxLinkNum"), 0, "Parameter maxLinkNum should be in [1, 4096]"),
    ((*SERVER, "maxLinkNum"), 4097, "Parameter maxLinkNum should be in [1, 4096]"),
    ((*SERVER, "tokenTimeout"), 3601, "Parameter tokenTimeout should be in [1, 3600]"),
    ((*SERVER, "e2eTimeout"), 0, "Parameter e2eTimeout should be in [1, 65535]"),
    ((*SERVER, "inferMode"), "mixed", "Parameter inferMode should be one of"),
    ((*SERVER, "maxRequestLength"), 101, "Parameter maxRequestLength should be in [1, 100]"),
    ((*SERVER, "HealthCheckConfig"), {"npuUsageThreshold": 101}, "npuUsageThreshold should be in [0, 100]"),
    # httpsEnabled without certificates.
    ((*SERVER, "httpsEnabled"), True, "The tlsCert path is invalid"),
    # backend_config.cpp
    ((*BACKEND, "backendName"), "MindIE", "The pattern of backendName is invalid"),
    ((*BACKEND, "backendName"), "a" * 51, "The length of backendName exceeds 50"),
    ((*BACKEND, "modelInstanceNumber"), 2, "The size of npuDeviceIds does not equal to modelInstanceNumber"),
    ((*BACKEND, "npuDeviceIds"), [[0]], "The size of npuDeviceIds (subset) does not equal to worldSize"),
    ((*BACKEND, "npuDeviceIds"), [[0, -1]], "The values of npu_ids should not be less than 0"),
    ((*BACKEND, "npuDeviceIds"), [[0, 0]], "npuDeviceID does not allow repetitive element"),
    ((*BACKEND, "tokenizerProcessNumber"), 33, "Parameter tokenizerProcessNumber should be in [1, 32]"),
    ((*BACKEND, "multiNodesInferPort"), 80, "Parameter multiNodesInferPort should be in [1024, 65535]"),
    ((*BACKEND, "interNodeTLSEnabled"), True, "interNodeTlsCaPath: missing compulsory field"),
    ((*BACKEND, "kvPoolConfig"), {"backend": "redis"}, "Unknow kv pool backend"),
    # model_deploy_config.cpp
    ((*DEPLOY, "maxSeqLen"), 0, "maxSeqLen can not be 0"),
    ((*DEPLOY, "maxInputTokenLen"), 4194305, "maxInputTokenLen should be in [1, 4194304]"),
    ((*DEPLOY, "ModelConfig"), [], "There should be one modelParam for Standard templateType"),
    ((*MODEL, "modelName"), "-r1", "The value of modelName must be"),
    ((*MODEL, "modelName"), "r" * 257, "The value of modelName must be"),
    ((*MODEL, "npuMemSize"), 0, "The value of 'npuMemSize' is 0"),
    ((*MODEL, "npuMemSize"), -2, "The value of 'npuMemSize' is -2"),
    ((*MODEL, "backendType"), "vllm", "Backend type only supports atb, ms, torch"),
    ((*MODEL, "modelInstanceType"), "Other", "Model instance type is invalid"),
    # -1 is refused at load, though documents call it the default.
    ((*MODEL, "dp"), -1, "dp cannot be smaller than 1"),
    ((*MODEL, "sp"), -1, "sp cannot be smaller than 1"),
    ((*MODEL, "cp"), "two", "Invalid value for cp"),
    # Weights directory (SafePath): letters, existence.
    ((*MODEL, "modelWeightPath"), "/data/a+b", "the path holds a letter that is not allowed"),
    ((*MODEL, "modelWeightPath"), "/data/模型", "the path holds a letter that is not allowed"),
    ((*MODEL, "modelWeightPath"), "/data/../data", "a part of the path is not allowed"),
    ((*MODEL, "modelWeightPath"), "/nonexistent/model", "the directory does not exist"),
    # schedule_config.cpp
    ((*SCHEDULE, "templateType"), "Fast", "Parameter templateType should be one of"),
    ((*SCHEDULE, "templateName"), "Other", "Parameter templateName should be one of"),
    ((*SCHEDULE, "cacheBlockSize"), 129, "Parameter cacheBlockSize should be in [1, 128]"),
    ((*SCHEDULE, "maxPrefillBatchSize"), 65, "Parameter maxPrefillBatchSize should be in [0, 64]"),
    ((*SCHEDULE, "prefillTimeMsPerReq"), 1001, "Parameter prefillTimeMsPerReq should be in [0, 1000]"),
    ((*SCHEDULE, "decodePolicyType"), 4, "Parameter decodePolicyType should be in [0, 3]"),
    ((*SCHEDULE, "maxBatchSize"), 819201, "Parameter maxBatchSize should be in [1, 819200]"),
    ((*SCHEDULE, "maxIterTimes"), 0, "Parameter maxIterTimes should be in [1, "),
    ((*SCHEDULE, "maxQueueDelayMicroseconds"), 499, "should be in [500, 1000000]"),
    ((*SCHEDULE, "maxPreemptCount"), 65, "The maxPreemptCount cannot be set greater than maxBatchsize"),
    ((*SCHEDULE, "maxN"), 65, "The maxN cannot be set greater than maxBatchSize"),
    ((*SCHEDULE, "policyType"), 3, "Parameter policyType should be one of"),
    # config_manager_impl.cpp, CheckAllParam: rules between sections.
    ((*SCHEDULE, "maxPrefillTokens"), 2047, "maxPrefillTokens should not be less than maxInputTokenLen"),
]


def refused(host: Host, fragment: str) -> None:
    assert host.start().status() == 137
    assert fragment in host.out()
    assert "ERR: Failed to init endpoint! Please check the service log or console output." in host.err()
    assert "Failed to init endpoint!" in host.log()


@pytest.mark.parametrize("path", REQUIRED, ids=lambda path: str(path[-1]))
def test_missing_key_is_refused(single: Host, path: tuple[Any, ...]) -> None:
    change(single.config, path, GONE)
    refused(single, f"{path[-1]}: missing compulsory field")


@pytest.mark.parametrize(("path", "value", "fragment"), VALUES, ids=lambda item: str(item)[-40:])
def test_bad_value_is_refused(single: Host, path: tuple[Any, ...], value: object, fragment: str) -> None:
    change(single.config, path, value)
    refused(single, fragment)


def both_ports(config: Any) -> None:
    config["BackendConfig"]["multiNodesInferPort"] = config["ServerConfig"]["port"]


def preempt_without_memory(config: Any) -> None:
    config["BackendConfig"]["ScheduleConfig"]["maxPreemptCount"] = 1
    config["BackendConfig"]["ModelDeployConfig"]["ModelConfig"][0]["cpuMemSize"] = 0


def two_models(config: Any) -> None:
    models = config["BackendConfig"]["ModelDeployConfig"]["ModelConfig"]
    models.append(dict(models[0]))


@pytest.mark.parametrize(
    ("spoil", "fragment"),
    [
        (both_ports, "Endpoint port cannot be equal to multiNodesInferPort"),
        (preempt_without_memory, "cpuMemSize can not be 0 when maxPreemptCount is not 0"),
        (two_models, "There should be one modelParam for Standard templateType"),
    ],
)
def test_rules_between_keys(single: Host, spoil: Callable[[Any], None], fragment: str) -> None:
    spoil(single.config)
    refused(single, fragment)


@pytest.mark.parametrize("address", ["localhost", "0.0.0.0", "::", "1.2.3", "256.1.1.1"])
def test_address_must_be_an_ip_and_specified(single: Host, address: str) -> None:
    del single.environ["MIES_CONTAINER_IP"]
    single.config["ServerConfig"]["ipAddress"] = address
    refused(single, f"Input ipAddress [{address}]")


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("{", "JSON error in ConfigManager"),
        ('{"a": 1,}', "JSON error in ConfigManager"),
        ('{"a": NaN}', "JSON error in ConfigManager"),
        ('{"a": 1} // remark', "JSON error in ConfigManager"),
        ("[]", "JSON error in ConfigManager"),
        ("{}", "The type of param ServerConfig should be object"),
    ],
)
def test_not_json(single: Host, text: str, fragment: str) -> None:
    single.write()
    single.config_path.write_text(text, encoding="utf-8")
    assert single.start(write=False).status() == 137
    assert fragment in single.out()


def test_mix_template_lifts_the_prefill_rule(single: Host) -> None:
    single.config["BackendConfig"]["ScheduleConfig"] |= {"maxPrefillTokens": 128, "templateType": "Mix"}
    single.start().ready()


def test_unknown_keys_and_old_ones_are_ignored(single: Host) -> None:
    single.config["LogConfig"] = {"logLevel": "Info"}
    single.config["ServerConfig"]["tlsPkPwd"] = "x"
    single.config["BackendConfig"]["ScheduleConfig"]["enableSplit"] = True
    single.start().ready()
    assert "'enableSplit' parameter no longer needs to be configured" in single.out()

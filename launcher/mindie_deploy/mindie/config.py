"""config.json: one complete file for MindIE 2.0 to 3.x, the same on every host.

It is the superset: the keys of the 2.0 README and those that the 3.x validator wants in addition (tokenTimeout,
e2eTimeout, distDPServerEnabled); a release ignores the keys it does not know. Rules are in config_rules.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mindie_deploy.cluster.cross_rules import effective
from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.parallel import ParallelSizes, parallel_sizes
from mindie_deploy.cluster.problems import SettingProblem, SettingsError
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.mindie.config_rules import OVERRIDES, config_problems
from mindie_deploy.mindie.shadow import weights_path

INTER_COMM_PORT = 1121  # only used with inferMode dmi, which is never rendered

# Keys that other parts of the deployment act on, and where each is set instead of by an override.
OWNED_KEYS = {
    "ServerConfig.ipAddress": "follows from the inventory: the leader's address",
    "ServerConfig.managementIpAddress": "follows from the inventory: the leader's address",
    "ServerConfig.port": "is set by mindie_port",
    "ServerConfig.managementPort": "is set by mindie_management_port",
    "ServerConfig.metricsPort": "is set by mindie_metrics_port",
    "ServerConfig.httpsEnabled": "must stay false: readiness is proved over http",
    "ServerConfig.inferMode": "must stay standard: separate prefill and decode instances are not deployed here",
    "BackendConfig.modelInstanceNumber": "must stay 1: one model over all hosts",
    "BackendConfig.npuDeviceIds": "follows from mindie_npus_per_host",
    "BackendConfig.multiNodesInferEnabled": "follows from the number of hosts",
    "BackendConfig.multiNodesInferPort": "is set by mindie_multi_nodes_infer_port",
    "BackendConfig.ModelDeployConfig.ModelConfig[0].modelName": "is set by mindie_model_name",
    "BackendConfig.ModelDeployConfig.ModelConfig[0].modelWeightPath": "is set by mindie_model_path",
    "BackendConfig.ModelDeployConfig.ModelConfig[0].worldSize": "follows from mindie_npus_per_host",
    "BackendConfig.ModelDeployConfig.ModelConfig[0].dp": "is set by mindie_data_parallel_size",
    "BackendConfig.ModelDeployConfig.ModelConfig[0].tp": "is set by mindie_tensor_parallel_size",
    "BackendConfig.ModelDeployConfig.ModelConfig[0].pp": "is set by mindie_pipeline_parallel_size",
    "BackendConfig.ModelDeployConfig.ModelConfig[0].sp": "is set by mindie_sequence_parallel_size",
    "BackendConfig.ModelDeployConfig.ModelConfig[0].cp": "is set by mindie_context_parallel_size",
    "BackendConfig.ModelDeployConfig.ModelConfig[0].moe_tp": "is set by mindie_moe_tensor_parallel_size",
    "BackendConfig.ModelDeployConfig.ModelConfig[0].moe_ep": "is set by mindie_moe_expert_parallel_size",
    "BackendConfig.ModelDeployConfig.ModelConfig[0].backendType": "is set by mindie_backend_type",
}


def config(settings: Settings, hosts: Sequence[Host]) -> dict[str, Any]:
    """Returns config.json, overrides merged in. Raises SettingsError where the result breaks one of MindIE's rules."""
    rendered = _rendered(settings, hosts)
    merged = deep_merge(rendered, settings.config_overrides)
    problems = _owned_problems(rendered, merged) or config_problems(merged)
    if problems:
        raise SettingsError(problems)
    return merged


def config_text(value: Mapping[str, Any]) -> str:
    """Returns the file's text: strict JSON."""
    return json.dumps(value, indent=4, ensure_ascii=False, allow_nan=False) + "\n"


def deep_merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Merges overrides into base: dictionaries key by key, a list of dictionaries entry by entry where both have the
    same length, anything else replaced; null removes the key. Neither argument is changed.
    """
    result = dict(base)
    for key, value in overrides.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def _merged(old: Any, new: Any) -> Any:
    if isinstance(new, Mapping):
        return deep_merge(old if isinstance(old, Mapping) else {}, new)
    if isinstance(new, list):
        pairs = isinstance(old, list) and len(old) == len(new) and all(isinstance(item, Mapping) for item in old + new)
        return [deep_merge(one, other) for one, other in zip(old, new, strict=True)] if pairs else list(new)
    return new


def _owned_problems(rendered: Mapping[str, Any], merged: Mapping[str, Any]) -> list[SettingProblem]:
    problems = []
    for path, reason in OWNED_KEYS.items():
        before, after = _at(rendered, path), _at(merged, path)
        if type(before) is not type(after) or before != after:
            problems.append(SettingProblem(f"{OVERRIDES}: {path}", after, reason))
    return problems


def _at(value: Any, path: str) -> Any:
    """Returns what stands at a path such as "A.B[0].c", None where there is nothing."""
    for step in path.replace("[0]", ".0").split("."):
        if step == "0":
            value = value[0] if isinstance(value, list) and value else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _rendered(settings: Settings, hosts: Sequence[Host]) -> dict[str, Any]:
    sizes = parallel_sizes(settings, len(hosts) * settings.npus_per_host)
    return {
        "Version": "1.0.0",
        # 2.x notes that these are deprecated, 3.x ignores the first four; the level is set by MINDIE_LOG_LEVEL.
        "LogConfig": {
            "logLevel": "Info",
            "logFileSize": 20,
            "logFileNum": 20,
            "logPath": "logs/mindie-server.log",
            "dynamicLogLevel": "",
            "dynamicLogLevelValidHours": 2,
            "dynamicLogLevelValidTime": "",
        },
        "ServerConfig": _server(settings, hosts[0]),
        "BackendConfig": _backend(settings, len(hosts), sizes),
    }


def _server(settings: Settings, leader: Host) -> dict[str, Any]:
    return {
        "ipAddress": leader.address,  # MIES_CONTAINER_IP wins over it, so that the file is the same on all hosts
        "managementIpAddress": leader.address,
        "port": settings.port,
        "managementPort": settings.management_port,
        "metricsPort": settings.metrics_port,
        "allowAllZeroIpListening": False,
        "maxLinkNum": settings.max_link_num,
        "httpsEnabled": False,
        "fullTextEnabled": False,
        # The certificates' places as shipped: looked at with httpsEnabled only, kept for releases that want the keys.
        "tlsCaPath": "security/ca/",
        "tlsCaFile": ["ca.pem"],
        "tlsCert": "security/certs/server.pem",
        "tlsPk": "security/keys/server.key.pem",
        "tlsPkPwd": "security/pass/key_pwd.txt",
        "tlsCrlPath": "security/certs/",
        "tlsCrlFiles": ["server_crl.pem"],
        "managementTlsCaFile": ["management_ca.pem"],
        "managementTlsCert": "security/certs/management/server.pem",
        "managementTlsPk": "security/keys/management/server.key.pem",
        "managementTlsPkPwd": "security/pass/management/key_pwd.txt",
        "managementTlsCrlPath": "security/management/certs/",
        "managementTlsCrlFiles": ["server_crl.pem"],
        "metricsTlsCaFile": ["metrics_ca.pem"],
        "metricsTlsCert": "security/certs/metrics/server.pem",
        "metricsTlsPk": "security/keys/metrics/server.key.pem",
        "metricsTlsCrlPath": "security/metrics/certs/",
        "metricsTlsCrlFiles": ["server_crl.pem"],
        "kmcKsfMaster": "tools/pmt/master/ksfa",
        "kmcKsfStandby": "tools/pmt/standby/ksfb",
        "inferMode": "standard",
        "interCommTLSEnabled": False,
        "interCommPort": INTER_COMM_PORT,
        "interCommTlsCaPath": "security/grpc/ca/",
        "interCommTlsCaFiles": ["ca.pem"],
        "interCommTlsCert": "security/grpc/certs/server.pem",
        "interCommPk": "security/grpc/keys/server.key.pem",
        "interCommPkPwd": "security/grpc/pass/key_pwd.txt",
        "interCommTlsCrlPath": "security/grpc/certs/",
        "interCommTlsCrlFiles": ["server_crl.pem"],
        "openAiSupport": "vllm",
        "tokenTimeout": settings.token_timeout,
        "e2eTimeout": settings.e2e_timeout,
        "distDPServerEnabled": False,
        "HealthCheckConfig": {"npuUsageThreshold": settings.npu_usage_threshold},
    }


def _backend(settings: Settings, host_count: int, sizes: ParallelSizes) -> dict[str, Any]:
    return {
        "backendName": "mindieservice_llm_engine",
        "modelInstanceNumber": 1,
        # Taken from the rank table in the end, yet a file where they disagree with worldSize is refused before that.
        "npuDeviceIds": [list(range(settings.npus_per_host))],
        "tokenizerProcessNumber": settings.tokenizer_process_number,
        "multiNodesInferEnabled": host_count > 1,
        "multiNodesInferPort": settings.multi_nodes_infer_port,
        "interNodeTLSEnabled": False,
        "interNodeTlsCaPath": "security/grpc/ca/",
        "interNodeTlsCaFiles": ["ca.pem"],
        "interNodeTlsCert": "security/grpc/certs/server.pem",
        "interNodeTlsPk": "security/grpc/keys/server.key.pem",
        "interNodeTlsPkPwd": "security/grpc/pass/mindie_server_key_pwd.txt",
        "interNodeTlsCrlPath": "",  # 3.x checks a directory here as if it were a file, and refuses it
        "interNodeTlsCrlFiles": [],
        "interNodeKmcKsfMaster": "tools/pmt/master/ksfa",
        "interNodeKmcKsfStandby": "tools/pmt/standby/ksfb",
        "ModelDeployConfig": {
            "maxSeqLen": settings.max_seq_len,
            "maxInputTokenLen": effective(settings, "max_input_token_len"),
            "truncation": settings.truncation,
            **_gamma(settings),
            "ModelConfig": [_model(settings, sizes)],
        },
        "ScheduleConfig": _schedule(settings),
    }


def _gamma(settings: Settings) -> dict[str, Any]:
    """speculationGamma: how many tokens a step may guess."""
    if settings.enable_memory_decoding:
        return {"speculationGamma": settings.memory_decoding_length}
    if settings.enable_lookahead:
        guesses = settings.lookahead_window + settings.lookahead_guess_set_size
        return {"speculationGamma": (settings.lookahead_level - 1) * guesses}
    return {}


def _model(settings: Settings, sizes: ParallelSizes) -> dict[str, Any]:
    model: dict[str, Any] = {
        "modelInstanceType": "Standard",
        "modelName": settings.model_name,
        "modelWeightPath": weights_path(settings),
        "worldSize": settings.npus_per_host,
        "cpuMemSize": settings.cpu_mem_size,
        "npuMemSize": settings.npu_mem_size,
        "backendType": settings.backend_type,
        "trustRemoteCode": settings.trust_remote_code,
        # Always written: a release that is left to guess takes moe_tp = tp, and no dp at all ended in an abort.
        "dp": sizes.dp,
        "tp": sizes.tp,
        "moe_tp": sizes.moe_tp,
        "moe_ep": sizes.moe_ep,
    }
    # Not all releases know these, and 1 is what all take where they are missing.
    model |= {name: size for name, size in (("pp", sizes.pp), ("sp", sizes.sp), ("cp", sizes.cp)) if size > 1}
    plugins = _plugins(settings)
    if plugins:
        model["plugin_params"] = json.dumps(plugins)
    if settings.models:
        model["models"] = settings.models
    return model


def _plugins(settings: Settings) -> dict[str, Any]:
    """Returns plugin_params: the plug-ins as a comma list, and their parameters."""
    plugins: dict[str, dict[str, Any]] = {}
    if settings.enable_split:
        plugins["splitfuse"] = {}
    if settings.enable_memory_decoding:
        plugins["memory_decoding"] = {"decoding_length": settings.memory_decoding_length}
        if settings.memory_decoding_dynamic_algo:
            plugins["memory_decoding"]["dynamic_algo"] = True
    if settings.enable_lookahead:
        plugins["la"] = {
            "level": settings.lookahead_level,
            "window": settings.lookahead_window,
            "guess_set_size": settings.lookahead_guess_set_size,
        }
    if settings.enable_multi_token_prediction:
        plugins["mtp"] = {"num_speculative_tokens": settings.multi_token_prediction_tokens}
    if settings.enable_prefix_caching:
        plugins["prefix_cache"] = {}
    if not plugins:
        return {}
    parameters = {name: value for options in plugins.values() for name, value in options.items()}
    return {"plugin_type": ",".join(plugins), **parameters}


def _schedule(settings: Settings) -> dict[str, Any]:
    schedule: dict[str, Any] = {
        "templateType": "Mix" if settings.enable_split else "Standard",
        "templateName": "Standard_LLM",
        "cacheBlockSize": settings.cache_block_size,
        "maxPrefillBatchSize": settings.max_prefill_batch_size or settings.max_batch_size,  # 2.x takes no 0
        "maxPrefillTokens": effective(settings, "max_prefill_tokens"),
        "prefillTimeMsPerReq": settings.prefill_time_ms_per_req,
        "prefillPolicyType": settings.prefill_policy_type,
        "decodeTimeMsPerReq": settings.decode_time_ms_per_req,
        "decodePolicyType": settings.decode_policy_type,
        "maxBatchSize": settings.max_batch_size,
        "maxIterTimes": effective(settings, "max_iter_times"),
        "maxPreemptCount": settings.max_preempt_count,
        "supportSelectBatch": settings.support_select_batch,
        "maxQueueDelayMicroseconds": settings.max_queue_delay_microseconds,
    }
    if settings.enable_split:
        schedule |= {
            "enableSplit": True,
            "policyType": settings.policy_type,
            "splitType": False,
            "splitStartType": False,
            "splitChunkTokens": settings.split_chunk_tokens,
            "splitStartBatchSize": settings.split_start_batch_size,
        }
    if settings.enable_prefix_caching:
        schedule["enablePrefixCache"] = True
    if settings.enable_buffer_response:
        schedule |= {
            "bufferResponseEnabled": True,
            "prefillExpectedTime": settings.prefill_expected_time_ms,
            "decodeExpectedTime": settings.decode_expected_time_ms,
        }
    return schedule

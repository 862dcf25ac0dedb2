"""config.json: what is written, how overrides are merged, and that the result keeps MindIE's rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mindie_deploy.cluster.cross_rules import cross_problems
from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.parallel import parallel_problems
from mindie_deploy.cluster.settings import Settings, SettingsError
from mindie_deploy.mindie.config import config, config_text, deep_merge
from mindie_deploy.mindie.config_rules import RULES, config_problems

GOLDEN = Path(__file__).parent / "golden"
SIZES = {"dp": 4, "tp": 8, "moe_tp": 1, "moe_ep": 32}


def made(hosts: list[Host], **values: object) -> dict[str, Any]:
    return config(Settings.model_validate(values), hosts)


def overridden(hosts: list[Host], overrides: dict[str, Any]) -> dict[str, Any]:
    return made(hosts, config_overrides=overrides)


def refused(hosts: list[Host], overrides: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        overridden(hosts, overrides)
    return {problem.key: problem.rule for problem in caught.value.problems}


def test_the_reference_file_is_as_reviewed(hosts: list[Host]) -> None:
    assert config_text(made(hosts)) == (GOLDEN / "config.json").read_text(encoding="utf-8")


def test_what_decides_the_deployment(hosts: list[Host]) -> None:
    whole = made(hosts)
    server, backend = whole["ServerConfig"], whole["BackendConfig"]
    model = backend["ModelDeployConfig"]["ModelConfig"][0]
    assert {name: model[name] for name in SIZES} == SIZES
    assert not {"pp", "sp", "cp"} & set(model)
    assert (model["worldSize"], backend["npuDeviceIds"]) == (8, [[0, 1, 2, 3, 4, 5, 6, 7]])
    assert backend["multiNodesInferEnabled"] is True
    assert (backend["interNodeTLSEnabled"], server["httpsEnabled"]) == (False, False)
    assert server["ipAddress"] == server["managementIpAddress"] == "192.0.2.11"
    assert {"tokenTimeout", "e2eTimeout", "distDPServerEnabled", "metricsPort"} <= set(server)
    limits = backend["ModelDeployConfig"], backend["ScheduleConfig"]
    assert limits[0]["maxSeqLen"] == limits[0]["maxInputTokenLen"] == limits[1]["maxPrefillTokens"] == 8192


def test_one_host_is_not_multi_node(hosts: list[Host]) -> None:
    backend = made(hosts[:1], data_parallel_size=1, moe_expert_parallel_size=8)["BackendConfig"]
    assert backend["multiNodesInferEnabled"] is False


@pytest.mark.parametrize(
    ("values", "plugins"),
    [
        ({"enable_multi_token_prediction": True}, {"plugin_type": "mtp", "num_speculative_tokens": 1}),
        (
            {"enable_multi_token_prediction": True, "enable_prefix_caching": True},
            {"plugin_type": "mtp,prefix_cache", "num_speculative_tokens": 1},
        ),
        ({"enable_split": True}, {"plugin_type": "splitfuse"}),
        ({"enable_lookahead": True}, {"plugin_type": "la", "level": 4, "window": 5, "guess_set_size": 5}),
        (
            {"enable_memory_decoding": True, "memory_decoding_dynamic_algo": True},
            {"plugin_type": "memory_decoding", "decoding_length": 16, "dynamic_algo": True},
        ),
    ],
)
def test_features_become_plugin_parameters(hosts: list[Host], values: dict[str, Any], plugins: dict[str, Any]) -> None:
    backend = made(hosts, **values)["BackendConfig"]
    assert json.loads(backend["ModelDeployConfig"]["ModelConfig"][0]["plugin_params"]) == plugins
    assert backend["ScheduleConfig"]["templateType"] == ("Mix" if "enable_split" in values else "Standard")


def test_lookahead_sets_how_many_tokens_are_guessed(hosts: list[Host]) -> None:
    assert made(hosts, enable_lookahead=True)["BackendConfig"]["ModelDeployConfig"]["speculationGamma"] == 30


def test_overrides_win_key_by_key(hosts: list[Host]) -> None:
    model = {"async_scheduler_wait_time": 120, "models": {"deepseekv2": {"ep_level": 1}}}
    whole = overridden(
        hosts,
        {
            "ServerConfig": {"fullTextEnabled": True, "openAiSupport": None},
            "BackendConfig": {"ModelDeployConfig": {"ModelConfig": [model]}},
            "New": [1],
        },
    )
    assert whole["ServerConfig"]["fullTextEnabled"] is True
    assert "openAiSupport" not in whole["ServerConfig"]
    assert (
        whole["BackendConfig"]["ModelDeployConfig"]["ModelConfig"][0] | model
        == (whole["BackendConfig"]["ModelDeployConfig"]["ModelConfig"][0])
    )
    assert whole["New"] == [1]


def test_merging_changes_neither_side() -> None:
    base, overrides = {"a": {"b": [1, {"c": 1}]}}, {"a": {"b": [{"d": 1}], "e": {"f": None}}}
    before = json.dumps([base, overrides])
    assert deep_merge(base, overrides) == {"a": {"b": [{"d": 1}], "e": {}}}
    assert json.dumps([base, overrides]) == before


@pytest.mark.parametrize(
    ("overrides", "key", "said"),
    [
        ({"ServerConfig": {"maxLinkNum": "300"}}, "ServerConfig.maxLinkNum", "a whole number"),
        ({"ServerConfig": {"maxLinkNum": 300.0}}, "ServerConfig.maxLinkNum", "a whole number"),
        ({"ServerConfig": {"maxLinkNum": True}}, "ServerConfig.maxLinkNum", "a whole number"),
        ({"ServerConfig": {"maxLinkNum": 5000}}, "ServerConfig.maxLinkNum", "from 1 to 4096"),
        ({"ServerConfig": {"fullTextEnabled": 0}}, "ServerConfig.fullTextEnabled", "true or false"),
        ({"ServerConfig": {"tokenTimeout": None}}, "ServerConfig.tokenTimeout", "is missing"),
        ({"ServerConfig": {"e2eTimeout": 70000}}, "ServerConfig.e2eTimeout", "from 1 to 65535"),
        ({"ServerConfig": {"HealthCheckConfig": {"npuUsageThreshold": 101}}}, "npuUsageThreshold", "0 to 100"),
        ({"BackendConfig": {"ScheduleConfig": None}}, "BackendConfig.ScheduleConfig", "is missing"),
        ({"BackendConfig": {"ScheduleConfig": 1}}, "BackendConfig.ScheduleConfig", "an object"),
        ({"BackendConfig": {"ScheduleConfig": {"maxN": 65}}}, "ScheduleConfig.maxN", "at most maxBatchSize"),
        ({"BackendConfig": {"ScheduleConfig": {"policyType": 2}}}, "ScheduleConfig.policyType", "one of 0, 4"),
        (
            {"BackendConfig": {"ScheduleConfig": {"maxPrefillTokens": 4096}}},
            "ScheduleConfig.maxPrefillTokens",
            "at least maxInputTokenLen, which is 8192",
        ),
        (
            {"BackendConfig": {"ScheduleConfig": {"maxPreemptCount": 1}}},
            "ModelConfig[0].cpuMemSize",
            "above 0 when maxPreemptCount",
        ),
        ({"BackendConfig": {"backendName": "Engine"}}, "BackendConfig.backendName", "must fit"),
        (
            {"BackendConfig": {"interNodeTLSEnabled": True, "interNodeTlsCrlPath": "security/x/"}},
            "BackendConfig.interNodeTlsCrlPath",
            "must be empty",
        ),
        (
            {"BackendConfig": {"interNodeTLSEnabled": True, "interNodeTlsCaFiles": []}},
            "BackendConfig.interNodeTlsCaFiles",
            "1 to 3 names",
        ),
        (
            {"BackendConfig": {"ModelDeployConfig": {"ModelConfig": [{"plugin_params": "{mtp}"}]}}},
            "ModelConfig[0].plugin_params",
            "must be JSON",
        ),
        ({"LogConfig": {"dynamicLogLevelValidHours": 200}}, "dynamicLogLevelValidHours", "from 1 to 168"),
        ({"ServerConfig": {5: 1}}, "mindie_config_overrides", "not text"),
        ({"X": float("nan")}, "mindie_config_overrides", "cannot be written as JSON"),
    ],
)
def test_an_override_that_mindie_refuses_is_named_by_key(
    hosts: list[Host], overrides: dict[str, Any], key: str, said: str
) -> None:
    found = refused(hosts, overrides)
    assert any(key in name and said in rule for name, rule in found.items()), found


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"ServerConfig": {"port": 1030}}, "is set by mindie_port"),
        ({"ServerConfig": {"httpsEnabled": True}}, "must stay false"),
        ({"ServerConfig": {"ipAddress": "0.0.0.0"}}, "the leader's address"),
        ({"BackendConfig": {"multiNodesInferEnabled": False}}, "number of hosts"),
        ({"BackendConfig": {"multiNodesInferEnabled": 1}}, "number of hosts"),
        ({"BackendConfig": {"ModelDeployConfig": {"ModelConfig": [{"dp": 2}]}}}, "mindie_data_parallel_size"),
        ({"BackendConfig": {"ModelDeployConfig": {"ModelConfig": [{"pp": 1}]}}}, "mindie_pipeline_parallel_size"),
        ({"BackendConfig": {"ModelDeployConfig": {"ModelConfig": []}}}, "mindie_model_name"),
        ({"BackendConfig": None}, "mindie_npus_per_host"),
    ],
)
def test_what_others_act_on_is_not_overridden_behind_their_back(
    hosts: list[Host], overrides: dict[str, Any], said: str
) -> None:
    found = refused(hosts, overrides)
    assert any(said in rule for rule in found.values()), found
    assert all(key.startswith("mindie_config_overrides: ") for key in found)


def test_an_override_that_repeats_what_is_rendered_is_no_fault(hosts: list[Host]) -> None:
    assert overridden(hosts, {"ServerConfig": {"port": 1025}}) == made(hosts)


def test_every_rule_names_a_source_and_a_key_once() -> None:
    assert all(rule.source for rule in RULES)
    assert len({rule.path for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    "hostile", [{}, {"ServerConfig": []}, {"ServerConfig": {}, "BackendConfig": {"npuDeviceIds": 1}}]
)
def test_rules_take_any_file(hostile: dict[str, Any]) -> None:
    assert config_problems(hostile)


NUMBERS = {
    "max_seq_len": st.integers(1, 200000),
    "max_input_token_len": st.one_of(st.just(-1), st.integers(1, 200000)),
    "max_prefill_tokens": st.one_of(st.just(-1), st.integers(1, 400000)),
    "max_iter_times": st.one_of(st.just(-1), st.integers(1, 200000)),
    "max_batch_size": st.integers(1, 819200),
    "max_prefill_batch_size": st.integers(0, 64),
    "max_preempt_count": st.integers(0, 3),
    "cpu_mem_size": st.integers(0, 4096),
    "npu_mem_size": st.sampled_from([-1, 1, 64]),
    "port": st.sampled_from([1024, 1025, 65535]),
    "management_port": st.sampled_from([1025, 1026, 65535]),
    "metrics_port": st.sampled_from([1025, 1026, 1027]),
    "multi_nodes_infer_port": st.sampled_from([1120, 1024, 65535]),
    "max_link_num": st.integers(1, 4096),
    "token_timeout": st.integers(1, 3600),
    "e2e_timeout": st.integers(1, 65535),
    "cache_block_size": st.sampled_from([16, 32, 64, 128]),
    "data_parallel_size": st.sampled_from([-1, 1, 2, 4, 8]),
    "tensor_parallel_size": st.sampled_from([-1, 4, 8, 16, 32]),
    "moe_tensor_parallel_size": st.sampled_from([-1, 1, 4, 8]),
    "moe_expert_parallel_size": st.sampled_from([-1, 4, 8, 32]),
    "prefill_expected_time_ms": st.integers(0, 10000),
    "decode_expected_time_ms": st.integers(0, 10000),
    "split_chunk_tokens": st.integers(512, 8192),
    "lookahead_level": st.integers(3, 16),
    "lookahead_window": st.integers(1, 16),
}
FLAGS = (
    "enable_split",
    "enable_memory_decoding",
    "enable_lookahead",
    "enable_multi_token_prediction",
    "enable_prefix_caching",
    "enable_buffer_response",
    "truncation",
    "support_select_batch",
)


@hypothesis_settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None)
@given(
    st.fixed_dictionaries({}, optional=NUMBERS),
    st.fixed_dictionaries({}, optional=dict.fromkeys(FLAGS, st.booleans())),
    st.sampled_from([1, 2, 4]),
)
def test_any_settings_that_pass_our_rules_give_a_file_that_keeps_mindies(
    numbers: dict[str, int], flags: dict[str, bool], host_count: int
) -> None:
    settings = Settings.model_validate(numbers | flags)
    hosts = [Host(f"h{rank}", f"192.0.2.{rank + 1}", rank) for rank in range(host_count)]
    assume(not cross_problems(settings) and not parallel_problems(settings, host_count))
    whole = config(settings, hosts)  # raises where a rule is broken
    assert json.loads(config_text(whole)) == whole
    assert config_problems(whole) == []

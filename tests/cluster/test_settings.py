"""What a user may write as settings, and what he is told when it is wrong."""

from __future__ import annotations

import pytest
import yaml

from mindie_deploy.cluster.settings import Settings, SettingsError, plain
from mindie_deploy.errors import ExitCode


def problems(**variables: object) -> dict[str, str]:
    """Returns {key: rule} of the settings that are refused."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_variables({f"mindie_{name}": value for name, value in variables.items()})
    assert caught.value.exit_code is ExitCode.USAGE
    return {problem.key: problem.rule for problem in caught.value.problems}


def test_no_variables_are_the_reference_cluster() -> None:
    settings = Settings.from_variables({})
    sizes = (settings.data_parallel_size, settings.tensor_parallel_size)
    experts = (settings.moe_tensor_parallel_size, settings.moe_expert_parallel_size)
    assert (*sizes, *experts, settings.npu_memory_fraction) == (4, 8, 1, 32, 0.95)
    assert (settings.deployment, settings.version, settings.max_link_num) == ("deepseek-r1", "auto", 300)


def test_other_variables_are_none_of_our_business() -> None:
    variables = {
        "ansible_host": "192.0.2.11",
        "mindie_host_address": "192.0.2.11",
        "mindie_settings": {},
        "mindie_deploy_run_id": "20260101-1",
        "groups": {},
        7: "odd",
    }
    assert Settings.from_variables(variables) == Settings()  # type: ignore[arg-type]


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    assert problems(tensr_parallel_size=8) == {
        "mindie_tensr_parallel_size": "there is no such setting; did you mean mindie_tensor_parallel_size?"
    }
    assert problems(quux=8) == {"mindie_quux": "there is no such setting"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("port", "1025", "remove the quotes"),
        ("port", 1025.0, "write 1025"),
        ("port", True, "yes-or-no"),
        ("port", None, "remove the line"),
        ("port", 80, "from 1024 to 65535"),
        ("port", [1025], "a whole number from 1024 to 65535"),
        ("tensor_parallel_size", "8", "remove the quotes"),
        ("tensor_parallel_size", 8.0, "write 8"),
        ("tensor_parallel_size", 6, "power of two"),
        ("data_parallel_size", 0, "from 1 to 512"),
        ("data_parallel_size", -2, "from 1 to 512"),
        ("e2e_timeout", 65536, "from 1 to 65535"),
        ("token_timeout", 3601, "from 1 to 3600"),
        ("metrics", "yes", "without quotes"),
        ("metrics", 1, "true or false"),
        ("npu_memory_fraction", 0, "above 0, at most 1"),
        ("npu_memory_fraction", 1.01, "above 0, at most 1"),
        ("npu_memory_fraction", float("nan"), "above 0, at most 1"),
        ("npu_memory_fraction", "0.95", "remove the quotes"),
        ("cache_block_size", 100, "one of 16, 32, 64, 128"),
        ("npu_mem_size", 0, "must be -1"),
        ("max_iter_times", 0, "1 to 4194304"),
        ("engine", "Docker", 'one of "docker", "podman"'),
        ("deployment", "Deepseek", "a-z"),
        ("deployment", "-a", "a-z"),
        ("deployment", "../etc", "a-z"),
        ("model_name", "", "1 to 256"),
        ("model_name", "R1 BF16", "1 to 256"),
        ("model_path", "models/R1", "begin with /"),
        ("model_path", "/data/my model", "letters"),
        ("model_path", "/data/a+b", "letters"),
        ("model_path", "/data/模型", "letters"),
        ("model_path", "/data/../etc", '".."'),
        ("model_path", "/", "directory of its own"),
        ("model_path", "/usr/local/Ascend", "belongs to the system"),
        ("model_path", "/data/" + "a/" * 40, "too long"),
        ("model_path", 5, "write it in quotes"),
        ("weights_source", "/data/x", "controller:/path"),
        ("weights_source", "host:/data/x", "controller:/path"),
        ("weights_source", "host:a b:/data/x", "controller:/path"),
        ("weights_source", "controller:/data/x y", "letters"),
        ("image", "mindie:latest; rm -rf /", "image reference"),
        ("image", "-v", "image reference"),
        ("image_archive", "images/x.tar", "absolute path"),
        ("image_archive", "host:/x.tar", "host:NAME:/path"),
        ("image_archive", "host:a b:/x.tar", "host:NAME:/path"),
        ("image_archive", "mount:x.tar", "mount:/path"),
        ("image_archive", "huggingface:a/b", "absolute path"),
        ("container_user", "root", "uid:gid"),
        ("state_directory", "/etc/mindie", "belongs to the system"),
        ("shm_size", "1", "512m"),
        ("shm_size", 64, "quotes"),
        ("mounts", ["/data"], "source:destination"),
        ("mounts", ["/a:b"], "absolute path"),
        ("mounts", ["/a:/b:rx"], "source:destination"),
        ("mounts", "/a:/b", "a list"),
        ("ulimits", {"nofile": "many"}, "numbers"),
        ("environment", ["A=1"], "a dictionary"),
        ("environment", {"A B": "1"}, "not a name"),
        ("environment", {"A": True}, "texts or whole numbers"),
        ("environment", {"A": 1.5}, "texts or whole numbers"),
        ("environment", {"A": "x\ny"}, "one line"),
        ("environment", {"MIES_CONTAINER_IP": "10.0.0.1"}, "differs on every host"),
        ("environment", {"NPU_MEMORY_FRACTION": "0.9"}, "mindie_npu_memory_fraction"),
        ("environment", {"HTTPS_PROXY": "http://p:1"}, "proxy"),
        ("environment", {"HF_TOKEN": "abc"}, "secret"),
        ("environment", {"LD_LIBRARY_PATH": "/x"}, "set_env.sh"),
        ("environment", {"CPU_BINDING_NUM": "4"}, "type check"),
        ("environment", {"HCCL_BUFFSIZE": "512M"}, "a whole number of MB"),
        ("environment", {"TOKENIZER_ENCODE_TIMEOUT": 301}, "from 5 to 300"),
        ("environment", {"MIES_X": "y" * 257}, "unset"),
        ("config_overrides", [1], "form of config.json"),
        ("stop_timeout", 10, "from 25 to 3600"),
        ("ready_prompt", " ", "1 to 2000"),
        ("checks_skip", ["No Such"], "not a check id"),
        ("dtype", "fp8", "one of"),
        ("rope_theta", -1.0, "at least 0"),
        ("npus_per_host", 17, "from 1 to 16"),
        ("policy_type", 1, "one of 0, 4, 5, 6, 7"),
    ],
)
def test_a_wrong_value_is_refused_with_its_rule(name: str, value: object, said: str) -> None:
    found = problems(**{name: value})
    assert list(found) == [f"mindie_{name}"]
    assert said in found[f"mindie_{name}"]


def test_all_problems_are_named_at_once() -> None:
    assert set(problems(port="1", prot=1, metrics=2)) == {"mindie_port", "mindie_prot", "mindie_metrics"}


def test_the_message_names_key_value_and_rule_and_what_to_do() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_variables({"mindie_port": 80})
    assert "mindie_port = 80: must be a whole number from 1024 to 65535" in str(caught.value)
    assert caught.value.remedy


def test_a_long_or_hostile_value_is_shown_shortened_and_on_one_line() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_variables({"mindie_model_name": "\x1b[31m\n" + "x" * 5000})
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_yaml_values_pass_as_yaml_reads_them() -> None:
    text = """
    mindie_model_path: /data/models/R1/
    mindie_npu_memory_fraction: 1
    mindie_environment: {HCCL_BUFFSIZE: 512, HCCL_ALGO: "level0:NA;level1:pipeline"}
    mindie_weights_source: host:atlas1:/data/src/
    """
    settings = Settings.from_variables(yaml.safe_load(text))
    assert settings.model_path == "/data/models/R1"
    assert settings.npu_memory_fraction == 1.0
    assert settings.environment == {"HCCL_BUFFSIZE": 512, "HCCL_ALGO": "level0:NA;level1:pipeline"}
    assert settings.weights_source == "host:atlas1:/data/src"


def test_ansible_wrappers_are_taken_off_but_types_stay() -> None:
    class Text(str):
        """Like Ansible's tagged text."""

    class Number(int):
        """Like Ansible's tagged number."""

    settings = Settings.from_variables({"mindie_port": Number(1030), "mindie_deployment": Text("r1")})
    assert type(settings.port) is int
    assert type(settings.deployment) is str
    assert plain({Text("a"): (Number(1), True)}) == {"a": [1, True]}
    assert "mindie_port" in problems(port=Text("1030"))


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({"max_input_token_len": 9000, "max_prefill_tokens": 9000}, "mindie_max_input_token_len"),
        ({"max_iter_times": 8193}, "mindie_max_iter_times"),
        ({"max_prefill_tokens": 4096}, "mindie_max_prefill_tokens"),
        ({"max_batch_size": 4}, "mindie_max_prefill_batch_size"),
        ({"max_preempt_count": 1}, "mindie_cpu_mem_size"),
        ({"max_preempt_count": 65, "cpu_mem_size": 1}, "mindie_max_preempt_count"),
        ({"multi_nodes_infer_port": 1025}, "mindie_multi_nodes_infer_port"),
        ({"weights_port": 1120}, "mindie_weights_port"),
        ({"master_port": 1026}, "mindie_master_port"),
        ({"metrics_port": 1025}, "mindie_metrics_port"),
        ({"enable_prefix_caching": True}, "mindie_enable_prefix_caching"),
        ({"enable_split": True}, "mindie_enable_split"),
        (
            {"enable_lookahead": True, "enable_memory_decoding": True, "data_parallel_size": 1},
            "mindie_enable_lookahead",
        ),
        (
            {"enable_split": True, "data_parallel_size": 1, "split_chunk_tokens": 8193},
            "mindie_split_chunk_tokens",
        ),
        ({"enable_buffer_response": True, "prefill_expected_time_ms": 5}, "mindie_decode_expected_time_ms"),
        ({"backend_type": "torch"}, "mindie_backend_type"),
        ({"model_path": "/var/lib/mindie-deploy/x"}, "mindie_model_path"),
        ({"model_path": "/var/lib"}, "mindie_model_path"),
        ({"state_directory": "/data/" + "a" * 240}, "mindie_state_directory"),
        ({"clock_skew_warn_s": 61.0}, "mindie_clock_skew_warn_s"),
        ({"checks_skip": ["a.b"], "checks_warn": ["a.b"]}, "mindie_checks_warn"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(variables: dict[str, object], key: str) -> None:
    assert list(problems(**variables)) == [key]


def test_one_port_for_all_three_planes_is_allowed() -> None:
    same = {"mindie_port": 1030, "mindie_management_port": 1030, "mindie_metrics_port": 1030}
    assert Settings.from_variables(same).metrics_port == 1030


def test_prediction_of_tokens_goes_with_data_parallel() -> None:
    assert Settings.from_variables({"mindie_enable_multi_token_prediction": True})


def test_a_setting_that_differs_between_hosts_is_refused_with_both_values() -> None:
    shared = {"mindie_deployment": "r1"}
    one = shared | {"mindie_port": 1025, "mindie_host_address": "192.0.2.1"}
    with pytest.raises(SettingsError) as caught:
        Settings.from_host_variables({"a": one, "b": shared | {"mindie_port": 1030}})
    assert "a: 1025; b: 1030" in str(caught.value)
    same = Settings.from_host_variables({"a": one, "b": one | {"mindie_host_address": "192.0.2.2"}})
    assert same.deployment == "r1"
    assert Settings.from_host_variables({}) == Settings()


def test_settings_are_frozen_and_survive_the_round_trip() -> None:
    settings = Settings.from_variables({"mindie_port": 1030})
    assert Settings.from_variables(settings.to_variables()) == settings
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 5  # type: ignore[misc]


def test_defaults_with_contents_are_not_shared() -> None:
    one, other = Settings(), Settings()
    one.environment["A"] = "1"
    assert other.environment == {}


def test_a_refused_secret_is_not_printed() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_variables({"mindie_environment": {"HF_TOKEN": "do-not-show"}})
    assert "HF_TOKEN" in str(caught.value)
    assert "do-not-show" not in str(caught.value)

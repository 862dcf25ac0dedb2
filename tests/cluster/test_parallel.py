"""Parallel sizes against hosts and NPUs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.parallel import parallel_problems, parallel_sizes, require_sources, validate
from mindie_deploy.cluster.settings import Settings, SettingsError

DP, TP = "data_parallel_size", "tensor_parallel_size"
PP, SP, CP = "pipeline_parallel_size", "sequence_parallel_size", "context_parallel_size"
MOE_TP, MOE_EP = "moe_tensor_parallel_size", "moe_expert_parallel_size"


def settings(**values: object) -> Settings:
    return Settings.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {DP: 1, TP: 32, MOE_TP: -1, MOE_EP: -1},
        {DP: -1, TP: -1, MOE_TP: -1, MOE_EP: -1},
        {DP: 8, TP: 4},
        {DP: 32, TP: 1},
        {MOE_TP: 4, MOE_EP: 8},
        {SP: 8},
        {SP: 1, CP: 1},
        {PP: 4, DP: -1},
        {PP: 4, DP: 1, TP: -1},
        {CP: 4, DP: 1},
    ],
)
def test_sizes_that_mindie_takes_on_four_hosts(values: dict[str, object]) -> None:
    assert parallel_problems(settings(**values), 4) == []


@pytest.mark.parametrize(
    ("values", "hosts", "key", "said"),
    [
        ({DP: 2, TP: 8}, 4, DP, "2 x 8 = 16, but 4 hosts x 8 NPUs = 32"),
        ({}, 2, DP, "4 x 8 = 32, but 2 hosts x 8 NPUs = 16"),
        ({DP: 2, TP: 16}, 4, TP, "16 must be at most the 8 NPUs of a host, or all 32"),
        ({DP: 2, TP: 16}, 4, DP, "2 must be 1 or a multiple of the 4 hosts"),
        ({DP: 4, TP: -1}, 4, DP, "4 x 32 = 128"),
        ({DP: 1, TP: 8}, 4, DP, "1 x 8 = 8"),
        ({MOE_TP: -1}, 4, MOE_TP, "32 x 32 = 1024"),
        ({MOE_TP: 8}, 4, MOE_EP, "8 x 32 = 256"),
        ({MOE_TP: 16, MOE_EP: 2}, 4, MOE_TP, "at most the 8 NPUs of a host"),
        ({MOE_TP: 1, MOE_EP: -1}, 4, MOE_EP, "1 x 1 = 1"),
        ({PP: 2}, 4, PP, "2 excludes mindie_data_parallel_size above 1, which is 4"),
        ({PP: 2, DP: 1}, 4, TP, "tp x pp must be the number of NPUs: 8 x 2 = 16"),
        ({CP: 2}, 4, CP, "2 excludes mindie_data_parallel_size"),
        ({CP: 2, DP: 1}, 4, TP, "tp x cp"),
        ({CP: 2, PP: 2, DP: 1}, 4, CP, "excludes mindie_pipeline_parallel_size"),
        ({SP: 4}, 4, SP, "4 must equal mindie_tensor_parallel_size, which is 8"),
        ({}, 0, "npus_per_host", "no hosts"),
        ({}, 65, "npus_per_host", "at most 60 hosts and 512 NPUs"),
        ({"ipc": "private", "shm_size": "512m"}, 4, "shm_size", "at least 657m"),
        ({"ipc": "private", "shm_size": "1g", DP: 8, TP: 4}, 4, "shm_size", "at least 1313m"),
    ],
)
def test_sizes_that_mindie_refuses(values: dict[str, object], hosts: int, key: str, said: str) -> None:
    rules = [problem.rule for problem in parallel_problems(settings(**values), hosts) if problem.key == f"mindie_{key}"]
    assert any(said in rule for rule in rules)
    assert all(rule.endswith(")") for rule in rules), "the rule names its source"


def test_one_host() -> None:
    assert parallel_problems(settings(**{DP: 1, MOE_EP: 8}), 1) == []


def test_unset_sizes() -> None:
    sizes = parallel_sizes(settings(**{DP: -1, TP: -1, MOE_TP: -1, MOE_EP: -1}), 32)
    assert (sizes.dp, sizes.tp, sizes.pp, sizes.cp, sizes.sp, sizes.moe_tp, sizes.moe_ep) == (1, 32, 1, 1, 1, 32, 1)


def test_validate_names_everything() -> None:
    hosts = [Host("a", "192.0.2.1", 0), Host("b", "192.0.2.2", 1)]
    with pytest.raises(SettingsError) as caught:
        validate(settings(max_iter_times=9000), hosts)
    keys = {problem.key for problem in caught.value.problems}
    assert keys == {"mindie_max_iter_times", "mindie_data_parallel_size", "mindie_moe_expert_parallel_size"}


SIZES = st.sampled_from([-1, 1, 2, 4, 8, 16, 32, 64])


@given(st.fixed_dictionaries(dict.fromkeys((DP, TP, SP, CP, MOE_TP, MOE_EP), SIZES)), SIZES, st.integers(1, 8))
def test_whatever_passes_keeps_mindies_own_rules(values: dict[str, int], pp: int, hosts: int) -> None:
    given_settings = settings(**values, **{PP: pp})
    world = hosts * 8
    sizes = parallel_sizes(given_settings, world)
    if parallel_problems(given_settings, hosts):
        return
    assert sizes.dp * sizes.tp * sizes.cp * sizes.pp == world
    assert sizes.moe_tp * sizes.moe_ep == world
    assert sizes.pp > 1 or sizes.tp <= 8 or sizes.tp == world
    assert sizes.dp == 1 or sizes.dp % hosts == 0
    assert sizes.sp in (1, sizes.tp)
    assert sum(size > 1 for size in (sizes.dp, sizes.cp, sizes.pp)) <= 1


def test_a_source_on_a_host_that_is_not_there_is_refused() -> None:
    inventory = ["host1", "host2", "storage"]
    for there in ("", "hosts", "mount:/data/x", "host:host1:/data/x", "host:storage:/data/x"):
        require_sources(settings(weights_source=there), inventory)
    for archive in ("", "/a:b/x.tar", "mount:/x.tar", "host:storage:/x.tar"):
        require_sources(settings(image_archive=archive), inventory)
    wrong = settings(weights_source="host:host9:/data/x", image_archive="host:host8:/x.tar")
    with pytest.raises(SettingsError, match="host9 is no host of the inventory; its hosts are host1") as caught:
        require_sources(wrong, inventory)
    assert [problem.setting for problem in caught.value.problems] == ["mindie_weights_source", "mindie_image_archive"]

"""A whole deployment: files, containers, digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings, SettingsError
from mindie_deploy.errors import UsageError
from mindie_deploy.mindie.rank_table import RankTableError
from mindie_deploy.mindie.render import Rendered, render
from mindie_deploy.mindie.versions import Version

from .conftest import IMAGE_ID

GOLDEN = Path(__file__).parent / "golden"
DIRECTORY = "/var/lib/mindie-deploy/deepseek-r1"
Addresses = dict[str, dict[int, str]]


class Cluster:
    """The reference cluster, rendered with changes."""

    def __init__(self, hosts: list[Host], addresses: Addresses, version: Version) -> None:
        self.hosts, self.addresses, self.version = hosts, addresses, version

    def render(self, image_id: str = IMAGE_ID, facts: dict[str, Any] | None = None, **values: object) -> Rendered:
        settings = Settings.model_validate(values)
        return render(settings, self.hosts, self.addresses, image_id, self.version, **(facts or {}))


@pytest.fixture
def cluster(hosts: list[Host], addresses: Addresses, version: Version) -> Cluster:
    return Cluster(hosts, addresses, version)


def content(rendered: Rendered, host: str, name: str) -> str:
    (text,) = (file["content"] for file in rendered.files(host) if file["path"] == f"{DIRECTORY}/{name}")
    return text


def environment(rendered: Rendered, host: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in content(rendered, host, "environment").splitlines())


def test_files_and_modes(cluster: Cluster) -> None:
    files = {file["path"].rpartition("/")[2]: file["mode"] for file in cluster.render().files("atlas3")}
    assert files == {"config.json": "0640", "ranktable.json": "0640", "environment": "0640", "launch.sh": "0750"}


def test_only_the_environment_differs_between_hosts_and_there_only_the_own_address(cluster: Cluster) -> None:
    rendered = cluster.render()
    for name in ("config.json", "ranktable.json", "launch.sh"):
        assert len({content(rendered, host.name, name) for host in cluster.hosts}) == 1
    one, other = environment(rendered, "atlas1"), environment(rendered, "atlas4")
    assert {key for key in one if one[key] != other[key]} == {"MIES_CONTAINER_IP"}
    assert set(one) == set(other)


@pytest.mark.parametrize("name", ["environment", "ranktable.json", "launch.sh"])
def test_files_are_as_reviewed(cluster: Cluster, name: str) -> None:
    assert content(cluster.render(), "atlas2", name) == (GOLDEN / name).read_text(encoding="utf-8")


def test_the_environment_says_where_everything_is(cluster: Cluster) -> None:
    values = environment(cluster.render(), "atlas2")
    assert values["RANKTABLEFILE"] == values["RANK_TABLE_FILE"] == f"{DIRECTORY}/ranktable.json"
    assert values["MIES_CONFIG_JSON_PATH"] == f"{DIRECTORY}/config.json"
    assert (values["MIES_CONTAINER_IP"], values["MASTER_IP"]) == ("192.0.2.12", "192.0.2.11")
    assert (values["WORLD_SIZE"], values["NPU_MEMORY_FRACTION"]) == ("32", "0.95")
    assert "GLOO_SOCKET_IFNAME" not in values
    assert "HCCL_RDMA_PCIE_DIRECT_POST_NOSTRICT" not in values


def test_interfaces_and_page_sizes_are_per_host(cluster: Cluster) -> None:
    facts = {"interfaces": {"atlas1": "bond0", "atlas2": None}, "page_sizes": {"atlas1": 65536, "atlas2": 4096}}
    rendered = cluster.render(facts=facts)
    one, other = environment(rendered, "atlas1"), environment(rendered, "atlas2")
    assert one["GLOO_SOCKET_IFNAME"] == one["HCCL_SOCKET_IFNAME"] == "bond0"
    assert one["HCCL_RDMA_PCIE_DIRECT_POST_NOSTRICT"] == "TRUE"
    assert not {"GLOO_SOCKET_IFNAME", "HCCL_RDMA_PCIE_DIRECT_POST_NOSTRICT"} & set(other)


def test_the_users_variables_win(cluster: Cluster) -> None:
    given = {"HCCL_OP_EXPANSION_MODE": "HOST", "HCCL_BUFFSIZE": 512, "GLOO_SOCKET_IFNAME": "eth9"}
    values = environment(cluster.render(facts={"interfaces": {"atlas1": "bond0"}}, environment=given), "atlas1")
    assert (values["HCCL_OP_EXPANSION_MODE"], values["HCCL_BUFFSIZE"]) == ("HOST", "512")
    assert (values["GLOO_SOCKET_IFNAME"], values["HCCL_SOCKET_IFNAME"]) == ("eth9", "bond0")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"metrics": False}, {"MIES_SERVICE_MONITOR_MODE": "0"}),
        ({"max_batch_size": 50}, {"MINDIE_ASYNC_SCHEDULING_ENABLE": "0"}),
        ({"max_batch_size": 51}, {"MINDIE_ASYNC_SCHEDULING_ENABLE": "1"}),
        ({"hccl_deterministic": True}, {"HCCL_DETERMINISTIC": "true"}),
        (
            {"enforce_eager": True},
            {
                "ASCEND_LAUNCH_BLOCKING": "1",
                "TASK_QUEUE_ENABLE": "0",
                "ATB_OPERATION_EXECUTE_ASYNC": "0",
                "MINDIE_ASYNC_SCHEDULING_ENABLE": "0",
            },
        ),
        ({"npu_memory_fraction": 1.0}, {"NPU_MEMORY_FRACTION": "1.0"}),
        ({"log_level": "debug", "omp_num_threads": 10}, {"MINDIE_LOG_LEVEL": "debug", "OMP_NUM_THREADS": "10"}),
    ],
)
def test_settings_that_are_variables(cluster: Cluster, values: dict[str, object], expected: dict[str, str]) -> None:
    assert expected.items() <= environment(cluster.render(**values), "atlas1").items()


def test_one_host_has_no_rank_table(hosts: list[Host], addresses: Addresses, version: Version) -> None:
    rendered = Cluster(hosts[:1], addresses, version).render(data_parallel_size=1, moe_expert_parallel_size=8)
    assert [file["path"].rpartition("/")[2] for file in rendered.files("atlas1")] == [
        "config.json",
        "environment",
        "launch.sh",
    ]
    values = environment(rendered, "atlas1")
    assert not {"RANK_TABLE_FILE", "RANKTABLEFILE", "WORLD_SIZE", "ATB_LLM_HCCL_ENABLE", "MASTER_IP"} & set(values)
    assert "unset ASCEND_RT_VISIBLE_DEVICES" in content(rendered, "atlas1", "launch.sh")


def test_the_container(cluster: Cluster) -> None:
    rendered = cluster.render()
    container = rendered.container("atlas2")
    assert container["name"] == "deepseek-r1-mindie"
    assert container["devices"] == [
        *(f"/dev/davinci{index}:/dev/davinci{index}:rwm" for index in range(8)),
        "/dev/davinci_manager:/dev/davinci_manager:rwm",
        "/dev/devmm_svm:/dev/devmm_svm:rwm",
        "/dev/hisi_hdc:/dev/hisi_hdc:rwm",
    ]
    assert container["mounts"] == [
        "/usr/local/dcmi:/usr/local/dcmi:ro",
        "/usr/local/Ascend/driver:/usr/local/Ascend/driver:ro",
        "/usr/local/Ascend/firmware:/usr/local/Ascend/firmware:ro",
        "/etc/hccn.conf:/etc/hccn.conf:ro",
        "/etc/ascend_install.info:/etc/ascend_install.info:ro",
        "/usr/local/bin/npu-smi:/usr/local/bin/npu-smi:ro",
        "/data/models/DeepSeek-R1-BF16:/data/models/DeepSeek-R1-BF16:ro",
        f"{DIRECTORY}:{DIRECTORY}:ro",
    ]
    assert container["labels"] == {
        "mindie-deploy.deployment": "deepseek-r1",
        "mindie-deploy.rank": "1",
        "mindie-deploy.digest": rendered.digest,
    }
    assert container["command"] == ["/bin/bash", f"{DIRECTORY}/launch.sh"]
    assert (container["network"], container["ipc"], container["shm_size"]) == ("host", "host", "1g")
    assert (container["privileged"], container["pids_limit"], container["stop_timeout"]) == (False, -1, 60)
    assert (container["env_file"], container["user"]) == (f"{DIRECTORY}/environment", "0:0")
    json.dumps(container)


def test_tools_elsewhere_are_mounted_where_the_container_looks(cluster: Cluster) -> None:
    facts = {
        "npu_smi_paths": {"atlas1": "/usr/local/sbin/npu-smi"},
        "hccn_tool_paths": {"atlas1": "/opt/hccn_tool", "atlas2": "/usr/local/Ascend/driver/tools/hccn_tool"},
    }
    rendered = cluster.render(facts=facts, npu_smi_path="/opt/npu-smi")
    mounts = {host: rendered.container(host)["mounts"] for host in ("atlas1", "atlas2")}
    assert "/usr/local/sbin/npu-smi:/usr/local/bin/npu-smi:ro" in mounts["atlas1"]
    assert "/opt/npu-smi:/usr/local/bin/npu-smi:ro" in mounts["atlas2"]
    assert "/opt/hccn_tool:/usr/local/bin/hccn_tool:ro" in mounts["atlas1"]
    assert not any("hccn_tool" in mount for mount in mounts["atlas2"])


def test_further_mounts(cluster: Cluster) -> None:
    assert "/data/cache:/cache" in cluster.render(mounts=["/data/cache:/cache"]).container("atlas1")["mounts"]


@pytest.mark.parametrize(
    "mount",
    ["/x:/etc/hccn.conf", "/x:/usr/local/Ascend/driver/lib64", "/x:/usr", "/x:/data/models", f"/x:{DIRECTORY}/"],
)
def test_a_mount_on_one_of_ours_is_refused(cluster: Cluster, mount: str) -> None:
    with pytest.raises(SettingsError, match="would hide or lie inside"):
        cluster.render(mounts=[mount])


def test_the_digest_is_stable_and_sees_every_change(cluster: Cluster) -> None:
    digest = cluster.render().digest
    assert len(digest) == 64
    assert cluster.render().digest == digest
    others = [
        cluster.render(image_id="sha256:" + "cd" * 32).digest,
        cluster.render(max_seq_len=4096).digest,
        cluster.render(environment={"A": "1"}).digest,
        cluster.render(shm_size="2g").digest,
        cluster.render(facts={"interfaces": {"atlas4": "bond0"}}).digest,
        cluster.render(facts={"npu_smi_paths": {"atlas4": "/opt/npu-smi"}}).digest,
    ]
    cluster.addresses["atlas4"][7] = "198.51.100.99"
    others.append(cluster.render().digest)
    assert len({digest, *others}) == len(others) + 1


@pytest.mark.parametrize(
    "values",
    [{"ready_timeout": 60}, {"stop_timeout": 90}, {"checks_skip": ["a.b"]}, {"weights_source": "mount:/mnt/x"}],
)
def test_what_the_daemon_never_sees_changes_no_digest(cluster: Cluster, values: dict[str, object]) -> None:
    assert cluster.render(**values).digest == cluster.render().digest


def test_contradictions_stop_the_rendering(cluster: Cluster) -> None:
    with pytest.raises(SettingsError, match="dp x tp"):
        cluster.render(data_parallel_size=2)
    del cluster.addresses["atlas3"][5]
    with pytest.raises(RankTableError, match="atlas3, NPU 5"):
        cluster.render()


def test_an_unknown_host(cluster: Cluster) -> None:
    for ask in (cluster.render().files, cluster.render().container):
        with pytest.raises(UsageError, match="atlas9 is not part"):
            ask("atlas9")


def test_nothing_secret_is_rendered(cluster: Cluster) -> None:
    whole = json.dumps([cluster.render().files("atlas1"), cluster.render().container("atlas1")]).lower()
    assert not any(word in whole for word in ("password=", "secret", "token=", "api_key"))

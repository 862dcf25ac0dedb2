"""Each fault of what surrounds a container is found on its host alone, and nothing else is said about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.hosts.facts import (
    DiskFacts,
    FirewallFacts,
    InterfaceState,
    ListeningPort,
    PathState,
    Surroundings,
    Unknown,
)
from mindie_deploy.preflight.judge import judge
from mindie_deploy.preflight.registry import all_checks
from tests.preflight.builders import (
    GB,
    MODEL,
    ROOT,
    STATE,
    UNKNOWN,
    cluster,
    container,
    disks,
    engine,
    finding,
    healthy_host,
    hosts_of,
    ids,
    image,
    judged,
    kernel,
    model_files,
    only,
    own_container,
    settings,
    shared_memory,
    surroundings,
    system,
    weights,
)

NO_DIRECTORY = (PathState(STATE, True, "file", "0644"),)
RUNNING, NEWER = "5.10.0-216.0.0.115.oe2203sp4.aarch64", "5.10.0-218.0.0.117.oe2203sp4.aarch64"
BLOBS = {"config.json": "/root/.cache/hub/blobs/7f", "model-00001-of-000163.safetensors": "/root/.cache/hub/blobs/9a"}
DIFFERENT = "f" * 64


def around(**changes: Any) -> dict[str, Any]:
    """The third host with these changes of what surrounds its container."""
    return {"surroundings": surroundings(2, **changes)}


def by_kernel(**changes: Any) -> dict[str, Any]:
    return around(kernel=kernel(**changes))


def digest(file: str) -> dict[str, Any]:
    return around(digests={**surroundings().digests, file: DIFFERENT})  # type: ignore[dict-item]


def labelled() -> dict[str, Any]:
    """SELinux as openEuler has it by default, with an engine that labels."""
    return {**by_kernel(selinux_enforcing=True), "engine": replace(engine(), security=("seccomp", "selinux"))}


def root_disk(free: int) -> dict[str, Any]:
    return {"disks": {**disks(), ROOT: DiskFacts(ROOT, ROOT, 500 * GB, free, "ext4")}}


# The checks that this file tests.
SURROUNDINGS = {
    "docker.device-cgroup",
    "docker.disk",
    "docker.proxy",
    "docker.runtime",
    "docker.ulimits",
    "docker.user-namespace",
    "host.product",
    "net.address-present",
    "net.interface",
    "net.interface-named",
    "os.conntrack",
    "os.cpu-governor",
    "os.firewall",
    "os.hugepage",
    "os.kernel-values",
    "os.listen-backlog",
    "os.locale",
    "os.page-size-hccl",
    "os.pids",
    "driver.next-kernel",
    "os.resolve",
    "os.selinux",
    "os.shm",
    "os.shm-left",
    "os.ulimit",
    "ports.hccl",
    "ports.hccl-reserved",
    "state.directory",
    "weights.links",
    "weights.model-type",
    "weights.small-files",
}

RANGE = "HCCL_HOST_SOCKET_PORT_RANGE"
FAULTS: list[tuple[dict[str, Any], dict[str, object], str, str, str]] = [
    (by_kernel(pid_max=4096), {}, "os.pids", "warn", "kernel.pid_max is 4096"),
    (by_kernel(threads_max=10000), {}, "os.pids", "warn", "kernel.threads-max is 10000"),
    (by_kernel(nr_open=65536), {"ulimits": {"nofile": "1048576:1048576"}}, "os.ulimit", "block", "nofile 1048576"),
    (by_kernel(file_max=8192), {}, "os.ulimit", "warn", "fs.file-max is 8192"),
    (by_kernel(conntrack_count=250000), {}, "os.conntrack", "warn", "250000 of 262144"),
    (labelled(), {}, "os.selinux", "warn", "enforcing"),
    (by_kernel(product="Atlas 800I A2"), {}, "host.product", "warn", "Atlas 800I A2"),
    (
        by_kernel(interfaces={"eth0": InterfaceState(1500, "down")}),
        {},
        "net.interface",
        "warn",
        "eth0 is down",
    ),
    (by_kernel(interfaces={"eth0": InterfaceState(9000, "up")}), {}, "net.interface", "warn", "MTU 9000"),
    (
        by_kernel(interfaces={"enp1s0": InterfaceState(1500, "up")}),
        {"environment": {"GLOO_SOCKET_IFNAME": "eth0"}},
        "net.interface-named",
        "block",
        "there is no eth0",
    ),
    (
        by_kernel(interfaces={"enp1s0": InterfaceState(1500, "up")}),
        {"environment": {"HCCL_SOCKET_IFNAME": "=eth0"}},
        "net.interface-named",
        "block",
        "fits none of enp1s0",
    ),
    (
        {**by_kernel(device_cgroup=False), "engine": replace(engine(), cgroup_version="1")},
        {},
        "docker.device-cgroup",
        "block",
        "devices is not enabled",
    ),
    ({"engine": replace(engine(), default_runtime="kata-runtime")}, {}, "docker.runtime", "warn", "kata-runtime"),
    ({"engine": replace(engine(), security=("userns",))}, {}, "docker.user-namespace", "block", "userns"),
    (around(engine_limits={"nofile": (1024, 524288)}), {}, "docker.ulimits", "warn", "nofile 1024"),
    (root_disk(1 * GB), {}, "docker.disk", "warn", "1.07 GB free"),
    (
        {**root_disk(10 * GB), "image": None, "engine": replace(engine(), images=0)},
        {"image_archive": "/data/mindie.tar"},
        "docker.disk",
        "block",
        "loading it takes 32.2 GB",
    ),
    (
        {**root_disk(10 * GB), "image": None, "engine": replace(engine(), images=3)},
        {"image_archive": "/data/mindie.tar"},
        "docker.disk",
        "warn",
        "loading it takes 32.2 GB",
    ),
    (
        {**root_disk(20 * GB), "image": None},
        {"image_archive": "/data/mindie.tar"},
        "docker.disk",
        "warn",
        "loading it takes 32.2 GB",
    ),
    (around(shared_memory=shared_memory(64 * 1024**2)), {}, "os.shm", "block", "67.1 MB free"),
    (around(shared_memory=shared_memory(kind="link")), {}, "os.shm", "block", "it is a link"),
    (around(shared_memory=shared_memory(exists=False)), {}, "os.shm", "block", "it does not exist"),
    (
        around(shared_memory=shared_memory(700 * GB, "a_llm_backend_1", "llm_tokenizer_shared_memory_0")),
        {},
        "os.shm-left",
        "warn",
        "a_llm_backend_1, llm_tokenizer_shared_memory_0, of root",
    ),
    ({"system": system(2, addresses=("192.168.7.4",))}, {}, "net.address-present", "block", "10.0.0.13 is not among"),
    (
        {**around(own_name=("127.0.1.1",)), "system": system(2, interfaces={})},
        {},
        "os.resolve",
        "warn",
        "leads to 127.0.1.1; the interface with 10.0.0.13 is not known",
    ),
    (
        around(firewall=FirewallFacts(("iptables, chain INPUT",))),
        {"environment": {RANGE: "auto"}},
        "os.firewall",
        "warn",
        "iptables, chain INPUT",
    ),
    (
        around(firewall=FirewallFacts(("iptables, chain INPUT",))),
        {"check_ports": False},
        "os.firewall",
        "warn",
        "iptables, chain INPUT",
    ),
    (around(weight_links=BLOBS), {}, "weights.links", "block", "config.json -> /root/.cache/hub/blobs/7f"),
    (digest("generation_config.json"), {}, "weights.small-files", "block", "generation_config.json: sha256 ffff"),
    (around(state_paths=NO_DIRECTORY), {}, "state.directory", "block", f"{STATE} is a file"),
    (
        around(state_paths=(PathState(STATE, True, "link", target="/gone"),)),
        {},
        "state.directory",
        "block",
        "a link to /gone, which is not there",
    ),
    (
        {"listening": (ListeningPort("0.0.0.0", 22), ListeningPort("::", 60003))},
        {},
        "ports.hccl",
        "warn",
        "listened on: 60003",
    ),
    ({"listening": (ListeningPort("10.0.0.13", 60031),)}, {}, "ports.hccl", "warn", "listened on: 60031"),
    (
        {"listening": (ListeningPort("0.0.0.0", 60003),)},
        {"environment": {RANGE: "60000-60007"}},
        "ports.hccl",
        "warn",
        "7 of 8 ports are free, of 8 NPUs",
    ),
]


@pytest.mark.parametrize(("changes", "asked", "check_id", "severity", "says"), FAULTS)
def test_a_fault_is_found_on_its_host_alone(
    changes: dict[str, Any], asked: dict[str, object], check_id: str, severity: str, says: str
) -> None:
    found = only(judged(cluster(host3=healthy_host("host3", 2, **changes)), **asked))

    assert (found.check_id, found.severity, found.kind) == (check_id, severity, "fail")
    assert (found.hosts, found.devices) == (("host3",), {})
    assert says in found.evidence[0].says


ONLY_MENTIONED: list[tuple[dict[str, Any], str, str]] = [
    (by_kernel(transparent_huge_pages="madvise"), "os.hugepage", "madvise"),
    (by_kernel(governors={"performance": 190, "powersave": 2}), "os.cpu-governor", "powersave on 2 of 192"),
    (by_kernel(somaxconn=128), "os.listen-backlog", "128"),
    (around(proxies={"httpProxy": "http://proxy:3128"}), "docker.proxy", "httpProxy proxy:3128"),
    (
        around(proxies={"httpsProxy": "http://proxy:3128", "noProxy": "localhost,10.0.0.11"}),
        "docker.proxy",
        "noProxy does not name all hosts",
    ),
    ({"image": image(proxies=("http_proxy",))}, "docker.proxy", "the image sets http_proxy"),
    (by_kernel(selinux_enforcing=True), "os.selinux", "enforcing"),
    (by_kernel(locale="zh_CN.GB18030"), "os.locale", "zh_CN"),
    (by_kernel(ephemeral_ports=((32768, 60999),), reserved_ports=()), "ports.hccl-reserved", "60000-60031"),
    (
        by_kernel(ephemeral_ports=((32768, 60999),), reserved_ports=((60000, 60015),)),
        "ports.hccl-reserved",
        "HCCL's ports 60016-60031: the kernel chooses from 32768-60999, reserved are 60000-60015",
    ),
    (
        around(installed_kernels={RUNNING: True, NEWER: False}),
        "driver.next-kernel",
        f"{NEWER} is installed, {RUNNING} runs",
    ),
    (around(own_name=("127.0.1.1",)), "os.resolve", "127.0.1.1"),
    (around(own_name=()), "os.resolve", "no database"),
    (around(firewall=FirewallFacts(("iptables, chain INPUT",))), "os.firewall", "iptables"),
]


@pytest.mark.parametrize(("changes", "check_id", "says"), ONLY_MENTIONED)
def test_what_only_may_matter_is_information(changes: dict[str, Any], check_id: str, says: str) -> None:
    report = judged(cluster(host3=healthy_host("host3", 2, **changes)))

    assert report.verdict == "ok" and ids(report) == [check_id]
    assert says in finding(report, check_id).evidence[0].says


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"surroundings": surroundings(2, engine_limits={"nofile": (-1, -1)})}, {}),
        (around(engine_limits={"nofile": (1024, 4096)}), {"ulimits": {"nofile": "65536:65536"}}),
        (around(engine_limits={"nofile": (65536, 65536), "nproc": (100, 100)}), {}),
        (around(engine_limits=Unknown("no process of the engine was found")), {"engine": "podman"}),
        (around(proxies={"httpProxy": "http://proxy:3128", "noProxy": "10.0.0.0/24,localhost"}), {}),
        (around(proxies={"httpProxy": "http://proxy:3128", "noProxy": "*"}), {}),
        (around(proxies={"noProxy": "localhost"}), {}),
        (around(installed_kernels={RUNNING: True, NEWER: True}), {}),
        (around(installed_kernels={RUNNING: True, "5.10.0-60.18.0.50.oe2203.aarch64": False}), {}),
        (around(installed_kernels={RUNNING: False, NEWER: False}), {}),
        (around(installed_kernels={}), {}),
        (around(shared_memory=shared_memory(64 * 1024**2)), {"ipc": "private", "shm_size": "16g"}),
        (around(shared_memory=shared_memory(1 * GB, "x_llm_backend_1")), {"ipc": "private", "shm_size": "16g"}),
        (around(shared_memory=shared_memory(660 * 1024**2)), {}),
        (by_kernel(selinux_enforcing=True), {"privileged": True}),
        (by_kernel(selinux_enforcing=None, conntrack_count=None, conntrack_max=None, product=None, governors={}), {}),
        ({"engine": replace(engine(), default_runtime="ascend")}, {}),
        ({"engine": replace(engine(), default_runtime=None)}, {}),
        (by_kernel(device_cgroup=False), {}),
        (around(weight_links={"config.json": f"{MODEL}/real/config.json", "README.md": "/elsewhere/README.md"}), {}),
        ({**around(weight_links=BLOBS)}, {"mounts": ["/root/.cache/hub:/root/.cache/hub:ro"]}),
        (
            around(weight_links={"config.json": "/mnt/ssd/r1/c.json"}) | {"weights": weights(real_path="/mnt/ssd/r1")},
            {},
        ),
        (around(own_name=("::1", "10.0.0.13")), {}),
        (around(state_paths=(PathState(STATE, True, "link", target_kind="directory", target="/srv/x"),)), {}),
        ({"listening": (ListeningPort("127.0.0.1", 60003), ListeningPort("0.0.0.0", 60032))}, {}),
        ({"listening": (ListeningPort("10.0.0.13", 1025, 5, True), ListeningPort("0.0.0.0", 60003, 6, True))}, {}),
        ({"listening": (ListeningPort("0.0.0.0", 60003),)}, {"environment": {RANGE: "60000-60008"}}),
        ({"listening": (ListeningPort("0.0.0.0", 60003),)}, {"environment": {RANGE: "auto"}}),
        (by_kernel(ephemeral_ports=((32768, 60999),), reserved_ports=((60000, 60031),)), {}),
        (by_kernel(ephemeral_ports=((32768, 59999),), reserved_ports=()), {}),
        (by_kernel(ephemeral_ports=((32768, 60999),), reserved_ports=None), {}),
        (around(), {"environment": {"GLOO_SOCKET_IFNAME": "eth0", "HCCL_SOCKET_IFNAME": "^docker,lo"}}),
    ],
)
def test_what_is_as_it_should_be_is_no_finding(changes: dict[str, Any], asked: dict[str, object]) -> None:
    report = judged(cluster(host3=healthy_host("host3", 2, **changes)), **asked)

    assert [one for one in ids(report) if one not in ("weights.path-same",)] == [], report.to_text()


def test_our_own_running_deployment_has_its_files_and_takes_the_memory() -> None:
    ours = {
        "engine": engine(own_container()),
        "surroundings": surroundings(2, shared_memory=shared_memory(1, "x_llm_backend_1")),
        "listening": (ListeningPort("0.0.0.0", 60001),),
    }

    assert judged(cluster(host3=healthy_host("host3", 2, **ours))).findings == ()


def test_files_of_another_running_mindie_are_not_called_left_over() -> None:
    other = {**around(shared_memory=shared_memory(700 * GB, "x_llm_backend_1")), "engine": engine(container())}

    assert ids(judged(cluster(host3=healthy_host("host3", 2, **other)))) == ["docker.conflict"]


def test_shared_memory_is_asked_for_each_dp_group_of_a_host() -> None:
    facts = cluster(host3=healthy_host("host3", 2, **around(shared_memory=shared_memory(1 * GB))))

    assert judged(facts, data_parallel_size=4, tensor_parallel_size=8).verdict == "ok"
    found = only(judged(facts, data_parallel_size=8, tensor_parallel_size=4))
    assert found.check_id == "os.shm" and "needed 1.38 GB" in found.evidence[0].says


def test_one_value_of_hccl_if_ip_can_fit_one_host_only() -> None:
    found = only(judged(cluster(), environment={"HCCL_IF_IP": "10.0.0.11"}))

    assert (found.check_id, found.hosts) == ("net.interface-named", ("host2", "host3", "host4"))


def test_small_files_are_brought_by_sync_where_a_source_is_set() -> None:
    facts = cluster(host3=healthy_host("host3", 2, **digest("tokenizer.json")))

    report = judged(facts, weights_source="mount:/mnt/r1")

    assert report.verdict == "ok" and ids(report) == ["weights.small-files"]


def test_a_different_size_explains_a_different_digest() -> None:
    shorter = weights(model_files() | {"config.json": 1999})
    facts = cluster(host3=healthy_host("host3", 2, weights=shorter, **digest("config.json")))

    report = judged(facts)

    assert only(report).check_id == "weights.size"
    assert [one.check_id for one in report.hidden] == ["weights.small-files"]


@pytest.mark.parametrize(
    ("told", "takes", "found"),
    [
        ("deepseek_v3", {"deepseekv2"}, True),
        ("deepseek_v3", {"deepseekv2", "deepseek_v3"}, False),
        ("deepseek_v3", set(), False),  # a release that is not known
        ("qwen2", {"deepseekv2"}, False),
        (None, {"deepseekv2"}, False),
    ],
)
def test_the_type_of_the_model_is_one_that_the_image_knows(told: str | None, takes: set[str], found: bool) -> None:
    configured = weights(configuration={"model_type": told})
    facts = cluster(**{name: healthy_host(name, rank, weights=configured) for rank, name in enumerate(cluster())})

    report = judge(hosts_of(facts), facts, settings(), model_types=takes)

    assert ("weights.model-type" in ids(report)) is found
    if found:
        assert only(report).hosts == tuple(facts) and "the image takes deepseekv2" in only(report).evidence[0].says


def test_two_against_two_name_all() -> None:
    other = {
        f"host{n}": healthy_host(
            f"host{n}", n - 1, surroundings=surroundings(n - 1, digests={"config.json": DIFFERENT})
        )
        for n in (3, 4)
    }

    assert only(judged(cluster(**other))).hosts == ("host1", "host2", "host3", "host4")


@pytest.mark.parametrize(
    ("value", "pages", "found"), [("TRUE", 4096, True), ("FALSE", 65536, True), ("TRUE", 65536, False)]
)
def test_direct_post_goes_with_the_page_size(value: str, pages: int, found: bool) -> None:
    facts = {
        name: healthy_host(name, rank, system=system(rank, page_size=pages)) for rank, name in enumerate(cluster())
    }

    report = judged(facts, environment={"HCCL_RDMA_PCIE_DIRECT_POST_NOSTRICT": value})

    assert ("os.page-size-hccl" in ids(report)) is found


def test_what_was_not_collected_is_one_piece_of_information_a_subject() -> None:
    """None of it may block: the launch does not rest on it. The kernel's values are said once, not for every check."""
    report = judged(cluster(host3=healthy_host("host3", 2, surroundings=Surroundings())))

    assert report.verdict == "ok", report.to_text()
    assert all(one.kind == "unknown" and one.severity == "info" for one in report.findings)
    assert set(ids(report)) == {
        "docker.proxy",
        "docker.ulimits",
        "os.firewall",
        "os.kernel-values",
        "driver.next-kernel",
        "os.resolve",
        "os.shm",
        "os.shm-left",
        "state.directory",
        "weights.links",
        "weights.small-files",
    }


def test_a_loopback_address_serves_one_host_alone() -> None:
    one, two = healthy_host("host1", 0), healthy_host("host2", 1)

    alone = judge([Host("host1", "127.0.0.1", 0)], {"host1": one}, settings())
    assert "net.address-present" not in ids(alone)
    with_another = [Host("host1", "127.0.0.1", 0), Host("host2", "10.0.0.12", 1)]
    found = finding(judge(with_another, {"host1": one, "host2": two}, settings()), "net.address-present")
    assert (found.hosts, found.severity) == (("host1",), "block")


UNREADABLE = [
    ({"system": UNKNOWN}, {}, {"net.address-present"}),
    (
        {"system": UNKNOWN},
        {"environment": {"HCCL_RDMA_PCIE_DIRECT_POST_NOSTRICT": "FALSE"}},
        {"os.page-size-hccl", "net.address-present"},
    ),
    ({"system": system(2, addresses=())}, {}, {"net.address-present"}),
    ({"listening": UNKNOWN}, {}, {"ports.hccl"}),
    ({"disks": {path: space for path, space in disks().items() if path != ROOT}}, {}, {"docker.disk"}),
    (around(shared_memory=replace(shared_memory(), space=UNKNOWN)), {}, {"os.shm"}),
    (
        {"surroundings": surroundings(2, digests=UNKNOWN, weight_links=UNKNOWN)},
        {},
        {"weights.links", "weights.small-files"},
    ),
    (around(kernel=UNKNOWN), {"environment": {"GLOO_SOCKET_IFNAME": "eth0"}}, {"os.kernel-values"}),
]


@pytest.mark.parametrize(("changes", "asked", "check_ids"), UNREADABLE)
def test_what_could_not_be_read_is_said_of_its_host_and_blocks_nothing(
    changes: dict[str, Any], asked: dict[str, object], check_ids: set[str]
) -> None:
    report = judged(cluster(host3=healthy_host("host3", 2, **changes)), **asked)

    for check_id in check_ids:
        found = finding(report, check_id)
        assert (found.kind, found.severity, found.hosts) == ("unknown", "info", ("host3",))


def test_unread_values_of_the_kernel_hide_what_is_judged_by_them() -> None:
    found = finding(judged(cluster(host3=healthy_host("host3", 2, **around(kernel=UNKNOWN)))), "os.kernel-values")

    assert {"os.pids", "os.ulimit", "os.selinux", "host.product", "net.interface"} <= set(found.hides)


def test_every_check_of_this_kind_has_a_fault() -> None:
    checks = {check_id: all_checks()[check_id] for check_id in SURROUNDINGS}
    found = {check_id for _, _, check_id, _, _ in FAULTS} | {check_id for _, check_id, _ in ONLY_MENTIONED}

    assert set(checks) - found == {"os.kernel-values", "os.page-size-hccl", "weights.model-type"}
    assert all(one.unknown == "info" for one in checks.values())

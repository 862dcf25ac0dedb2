"""Faults of what surrounds a deployment on its hosts."""

from __future__ import annotations

from fault_matrix.case import HOSTS, Case, Found, Given, first_trip, one, setting
from fault_matrix.faults_host import NO_SOURCE

EVERYWHERE = dict.fromkeys(HOSTS, ())

ENGINE: tuple[Case, ...] = (
    one("odd-runtime", "docker.runtime", "warn"),
    one("user-namespace", "docker.user-namespace", "block", host="host3"),
    one("few-open-files", "docker.ulimits", "warn", host="host1"),
    one("engine-disk-full", "docker.disk", "warn", host="host3"),
    one("device-cgroup-off", "docker.device-cgroup", "block", host="host1"),
)
SYSTEM: tuple[Case, ...] = (
    one("selinux-enforcing", "os.selinux", "warn"),
    one("few-processes", "os.pids", "warn", host="host3"),
    one("few-files", "os.ulimit", "warn", host="host1"),
    one("connections-full", "os.conntrack", "warn"),
    Case(
        "other-model",
        "host2 is an Atlas 800I A2, the others are Atlas 800T A2",
        given=(Given("model-800t", ("host1", "host3")), Given("model-800i", ("host2",))),
        found=(Found("host.product", "warn", {"host2": ()}),),
    ),
    one("little-shared-memory", "os.shm", "block", settings={"mindie_ipc": "host"}),
    one("shared-memory-left", "os.shm-left", "warn", host="host3", settings={"mindie_ipc": "host"}),
    one("state-is-a-file", "state.directory", "block"),
)
NETWORK: tuple[Case, ...] = (
    one("hccl-port-taken", "ports.hccl", "warn", host="host3"),
    one("hccl-ports-blocked", "ports.hccl-reachable", "warn"),
    one("small-mtu", "net.interface", "warn"),
    Case(
        "address-elsewhere",
        "the inventory gives host2 an address that it does not have",
        found=(Found("net.address-present", "block", {"host2": ()}),),
        host_variables={"host2": {"mindie_host_address": "192.0.2.7"}},
    ),
    setting("interface-misnamed", "mindie_environment names an interface that no host has", "net.interface-named",
            "block", EVERYWHERE, mindie_environment={"GLOO_SOCKET_IFNAME": "bond7"}),
    setting("direct-post", "mindie_environment sets what is for larger memory pages only", "os.page-size-hccl",
            "warn", EVERYWHERE, mindie_environment={"HCCL_RDMA_PCIE_DIRECT_POST_NOSTRICT": "TRUE"}),
    setting("too-many-files", "mindie_ulimits asks for more open files than the kernel allows", "os.ulimit", "block",
            EVERYWHERE, mindie_ulimits={"nofile": "2000000000:2000000000"}),
)  # fmt: skip
WEIGHTS: tuple[Case, ...] = (
    one("weights-link", "weights.links", "block"),
    one("model-type-unknown", "weights.model-type", "block", hosts=HOSTS, settings=NO_SOURCE),
    one("other-sampling", "weights.small-files", "block", host="host3", settings=NO_SOURCE),
)
CASES: tuple[Case, ...] = (*NETWORK, *first_trip(*ENGINE, *SYSTEM, *WEIGHTS))

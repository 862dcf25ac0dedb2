"""Faults of the hosts: connection, system, engine, image, weights, and of the inventory."""

from __future__ import annotations

from fault_matrix.case import HOSTS, Case, Found, Given, Places, first_trip, one, setting

NO_SOURCE = {"mindie_weights_source": ""}
MODEL = "/data/models/DeepSeek-R1-BF16"
CLUSTER: Places = {"cluster": ()}

CONNECTION: tuple[Case, ...] = (
    one("ssh-stopped", "host.unreachable", "block"),
    one("host-silent", "host.unreachable", "block", host="host3"),
    one("ssh-key-refused", "host.authentication", "block"),
    one("ssh-host-key-changed", "host.key-changed", "block", host="host3"),
    Case(
        "no-python",
        "the inventory names an interpreter that the host does not have",
        found=(Found("host.collection", "block", {"host2": ()}),),
        host_variables={"host2": {"ansible_python_interpreter": "/usr/bin/python3.6"}},
    ),
)
SYSTEM: tuple[Case, ...] = (
    one("port-blocked", "ports.reachable", "block", host="host1"),
    one("firewall-but-ssh", "net.host-route", "block", host="host1"),
    one("other-architecture", "os.arch", "block", host="host3"),
    one("other-kernel", "os.kernel", "warn"),
    one("other-page-size", "os.page-size", "warn", host="host1"),
    one("other-release", "os.release", "warn"),
    one("hostname-doubled", "os.hostname-unique", "warn", at={"host1": (), "host2": ()}),
    one("little-memory", "os.memory", "warn", host="host3"),
    one("clock-skew", "os.time-skew", "block"),
    one("state-disk-full", "state.disk", "block", host="host1"),
    one("port-taken", "ports.free", "block", host="host1"),
)
ENGINE: tuple[Case, ...] = (
    one("docker-stopped", "docker.running", "block"),
    one("image-missing", "docker.image", "block", host="host3"),
    one("image-different", "docker.image-same", "block"),
    one("other-architecture", "docker.image-arch", "block", hosts=HOSTS, name="image-for-other-architecture"),
    one("npu-container", "docker.conflict", "block", npu=3),
    one("name-taken", "docker.name-free", "block", host="host1"),
)
WEIGHTS: tuple[Case, ...] = (
    one("weights-missing", "weights.present", "block", settings=NO_SOURCE),
    one("weights-shard-missing", "weights.index", "block", host="host3", settings=NO_SOURCE),
    one("weights-shard-cut", "weights.size", "block", settings=NO_SOURCE),
    one("weights-fp8", "weights.dtype", "block", host="host1", settings=NO_SOURCE),
    one("tokenizer-missing", "weights.tokenizer", "block", hosts=HOSTS, settings=NO_SOURCE),
    one("weights-writable", "weights.perm", "warn", host="host3"),
    one("disk-small", "weights.disk", "block"),
    Case(
        "weights-port-taken",
        "the weights are to come from host1, where another program has the port for them",
        given=(Given("weights-missing", ("host2",)), Given("weights-port-taken", ("host1",))),
        found=(Found("ports.weights", "block", {"host1": ()}),),
        settings={"mindie_weights_source": f"host:host1:{MODEL}"},
    ),
)
SETTINGS: tuple[Case, ...] = (
    setting("source-missing", "mindie_weights_source is a directory that does not exist", "weights.source",
            "block", CLUSTER, mindie_weights_source="controller:/srv/no-such-directory"),
    setting("archive-missing", "mindie_image is on no host, and mindie_image_archive does not exist", "docker.image",
            "block", dict.fromkeys(HOSTS, ()), mindie_image="mindie:other",
            mindie_image_archive="/srv/no-such-archive.tar"),
    setting("check-id-wrong", "mindie_checks_skip names a check that does not exist", "settings.check-ids",
            "warn", CLUSTER, mindie_checks_skip=["hccn.link-upp"]),
    setting("weights-of-root", "the container's user may not read the weights, which belong to root", "weights.perm",
            "block", dict.fromkeys(HOSTS, ()), mindie_container_user="1001:1001"),
)  # fmt: skip
CASES: tuple[Case, ...] = (*CONNECTION, *SYSTEM, *ENGINE, *first_trip(*WEIGHTS, *SETTINGS))

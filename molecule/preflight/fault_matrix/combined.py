"""Several faults at once: each cause is found at its place, and no consequence beside it."""

from __future__ import annotations

from fault_matrix.case import HOSTS, Case, Found, Given

CASES: tuple[Case, ...] = (
    Case(
        "link-and-tls",
        "a link is down on host1, TLS is on elsewhere",
        (Given("link-down", ("host1",), 2), Given("tls-on", ("host3",), 2)),
        (Found("hccn.link-up", "block", {"host1": (2,)}), Found("hccn.tls-uniform", "block", {"host3": (2,)})),
    ),
    Case(
        "lost-and-doubled",
        "an NPU is lost on host3, an address of host1 is used again on host2",
        (Given("npu-lost", ("host3",), 0), Given("duplicate-ip", ("host2",), 0)),
        (
            Found("npu.count", "block", {"host3": (0,)}),
            Found("hccn.ip-unique", "block", {"host1": (0,), "host2": (0,)}),
        ),
    ),
    Case(
        "engine-and-image",
        "the engine of host1 is stopped, host2 lacks the image",
        (Given("docker-stopped", ("host1",)), Given("image-missing", ("host2",))),
        (Found("docker.running", "block", {"host1": ()}), Found("docker.image", "block", {"host2": ()})),
    ),
    Case(
        "unreachable-and-others",
        "host2 does not answer, host3 has a hot NPU and a leak, host1 a taken port",
        (Given("ssh-stopped", ("host2",)), Given("hot", ("host3",), 1), Given("hbm-leak", ("host3",), 3),
         Given("port-taken", ("host1",))),
        (Found("host.unreachable", "block", {"host2": ()}), Found("npu.temp", "warn", {"host3": (1,)}),
         Found("npu.hbm-free", "block", {"host3": (3,)}), Found("ports.free", "block", {"host1": ()})),
    ),
    Case(
        "driver-gone-and-link",
        "the driver of host3 finds no device, a link of host1 is down",
        (Given("driver-not-loaded", ("host3",)), Given("link-down", ("host1",), 0)),
        (Found("npu.tool-responds", "block", {"host3": ()}), Found("hccn.link-up", "block", {"host1": (0,)})),
    ),
    Case(
        "two-on-one-npu",
        "the same NPU is hot and without link, its neighbour has no address",
        (Given("hot", ("host2",), 3), Given("link-down", ("host2",), 3), Given("no-address", ("host2",), 0)),
        (Found("npu.temp", "warn", {"host2": (3,)}), Found("hccn.link-up", "block", {"host2": (3,)}),
         Found("hccn.ip-present", "block", {"host2": (0,)})),
    ),
    Case(
        "same-fault-twice",
        "TLS is on for two NPUs of two hosts: one finding",
        (Given("tls-on", ("host1",), 3), Given("tls-on", ("host2",), 0)),
        (Found("hccn.tls-uniform", "block", {"host1": (3,), "host2": (0,)}),),
    ),
    Case(
        "clock-and-kernel",
        "the clock of host1 is ahead, host3 has another kernel and other pages",
        (Given("clock-skew", ("host1",)), Given("other-kernel", ("host3",)), Given("other-page-size", ("host3",))),
        (Found("os.time-skew", "block", {"host1": ()}), Found("os.kernel", "warn", {"host3": ()})),
    ),
    Case(
        "container-and-residue",
        "a container holds an NPU of host1, a process another one of host2",
        (Given("npu-container", ("host1",), 1), Given("residual-process", ("host2",), 1)),
        (Found("docker.conflict", "block", {"host1": (1,)}),
         Found("npu.process-residual", "block", {"host2": (1,)})),
    ),
    Case(
        "weights-in-three-ways",
        "a shard is missing on host1, others may write config.json on host3, host2 has a full disk for our own files",
        (Given("weights-shard-missing", ("host1",)), Given("weights-writable", ("host3",)),
         Given("state-disk-full", ("host2",))),
        (Found("weights.index", "block", {"host1": ()}), Found("weights.perm", "warn", {"host3": ()}),
         Found("state.disk", "block", {"host2": ()})),
        settings={"mindie_weights_source": ""},
    ),
    Case(
        "everywhere-and-one",
        "all hosts have an old driver, one of them a lost NPU as well",
        (Given("driver-old", HOSTS), Given("npu-lost", ("host1",), 3)),
        (Found("driver.version", "warn", dict.fromkeys(HOSTS, ())), Found("npu.count", "block", {"host1": (3,)})),
    ),
)  # fmt: skip

"""Healthy clusters that look other than the usual one: nothing may be found above info."""

from __future__ import annotations

from fault_matrix.case import HOSTS, Case, Given


def everywhere(name: str) -> Case:
    """A variation that all hosts share, as they would."""
    return Case(name, "", (Given(name, HOSTS),))


def on(host: str, name: str, npu: int = 0) -> Case:
    """A variation of one host."""
    return Case(name, "", (Given(name, (host,), npu),))


CASES: tuple[Case, ...] = (
    everywhere("driver-26"),
    everywhere("driver-24"),
    everywhere("table-99"),
    everywhere("links-in-other-words"),
    on("host2", "npu-smi-in-sbin"),
    on("host3", "hccn-tool-in-usr-bin"),
    everywhere("no-process-table"),
    everywhere("no-ecc"),
    on("host1", "warm-room"),
    everywhere("firmware-patch"),
    on("host2", "firmware-patch-of-one-npu", 3),
    on("host2", "hccn-busy-once"),
    on("host3", "tools-slow"),
    everywhere("copper"),
    everywhere("no-lldp"),
    everywhere("wide-netmask"),
    everywhere("no-gateways"),
    everywhere("jumbo-frames"),
    Case("tls-everywhere", "TLS is on for all NPUs of all hosts", (Given("tls-on-host", HOSTS),)),
    on("host1", "link-lost-long-ago"),
    on("host2", "hccn-conf-by-hand"),
    on("host3", "clock-a-second-off"),
    on("host1", "no-lspci"),
    on("host2", "no-ip"),
    everywhere("chinese"),
    on("host3", "symlinked-weights"),
    on("host1", "selinux-permissive"),
    everywhere("open-firewall"),
    everywhere("docker-26"),
    on("host2", "monitoring-container"),
    on("host2", "proxy"),
    Case("large-pages", "all hosts have memory pages of 64 KiB", (Given("other-page-size", HOSTS),)),
    Case("other-system", "all hosts have another operating system", (Given("other-release", HOSTS),)),
    Case("follower-port-taken", "another program listens on port 1025 of a follower", (Given("port-taken"),)),
    Case("no-weights-source", "mindie_weights_source is empty: the weights are there",
         settings={"mindie_weights_source": ""}),
)  # fmt: skip

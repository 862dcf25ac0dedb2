"""Faults of the NPUs' RoCE ports."""

from __future__ import annotations

from fault_matrix.case import HOSTS, NPUS, Case, first_trip, one

CASES: tuple[Case, ...] = (
    one("link-down", "hccn.link-up", "block", host="host3", npu=1),
    one("link-down", "hccn.link-up", "block", hosts=HOSTS, npu=1, name="link-down-rail"),
    one("links-down-host", "hccn.link-up", "block", at={"host2": NPUS}),
    one("link-flap", "hccn.link-flap", "warn", host="host1", npu=2),
    one("tls-on", "hccn.tls-uniform", "block", npu=3),
    one("tls-on-host", "hccn.tls-uniform", "block", at={"host2": NPUS}),
    one("no-address", "hccn.ip-present", "block", host="host3", npu=0),
    one("duplicate-ip", "hccn.ip-unique", "block", npu=1, at={"host1": (1,), "host2": (1,)}),
    one("other-subnet", "hccn.subnet", "block", host="host3", npu=3),
    one("no-gateway", "hccn.gateway", "warn", npu=0),
    one("gateway-elsewhere", "hccn.gateway", "warn", npu=0),
    one("host-in-npu-network", "hccn.not-host-net", "warn", host="host1", npu=3),
    one("no-netdetect", "hccn.netdetect", "warn", host="host3", npu=2),
    *first_trip(one("net-health-fault", "hccn.net-health", "block", npu=0)),
    one("net-health-fault", "hccn.net-health", "warn", npu=0, name="detect-address-silent"),
    one("hccn-conf-drift", "hccn.conf-live", "warn", host="host1", npu=1),
    one("hccn-conf-missing", "hccn.conf-present", "block"),
    one("speed-100g", "hccn.speed-200g", "block", host="host3", npu=2),
    one("mtu-mismatch", "hccn.mtu-uniform", "warn", npu=3),
    one("optical-dark", "hccn.optical", "warn", host="host1", npu=1),
    one("optical-hot", "hccn.optical", "warn", host="host3", npu=3),
    one("pause-storm", "hccn.pause-frames", "warn", npu=0),
    one("hccn-conf-not-applied", "hccn.cfg", "warn", host="host1", npu=2),
    one("error-counters", "hccn.error-counters", "warn", host="host3", npu=3),
    one("other-rail", "hccn.cross-ping-matrix", "block", npu=1),
    one("other-rail", "hccn.cross-ping-matrix", "block", hosts=HOSTS, npu=2, name="rail-apart"),
    one("other-rails-host", "hccn.cross-ping-matrix", "block", host="host3"),
    one("one-way", "hccn.cross-ping-matrix", "block", host="host1", npu=2, at={"host1": (2,), "host2": (2,)}),
    one("ping-loss", "hccn.cross-ping-matrix", "block", npu=3),
    one("hccn-busy", "hccn.tool-responds", "block", npu=2, kind="unknown"),
    one("npu-dead", "hccn.tool-responds", "block", host="host1", npu=0),
    one("hccn-tool-missing", "hccn.tool-present", "block", host="host3"),
)

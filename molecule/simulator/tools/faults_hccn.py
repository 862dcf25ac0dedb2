"""Named faults of the NPUs' RoCE ports (HCCN), and of what asks them."""

from __future__ import annotations

from .fault_form import Context, Fault, FaultError


def address_of_another_host(context: Context) -> str:
    """The address of the same device on the first other host."""
    for name in sorted(context.states):
        if name == context.host:
            continue
        for npu in context.states[name]["npus"]:
            if npu["id"] == context.npu and npu["hccn"]["address"]:
                return str(npu["hccn"]["address"])
    raise FaultError(f"duplicate-ip: no other host has an address on NPU {context.npu}")


def astray(context: Context) -> str:
    """A switch plane in which the host meets no other."""
    return f"astray-{context.host}"


def address_on_the_next_host(context: Context) -> list[str]:
    """The address of the same device on the host after this one."""
    names = sorted(context.states)
    following = context.states[names[(names.index(context.host) + 1) % len(names)]]
    return [npu["hccn"]["address"] for npu in following["npus"] if npu["id"] == context.npu]


def drifted(context: Context) -> dict[str, str]:
    """A line of hccn.conf that names another address than the live one."""
    address = str(context.npu_state()["hccn"]["address"] or "10.20.0.1")
    front, _, last = address.rpartition(".")
    return {f"address_{context.npu}": f"{front}.{(int(last) + 100) % 250 + 1}"}


HCCN_FAULTS: dict[str, Fault] = {
    "link-down": Fault(
        "the port of one NPU has no link", "hccn.link-up",
        (
            ("npus.{npu}.hccn.link", "DOWN"),
            ("npus.{npu}.hccn.net_health", "Unreachable"),
            ("npus.{npu}.hccn.link_history", [{"state": "UP", "ago_s": 864000.0}, {"state": "DOWN", "ago_s": 300.0}]),
        ),
    ),
    "link-flap": Fault(
        "the port of one NPU lost its link three times within the hour", "hccn.link-flap",
        (("npus.{npu}.hccn.link_history",
          [{"state": state, "ago_s": ago} for ago, state in
           ((864000.0, "UP"), (3000.0, "DOWN"), (2990.0, "UP"), (1500.0, "DOWN"), (1490.0, "UP"), (600.0, "DOWN"),
            (590.0, "UP"))]),),
    ),
    "tls-on": Fault("TLS is switched on for one NPU", "hccn.tls-uniform", (("npus.{npu}.hccn.tls.switch", 1),)),
    "tls-on-host": Fault(
        "TLS is switched on for all NPUs of the host", "hccn.tls-uniform", (("npus.*.hccn.tls.switch", 1),)
    ),
    "duplicate-ip": Fault(
        "one NPU has the address of the same NPU of another host", "hccn.ip-unique",
        (("npus.{npu}.hccn.address", address_of_another_host),),
    ),
    "no-address": Fault("one NPU has no address", "hccn.ip-present", (("npus.{npu}.hccn.address", None),)),
    "no-gateway": Fault("one NPU has no gateway", "hccn.gateway", (("npus.{npu}.hccn.gateway", None),)),
    "hccn-conf-drift": Fault(
        "/etc/hccn.conf has another address than the running one", "hccn.conf-live",
        (("files.hccn_conf.lines", drifted),),
    ),
    "hccn-conf-missing": Fault(
        "/etc/hccn.conf is missing", "hccn.conf-present", (("files.hccn_conf.present", False),)
    ),
    "net-health-fault": Fault(
        "net detection of one NPU says Fault", "hccn.net-health", (("npus.{npu}.hccn.net_health", "Fault"),)
    ),
    "speed-100g": Fault("the port of one NPU runs at 100 Gbit/s", "hccn.speed-200g",
                        (("npus.{npu}.hccn.speed_mbps", 100000),)),
    "mtu-mismatch": Fault("one NPU has MTU 4096", "hccn.mtu-uniform", (("npus.{npu}.hccn.mtu", 4096),)),
    "other-rail": Fault(
        "one NPU is cabled to another switch plane: everything looks well, no peer answers its ping",
        "hccn.cross-ping-matrix", (("npus.{npu}.hccn.fabric", astray),),
    ),
    "ping-loss": Fault("one NPU loses every second packet", "hccn.cross-ping-matrix",
                       (("npus.{npu}.hccn.ping_lost", [1]),)),
    "error-counters": Fault("error counters of one NPU grow", "hccn.error-counters",
                            (("npus.{npu}.hccn.stat_growth",
                              {"roce_rx_err_pkt_num": 7, "mac_rx_fcs_err_pkt_num": 7}),)),
    "pause-storm": Fault("one NPU's port is being paused although nothing runs", "hccn.pause-frames",
                         (("npus.{npu}.hccn.stat_growth", {"mac_rx_pfc_pkt_num": 200000}),)),
    "optical-hot": Fault("one optical module has 75 degrees", "hccn.optical",
                         (("npus.{npu}.hccn.optical.temperature_c", 75),)),
    "hccn-conf-not-applied": Fault("the driver could not apply /etc/hccn.conf to one NPU", "hccn.cfg",
                                   (("npus.{npu}.hccn.config_status", "FAIL"),)),
    "optical-dark": Fault("two lanes of one optical module receive no light", "hccn.optical",
                          (("npus.{npu}.hccn.optical.rx_los", 3), ("npus.{npu}.hccn.optical.rx_lol", 3))),
    "hccn-busy": Fault(
        "every hccn_tool call for one NPU finds it busy", "hccn.tool-responds", (("npus.{npu}.hccn.busy", True),)
    ),
    "hccn-busy-once": Fault(
        "the first three hccn_tool calls of the host find their device busy; retrying helps", "",
        (("tools+", {"tool": "hccn_tool", "busy": True, "times": 3}),),
    ),
    "npu-dead": Fault(
        "hccn_tool's question for the health of one NPU is never answered", "hccn.tool-responds",
        (("npus.{npu}.dead", True),),
    ),
    "hccn-tool-missing": Fault("hccn_tool is not there", "hccn.tool-present", (("hccn_tool.is", "missing"),)),
    "links-down-host": Fault(
        "no port of the host has a link", "hccn.link-up",
        (("npus.*.hccn.link", "DOWN"), ("npus.*.hccn.net_health", "Unreachable")),
    ),
    "no-netdetect": Fault(
        "one NPU has no address for its net detection", "hccn.netdetect",
        (("npus.{npu}.hccn.netdetect", None), ("npus.{npu}.hccn.net_health", "Init")),
    ),
    "gateway-elsewhere": Fault(
        "the gateway of one NPU lies in another network", "hccn.gateway", (("npus.{npu}.hccn.gateway", "10.99.0.1"),)
    ),
    "other-rails-host": Fault(
        "all ports of the host are in a switch plane of their own", "hccn.cross-ping-matrix",
        (("npus.*.hccn.fabric", astray),),
    ),
    "one-way": Fault(
        "the packets of one NPU do not reach the same NPU of the next host", "hccn.cross-ping-matrix",
        (("npus.{npu}.hccn.cannot_reach", address_on_the_next_host),),
    ),
    "other-subnet": Fault(
        "one NPU is in another network than its rail and has no gateway", "hccn.subnet",
        (("npus.{npu}.hccn.address", lambda context: f"10.30.{context.npu}.11"), ("npus.{npu}.hccn.gateway", None),
         ("npus.{npu}.hccn.netdetect", lambda context: f"10.30.{context.npu}.1")),
    ),
    "host-in-npu-network": Fault(
        "the host has an address in the network of one NPU's port", "hccn.not-host-net", (),
        (("ip", "address", "add", "10.20.{npu}.200/24", "dev", "eth0"),),
        (("ip", "address", "del", "10.20.{npu}.200/24", "dev", "eth0"),),
    ),
}  # fmt: skip

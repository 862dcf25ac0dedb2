"""The named faults: what each changes in a host's state, which check of the product should report it, what it runs.

A path names fields from the top, `npus.{npu}` the NPU with that id, a `+` at its end appends to a list. A value may be
a function of the context. `run` and `undo` are commands for the host itself, for what a state file cannot enact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

MODEL_DIRECTORY = "/data/models/DeepSeek-R1-BF16"
IMAGE = "mindie:2.0.RC2-800I-A2-py311-openeuler24.03-lts"
IMAGE_ARCHIVE = "/opt/simulator/mindie-image.tar"
ENGINE = ("sh", "/opt/simulator/host/engine")
SPOIL = ("python3", "/opt/simulator/tools/weights_fault.py")


class Context(NamedTuple):
    """Where a fault happens: the host, the NPU, and the full states of all hosts."""

    host: str
    npu: int
    states: Mapping[str, Mapping[str, Any]]

    def npu_state(self) -> Mapping[str, Any]:
        """The NPU's state before the fault."""
        return next(npu for npu in self.states[self.host]["npus"] if npu["id"] == self.npu)


Value = Any | Callable[[Context], Any]


class Fault(NamedTuple):
    """One named fault; `check` is the id of the check of the product that should report it, "" where none looks."""

    description: str
    check: str
    changes: tuple[tuple[str, Value], ...] = ()
    run: tuple[tuple[str, ...], ...] = ()
    undo: tuple[tuple[str, ...], ...] = ()


class FaultError(Exception):
    """A fault cannot be applied or taken back; the message says why and what to do."""


def address_of_another_host(context: Context) -> str:
    """The address of the same device on the first other host."""
    for name in sorted(context.states):
        if name == context.host:
            continue
        for npu in context.states[name]["npus"]:
            if npu["id"] == context.npu and npu["hccn"]["address"]:
                return str(npu["hccn"]["address"])
    raise FaultError(f"duplicate-ip: no other host has an address on NPU {context.npu}")


def next_npu(context: Context) -> list[int]:
    """The NPU and its neighbour by id."""
    ids = sorted(npu["id"] for npu in context.states[context.host]["npus"])
    return [context.npu, ids[(ids.index(context.npu) + 1) % len(ids)]]


def drifted(context: Context) -> dict[str, str]:
    """A line of hccn.conf that names another address than the live one."""
    address = str(context.npu_state()["hccn"]["address"] or "10.20.0.1")
    front, _, last = address.rpartition(".")
    return {f"address_{context.npu}": f"{front}.{(int(last) + 100) % 250 + 1}"}


FAULTS: dict[str, Fault] = {
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
        "hccn.cross-ping-matrix", (("npus.{npu}.hccn.fabric", "wrong"),),
    ),
    "ping-loss": Fault("one NPU loses every second packet", "hccn.cross-ping-matrix",
                       (("npus.{npu}.hccn.ping_lost", [1]),)),
    "error-counters": Fault("error counters of one NPU grow", "hccn.error-counters",
                            (("npus.{npu}.hccn.stat_growth",
                              {"roce_rx_err_pkt_num": 7, "mac_rx_fcs_err_pkt_num": 7}),)),
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
    "npu-lost": Fault("one NPU does not answer: seven are left", "npu.count", (("npus.{npu}.lost", True),)),
    "health-alarm": Fault(
        "one NPU is in health Alarm with an error code", "npu.health",
        (("npus.{npu}.health", "Alarm"),
         ("npus.{npu}.error_codes", [{"code": "80E01801", "text": "node type=HBM, sensor type=Memory, event state="
                                      "uncorrectable ECC"}])),
    ),
    "health-warning": Fault("one NPU is in health Warning", "npu.health", (("npus.{npu}.health", "Warning"),)),
    "hot": Fault("one NPU has 98 degrees", "npu.temp", (("npus.{npu}.temperature_c", 98),)),
    "ecc-double": Fault("one NPU has counted double bit errors", "npu.ecc",
                        (("npus.{npu}.ecc.double", 2), ("npus.{npu}.ecc.double_isolated", 1))),
    "hbm-leak": Fault("memory of one NPU is held, and no process is shown", "npu.hbm-free",
                      (("npus.{npu}.hbm_used_mib", 58765),)),
    "residual-process": Fault(
        "a process left over from an earlier start holds memory of one NPU", "npu.process-residual",
        (("foreign_processes+", lambda context: {"npu": context.npu, "mib": 56470, "name": "mindie_llm_back"}),),
    ),
    "other-chip": Fault("one NPU is a 910B2", "npu.chip-uniform", (("npus.{npu}.chip_name", "910B2"),)),
    "driver-version": Fault(
        "the host has an older driver than the others", "driver.uniform",
        (("driver.version", "24.1.rc3"), ("driver.compatible_firmware", [["7.0.0", "7.8.99"]])),
    ),
    "driver-not-loaded": Fault("the driver finds no device", "npu.tool-responds", (("driver.loaded", False),)),
    "driver-upgraded": Fault("the driver was upgraded without a reboot", "driver.files-match",
                             (("driver.file_version", "25.5.0"),)),
    "firmware-incompatible": Fault(
        "the driver accepts newer firmware only", "firmware.compat",
        (("driver.compatible_firmware", [["8.0.0", "8.9.99"]]), ("firmware.compatible_driver", [["24.1", "24.1."]])),
    ),
    "npu-smi-missing": Fault("npu-smi is not there", "npu.tool-present", (("npu_smi.is", "missing"),)),
    "npu-smi-directory": Fault("npu-smi is a directory left by a container bind", "npu.tool-present",
                               (("npu_smi.is", "directory"),)),
    "npu-smi-hang": Fault("npu-smi never answers", "npu.tool-responds",
                          (("tools+", {"tool": "npu-smi", "hang": True}),)),
    "hccn-tool-missing": Fault("hccn_tool is not there", "hccn.tool-present", (("hccn_tool.is", "missing"),)),
    "device-node-missing": Fault(
        "the device node of one NPU is not there", "devices.davinci",
        (("files.devices.missing", lambda context: [f"davinci{context.npu}"]),),
    ),
    "topology-pix": Fault(
        "two NPUs are linked by a PCIe switch only", "hccs.topology",
        (("topology.pairs+", lambda context: {"npus": next_npu(context), "link": "PIX"}),),
    ),
    "clock-skew": Fault("the host's clock is two minutes ahead", "os.time-skew", (("clock.offset_s", 120.0),)),
    "port-taken": Fault("another program listens on port 1025", "ports.free", (("ports.taken", [1025]),)),
    "daemon-dies-loading": Fault("the MindIE daemon of the host dies while it loads", "",
                                 (("mindie.die_on_load_fraction", 0.5),)),
    "daemon-hangs": Fault("the MindIE daemon of the host never gets ready", "", (("mindie.hang", True),)),
    "follower-never-registers": Fault("the host's daemon never meets its leader", "",
                                      (("mindie.never_register", True),)),
    "docker-stopped": Fault("the container engine does not run", "docker.running", (("engine.running", False),),
                            ((*ENGINE, "stop"),), ((*ENGINE, "start"),)),
    "image-missing": Fault(
        "the MindIE image is not loaded", "docker.image", (("image.present", False),),
        (("docker", "image", "rm", "--force", IMAGE),), (("docker", "load", "--quiet", f"--input={IMAGE_ARCHIVE}"),),
    ),
    "weights-missing": Fault(
        "the model directory is gone", "weights.present", (("weights.fault", "missing"),),
        ((*SPOIL, "spoil", "missing", MODEL_DIRECTORY),), ((*SPOIL, "mend", "missing", MODEL_DIRECTORY),),
    ),
    "weights-fp8": Fault(
        "config.json says FP8", "weights.dtype", (("weights.fault", "fp8"),),
        ((*SPOIL, "spoil", "fp8", MODEL_DIRECTORY),), ((*SPOIL, "mend", "fp8", MODEL_DIRECTORY),),
    ),
    "weights-shard": Fault(
        "one byte of a shard is changed", "weights.digest", (("weights.fault", "shard"),),
        ((*SPOIL, "spoil", "shard", MODEL_DIRECTORY),), ((*SPOIL, "mend", "shard", MODEL_DIRECTORY),),
    ),
    "disk-small": Fault(
        "the filesystem of the models has 64 MiB (what is there is hidden)", "weights.disk", (("disk.limit_mib", 64),),
        (("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "/data/models"),), (("umount", "/data/models"),),
    ),
    "ssh-stopped": Fault(
        "the host does not answer on SSH", "host.unreachable", (),
        (("sh", "/opt/simulator/host/ssh-server", "stop"),), (("sh", "/opt/simulator/host/ssh-server", "start"),),
    ),
}  # fmt: skip


def edit(raw: dict[str, Any], fault: Fault, context: Context) -> None:
    """Makes the fault's changes in what a state file says."""
    for template, value in fault.changes:
        made = value(context) if callable(value) else value
        path = template.format(npu=context.npu).split(".")
        for place, key in _places(raw, path):
            if key.endswith("+"):
                place.setdefault(key[:-1], []).append(made)
            else:
                place[key] = made


def _places(raw: dict[str, Any], path: list[str]) -> list[tuple[dict[str, Any], str]]:
    """The mappings that hold the last name of the path, made when missing; `npus.*` is all of them."""
    *front, last = path
    places: list[Any] = [raw]
    for name in front:
        following: list[Any] = []
        for place in places:
            if isinstance(place, list):
                following += [entry for entry in place if name in ("*", str(entry.get("id", 0)))]
            else:
                if place.get(name) is None:
                    place[name] = [] if name == "npus" else {}
                following.append(place[name])
        places = following
    return [(place, last) for place in places]

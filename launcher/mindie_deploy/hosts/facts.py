"""What a host said about itself, read from raw command output: plain frozen values, no judgement.

A value that could not be read is `Unknown` with the reason, never a default: a command that failed says nothing about
the hardware.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar, Union

T = TypeVar("T")


@dataclass(frozen=True)
class Unknown:
    """A value that could not be read, and why ("npu-smi info gave no answer within 60 s")."""

    reason: str


Reading: TypeAlias = Union[T, Unknown]  # noqa: UP007  (a generic alias; mypy does not take the | form)


@dataclass(frozen=True)
class Npu:
    """One NPU die as `npu-smi info` shows it. Memory in MiB, power in W, temperature in degrees Celsius.

    None is a value that is not printed, or printed as the 0 that a failed read leaves (power, temperature, HBM total,
    bus). The name is empty where its read failed. `memory_*` (DDR) is 0 of 0 on A2 and A3 and says nothing there.
    """

    id: int
    chip: int
    name: str
    health: str
    physical_id: int | None
    bus_id: str | None
    power_w: float | None
    temperature_c: int | None
    aicore_percent: int | None
    hbm_used_mib: int | None
    hbm_total_mib: int | None
    hugepages_used: int | None = None
    hugepages_total: int | None = None
    memory_used_mib: int | None = None
    memory_total_mib: int | None = None


@dataclass(frozen=True)
class NpuProcess:
    """One row of the process block of `npu-smi info`. The pid is the host's; the name has at most 15 characters."""

    npu: int
    chip: int
    pid: int
    name: str
    memory_mib: int


@dataclass(frozen=True)
class NpuOverview:
    """`npu-smi info` as a whole. `processes` is None where the block is missing (not: none).

    A device that the driver lost is simply not in `npus`: compare the ids, not the number. `warnings` are lines of the
    tool that are no table rows, and what does not fit. The versions are empty where there is no banner.
    """

    tool_version: str
    driver_version: str
    npus: tuple[Npu, ...]
    processes: tuple[NpuProcess, ...] | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class NpuBoard:
    """`npu-smi info -t board -i N`."""

    driver_version: str | None
    firmware_version: str | None
    compatibility: str | None
    pci_device_id: str | None
    product_name: str | None = None
    serial_number: str | None = None


@dataclass(frozen=True)
class HccnDevice:
    """One NPU's RoCE port as hccn_tool shows it, by device index (0..7).

    `address`, `netmask`, `gateway`, `netdetect` are None where the tool says that none is set. `tls` is the switch
    (True: on), None where the product has none or no certificate was ever set. Speed in Mbit/s.
    """

    index: int
    address: Reading[str | None]
    netmask: Reading[str | None]
    link_up: Reading[bool]
    net_health: Reading[str]
    netdetect: Reading[str | None]
    gateway: Reading[str | None]
    tls: Reading[bool | None]
    speed_mbps: Reading[int | None]
    mtu: Reading[int | None]
    mac: Reading[str | None] = field(default_factory=lambda: Unknown("not collected"))


@dataclass(frozen=True)
class VersionFile:
    """A version.info file: its version and the closed ranges of partner versions that it declares, if any.

    `compatible` is the range where there is exactly one, `ranges` holds all of them: firmware files have up to six.
    """

    path: str
    version: str
    compatible: tuple[str, str] | None
    compatible_with: str | None = None  # "firmware" in the driver's file, "driver" in the firmware's
    ranges: tuple[tuple[str, str], ...] = ()

    def accepts(self, partner_version: str) -> bool | None:
        """Tells whether a partner's version lies in one of the ranges; None where none is declared.

        As the driver does it (dcmi_judge_compatibility): the version is cut to the length of the longer bound, then
        compared as text, so that "24.1.rc3" lies in [24.1,24.1.]. The pair fits if either file accepts the other.
        """
        if not self.ranges:
            return None
        return any(low <= partner_version[: max(len(low), len(high))] <= high for low, high in self.ranges)


@dataclass(frozen=True)
class HccnConfiguration:
    """/etc/hccn.conf: the persistent copy of what hccn_tool shows, per device index."""

    address: dict[int, str]
    netmask: dict[int, str]
    netdetect: dict[int, str]
    gateway: dict[int, str]


@dataclass(frozen=True)
class PathState:
    """lstat of one path. `kind` is file, directory, char, block, link, socket, fifo; mode is the octal text "0640"."""

    path: str
    exists: bool
    kind: str | None = None
    mode: str | None = None
    owner: str | None = None
    group: str | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    target: str | None = None  # where a link leads to in the end
    target_kind: str | None = None  # what it leads to, None for no link and for a dangling one
    error: str | None = None


@dataclass(frozen=True)
class EngineFacts:
    """The container engine: version, where it keeps its data, and its containers that touch NPUs or have our name."""

    version: str
    root: str | None
    architecture: str | None
    containers: tuple[ContainerFacts, ...]


@dataclass(frozen=True)
class ContainerFacts:
    """One container, running or not. `devices` are host paths, `pid` the host pid of its first process (0: none)."""

    id: str
    name: str
    image: str
    image_id: str
    status: str  # created, running, exited, ...
    running: bool
    pid: int
    exit_code: int
    started_at: str
    devices: tuple[str, ...]
    privileged: bool
    labels: dict[str, str]


@dataclass(frozen=True)
class ImageFacts:
    """An image as the engine knows it; `id` is its content digest (sha256:...)."""

    reference: str
    id: str
    architecture: str | None
    labels: dict[str, str]
    size_bytes: int | None


@dataclass(frozen=True)
class DiskFacts:
    """Space where `path` is or will be, in bytes; `ancestor` is the nearest existing directory."""

    path: str
    ancestor: str
    total_bytes: int
    available_bytes: int
    filesystem: str | None = None
    read_only: bool = False


@dataclass(frozen=True)
class ListeningPort:
    """A TCP port in state LISTEN; the address is as the kernel has it ("0.0.0.0", "::", "10.0.0.1")."""

    address: str
    port: int
    inode: int | None = None


@dataclass(frozen=True)
class WeightsFacts:
    """The model directory as a read-only look sees it: its files, and config.json and the index as parsed JSON."""

    path: str
    real_path: str | None
    exists: bool
    mode: str | None
    uid: int | None
    files: dict[str, int]  # name: size in bytes
    file_modes: dict[str, str]
    configuration: Reading[dict[str, object]]  # config.json
    index_present: bool
    incoming_bytes: int = 0  # what an unfinished transfer has left beside it, and will not write again


@dataclass(frozen=True)
class SystemFacts:
    """The operating system. Memory in bytes; the page size in bytes."""

    hostname: str
    kernel: str
    architecture: str
    os_id: str | None
    os_version: str | None
    os_name: str | None
    python: str
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    page_size: int | None
    modules: tuple[str, ...] | None  # kernel modules loaded
    addresses: tuple[str, ...]  # host IP addresses
    interfaces: dict[str, str] = field(default_factory=dict)  # network interface by address; empty without `ip`


@dataclass(frozen=True)
class ClockFacts:
    """The host's clock against the controller's. The true skew lies within skew_s plus or minus uncertainty_s."""

    skew_s: float
    uncertainty_s: float


@dataclass(frozen=True)
class HostFacts:
    """Everything one collection of one host says."""

    name: str
    system: Reading[SystemFacts]
    clock: Reading[ClockFacts]
    npu_smi: Reading[PathState]
    hccn_tool: Reading[PathState]
    overview: Reading[NpuOverview]
    boards: dict[int, Reading[NpuBoard]]
    npu_error_codes: dict[int, Reading[tuple[str, ...]]]
    topology: Reading[dict[tuple[int, int], str]]  # link word of every ordered pair of NPUs, e.g. "HCCS"
    hccn: dict[int, HccnDevice]
    hccn_configuration: Reading[HccnConfiguration]
    driver: Reading[VersionFile]
    firmware: Reading[VersionFile]
    install_info: Reading[dict[str, str]]
    devices: Reading[tuple[PathState, ...]]
    engine: Reading[EngineFacts]
    image: Reading[ImageFacts | None]  # None: the engine answered and has no such image
    disks: dict[str, Reading[DiskFacts]]
    listening: Reading[tuple[ListeningPort, ...]]
    weights: Reading[WeightsFacts]

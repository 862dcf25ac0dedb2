"""What the operating system, the container engine and the disks said: plain frozen values, no judgement."""

from __future__ import annotations

from dataclasses import dataclass, field

from mindie_deploy.hosts.reading import Reading


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
    """The container engine: version, where it keeps its data, and its containers that touch NPUs or have our name.

    `security` are its words for what guards containers: selinux, apparmor, seccomp, userns, rootless and others.
    """

    version: str
    root: str | None
    architecture: str | None
    containers: tuple[ContainerFacts, ...]
    default_runtime: str | None = None
    cgroup_version: str | None = None  # "1" or "2"
    security: tuple[str, ...] = ()
    images: int | None = None  # how many it has of any kind


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
    proxies: tuple[str, ...] = ()  # variables of its environment that name a proxy


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
    """A TCP port in state LISTEN; the address is as the kernel has it ("0.0.0.0", "::", "10.0.0.1").

    `by_check`: a check, this or another, listens there for a moment, so that hosts can try the port.
    """

    address: str
    port: int
    inode: int | None = None
    by_check: bool = False


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
    addresses: Reading[tuple[str, ...]]  # host IP addresses
    interfaces: dict[str, str] = field(default_factory=dict)  # network interface by address; empty without `ip`


@dataclass(frozen=True)
class ClockFacts:
    """The host's clock against the controller's. The true skew lies within skew_s plus or minus uncertainty_s."""

    skew_s: float
    uncertainty_s: float

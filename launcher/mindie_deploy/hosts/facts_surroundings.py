"""What surrounds a container on its host (kernel, firewall, shared memory, limits): plain values, no judgement."""

from __future__ import annotations

from dataclasses import dataclass, field

from mindie_deploy.hosts.facts_host import DiskFacts, PathState
from mindie_deploy.hosts.port_ranges import Ranges
from mindie_deploy.hosts.reading import NOT_COLLECTED, Reading

UNLIMITED = -1


@dataclass(frozen=True)
class InterfaceState:
    """A network interface. `state` is the kernel's word: up, down, unknown (loopback, tunnels) and others."""

    mtu: int | None
    state: str | None


@dataclass(frozen=True)
class KernelFacts:
    """Values of /proc and /sys. None is one that the host does not have, or does not show."""

    transparent_huge_pages: str | None = None  # always, madvise, never
    governors: dict[str, int] = field(default_factory=dict)  # CPU frequency governor: number of its policies
    selinux_enforcing: bool | None = None  # None: the kernel runs no SELinux
    pid_max: int | None = None
    threads_max: int | None = None
    file_max: int | None = None
    nr_open: int | None = None  # the highest limit of open files that a process may be given
    somaxconn: int | None = None
    conntrack_count: int | None = None
    conntrack_max: int | None = None
    ephemeral_ports: Ranges | None = None  # what the kernel gives to outgoing connections
    reserved_ports: Ranges | None = None  # what it leaves out of them
    product: str | None = None  # as the firmware names the machine
    interfaces: dict[str, InterfaceState] = field(default_factory=dict)
    device_cgroup: bool | None = None  # False: switched off on the kernel's command line
    locale: str | None = None  # LANG of the system's configuration


@dataclass(frozen=True)
class FirewallFacts:
    """The firewall for incoming packets. `refusing` names the chains that refuse what no rule of theirs lets in."""

    refusing: tuple[str, ...]


@dataclass(frozen=True)
class SharedMemoryFacts:
    """The host's shared memory: what its directory is, its space, and files that a MindIE left or has in use there."""

    state: PathState
    space: Reading[DiskFacts]
    files: tuple[PathState, ...]


@dataclass(frozen=True)
class Surroundings:
    """Everything about a host that only its container will feel.

    `installed_kernels` are those that the host can boot, by release: whether the NPU driver has modules for it.
    `own_name` are the addresses that the host's own name leads to. `engine_limits` are soft and hard limits that a
    container is born with, by the engine's words ("nofile"), UNLIMITED for none. `proxies` are what the engine's client
    puts into every container, by key ("httpProxy"), without user and password. `digests` are the SHA-256 sums of the
    model's small files, and `weight_links` the links among its files with the place that each leads to in the end.
    `state_paths` are the state directory and the deployment's own in it. `lock` is the deployment's lock file.
    """

    kernel: Reading[KernelFacts] = NOT_COLLECTED
    installed_kernels: Reading[dict[str, bool]] = NOT_COLLECTED
    firewall: Reading[FirewallFacts] = NOT_COLLECTED
    shared_memory: Reading[SharedMemoryFacts] = NOT_COLLECTED
    own_name: Reading[tuple[str, ...]] = NOT_COLLECTED
    engine_limits: Reading[dict[str, tuple[int, int]]] = NOT_COLLECTED
    proxies: Reading[dict[str, str]] = NOT_COLLECTED
    digests: Reading[dict[str, str]] = NOT_COLLECTED
    weight_links: Reading[dict[str, str]] = NOT_COLLECTED
    state_paths: Reading[tuple[PathState, ...]] = NOT_COLLECTED
    lock: Reading[PathState] = NOT_COLLECTED

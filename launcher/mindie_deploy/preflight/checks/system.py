"""The operating system: architecture, release, kernel, clock, memory, disk for our own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from mindie_deploy.hosts.facts import NOT_COLLECTED, ClockFacts, DiskFacts, HostFacts, SystemFacts, Unknown
from mindie_deploy.preflight.context import Context, is_ours_running
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.majority import odd_hosts, values_of
from mindie_deploy.preflight.registry import check
from mindie_deploy.preflight.sizes import size_text
from mindie_deploy.preflight.weights_size import model_bytes

Hosts = Mapping[str, HostFacts]
CACHE_FACTOR = 1.3  # MindIE's FAQ: free memory of (weights / hosts) x 1.3
STATE_BYTES = 16 * 1024 * 1024  # rendered files and history are some hundred kB


@check(
    "os.arch",
    title="the processor architecture differs between hosts",
    severity="block",
    scope="cluster",
    command="uname -m",
    needs=("system",),
    why="One image serves all members.",
    remedy="Use hosts of one architecture for a deployment.",
    source="practice",
)
def architecture(hosts: Hosts, context: Context) -> Iterator[Problem]:
    yield from odd_hosts(values_of(hosts, lambda host: _system(host).architecture), "architecture")


@check(
    "os.release",
    title="the operating system differs between hosts",
    severity="warn",
    scope="cluster",
    command="/etc/os-release",
    needs=("system",),
    caused_by=("os.arch",),
    unknown="info",
    why="Hosts that differ fail differently; a driver is built for certain systems.",
    remedy="Bring the hosts named to the release of the others when you can.",
    source="practice",
)
def release(hosts: Hosts, context: Context) -> Iterator[Problem]:
    yield from odd_hosts(values_of(hosts, _release), "release")


@check(
    "os.kernel",
    title="the kernel differs between hosts",
    severity="warn",
    scope="cluster",
    command="uname -r",
    needs=("system",),
    caused_by=("os.arch", "os.release"),
    unknown="info",
    why="The driver's module is built for one kernel; one host with another was upgraded alone.",
    remedy="Boot the hosts named with the kernel of the others, or rebuild the driver's module there.",
    source="practice",
)
def kernel(hosts: Hosts, context: Context) -> Iterator[Problem]:
    yield from odd_hosts(values_of(hosts, lambda host: _system(host).kernel), "kernel")


@check(
    "os.page-size",
    title="the memory page size differs between hosts",
    severity="warn",
    scope="cluster",
    command="getconf PAGE_SIZE",
    needs=("system",),
    caused_by=("os.arch", "os.release", "os.kernel"),
    unknown="info",
    why="HCCL_RDMA_PCIE_DIRECT_POST_NOSTRICT has another right value with 4 KiB pages than with 64 KiB pages.",
    remedy="Boot the hosts named with the kernel of the others.",
    source="msprechecker's rules; GPUStack 0.7.1",
)
def page_size(hosts: Hosts, context: Context) -> Iterator[Problem]:
    def text(host: HostFacts) -> str | None:
        size = _system(host).page_size
        return None if size is None else f"{size} bytes"

    yield from odd_hosts(values_of(hosts, text), "page size")


@check(
    "os.hostname-unique",
    title="two hosts have the same host name",
    severity="warn",
    scope="cluster",
    command="uname -n",
    needs=("system",),
    unknown="info",
    why="Logs and messages of different hosts cannot be told apart, and some tools take them for one host.",
    remedy="hostnamectl set-hostname NAME on one of them.",
    source="practice",
)
def hostname(hosts: Hosts, context: Context) -> Iterator[Problem]:
    holders: dict[str, list[str]] = {}
    for name, host in hosts.items():
        holders.setdefault(_system(host).hostname.lower(), []).append(name)
    for text, names in holders.items():
        if text and len(names) > 1:
            for name in names:
                yield Problem(name, f"{text} is the name of {' and '.join(names)}")


@check(
    "os.time-skew",
    title="the clocks of the hosts differ",
    severity="block",
    scope="cluster",
    command="the host's clock during the collection",
    needs=("clock",),
    unknown="warn",
    why="Time-outs, certificates and the order of log lines rest on clocks. Hosts are compared with one another: a "
    "controller whose clock is wrong blocks nothing.",
    remedy="chronyc tracking; start chronyd and give all hosts the same time server. Limits: mindie_clock_skew_warn_s "
    "and mindie_clock_skew_block_s.",
    source="practice: 2 s mentioned, 60 s blocks",
)
def time_skew(hosts: Hosts, context: Context) -> Iterator[Problem]:
    """Hosts whose clocks may agree form a group; those outside of the largest group are named, of a tie all."""
    clocks = {name: host.clock for name, host in hosts.items() if isinstance(host.clock, ClockFacts)}
    groups = _clock_groups(clocks, context.settings.clock_skew_warn_s)
    if len(groups) < 2:
        return
    tie = len(groups[0]) == len(groups[1])
    for group in groups if tie else groups[1:]:
        reference = groups[1] if group is groups[0] else groups[0]
        middle = median(clocks[name].skew_s for name in reference)
        doubt = max(clocks[name].uncertainty_s for name in reference)
        for name in group:
            apart = clocks[name].skew_s - middle
            certain = abs(apart) - clocks[name].uncertainty_s - doubt
            blocks = certain > context.settings.clock_skew_block_s
            says = f"{abs(apart):.1f} s {'ahead of' if apart > 0 else 'behind'} {', '.join(reference)}"
            yield Problem(name, says, severity="block" if blocks else "warn")


@check(
    "os.memory",
    title="the host has little free memory for loading",
    severity="warn",
    scope="cluster",
    command="/proc/meminfo",
    needs=("system",),
    unknown="info",
    why="Weights are read through the host's memory; with too little of it loading takes hours or is killed.",
    remedy="Stop what uses the memory. Rule of thumb: the size of the weights / number of hosts x 1.3 free.",
    source="MindIE's FAQ",
)
def memory(hosts: Hosts, context: Context) -> Iterator[Problem]:
    whole = model_bytes(context.settings, hosts.values())
    needed = int(whole / context.size * CACHE_FACTOR)
    for name, host in hosts.items():
        available = _system(host).memory_available_bytes
        if is_ours_running(host, context.settings):
            continue
        if available is None:
            yield Problem(name, "the host does not tell its free memory", kind="unknown")
        elif available < needed:
            yield Problem(name, f"{size_text(available)} available, advised {size_text(needed)}")


@check(
    "state.disk",
    title="there is no room for the deployment's own files",
    severity="block",
    command="df of mindie_state_directory",
    why="Configuration, rank table and lock are written there before the start.",
    remedy="Free some space, or set mindie_state_directory to a file system that can be written.",
    source="design: state on a host lives in one directory",
)
def state_disk(host: HostFacts, context: Context) -> Iterator[Problem]:
    path = context.settings.state_directory
    disk = host.disks.get(path, NOT_COLLECTED)
    if isinstance(disk, Unknown):
        yield Problem(host.name, disk.reason, kind="unknown")
    elif disk.read_only:
        yield Problem(host.name, f"{disk.ancestor} is mounted read-only", title="the state directory is read-only")
    elif disk.available_bytes < STATE_BYTES:
        yield Problem(host.name, f"{_free(disk)} at {path}, needed {size_text(STATE_BYTES)}")


def _free(disk: DiskFacts) -> str:
    return f"{size_text(disk.available_bytes)} free of {size_text(disk.total_bytes)}"


def _system(host: HostFacts) -> SystemFacts:
    """The system of a host whose system is known; checks that need it see no others."""
    if isinstance(host.system, Unknown):
        raise TypeError(f"the system of {host.name} is not known: {host.system.reason}")
    return host.system


def _release(host: HostFacts) -> str | None:
    system = _system(host)
    parts = [part for part in (system.os_id, system.os_version) if part]
    return " ".join(parts) or system.os_name


def _clock_groups(clocks: Mapping[str, ClockFacts], tolerance_s: float) -> list[list[str]]:
    """Returns hosts in groups, the largest first: a new group begins where the gap is certain to be too wide."""
    groups: list[list[str]] = []
    previous: ClockFacts | None = None
    for name, clock in sorted(clocks.items(), key=lambda item: item[1].skew_s):
        gap = 0.0 if previous is None else clock.skew_s - previous.skew_s
        doubt = 0.0 if previous is None else clock.uncertainty_s + previous.uncertainty_s
        if previous is None or gap - doubt > tolerance_s:
            groups.append([])
        groups[-1].append(name)
        previous = clock
    return sorted(groups, key=lambda group: -len(group))

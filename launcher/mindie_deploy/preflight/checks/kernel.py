"""Values of the kernel that make a deployment slow or end it: limits, huge pages, governors, tracked connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import EngineFacts, HostFacts, KernelFacts
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.majority import odd_hosts, values_of
from mindie_deploy.preflight.registry import check

NEEDS = ("surroundings.kernel",)
UNREAD = ("os.kernel-values",)
PERSIST = "To keep it: the same line in a file of /etc/sysctl.d."


@check(
    "os.kernel-values",
    title="values of the kernel could not be read",
    severity="info",
    command="first lines of files in /proc/sys and /sys",
    needs=NEEDS,
    why="Limits, huge pages, governors and the state of interfaces are judged by them.",
    remedy="Read the reason. sh must run on the host, and /proc and /sys must be mounted.",
    source="practice",
)
def values(host: HostFacts, context: Context) -> Iterator[Problem]:
    """Reports only what the registry does: that the values are not known."""
    yield from ()


@check(
    "os.hugepage",
    title="transparent huge pages are not always used",
    severity="info",
    command="/sys/kernel/mm/transparent_hugepage/enabled",
    needs=NEEDS,
    caused_by=UNREAD,
    why="Large pages make the host's part of the work faster; nothing fails without them.",
    remedy="echo always > /sys/kernel/mm/transparent_hugepage/enabled; to keep it: transparent_hugepage=always on the "
    "kernel's command line.",
    source="msprechecker's rules",
)
def huge_pages(host: HostFacts, context: Context) -> Iterator[Problem]:
    word = _kernel(host).transparent_huge_pages
    if word in ("madvise", "never"):
        yield Problem(host.name, f"it says {word}")


@check(
    "os.cpu-governor",
    title="the CPU frequency is not held at its highest",
    severity="info",
    command="scaling_governor of every CPU frequency policy",
    needs=NEEDS,
    caused_by=UNREAD,
    why="Work on the host between two steps of the NPUs waits for the clock to rise: answers are slower and less even.",
    remedy="cpupower frequency-set -g performance, or tuned-adm profile throughput-performance.",
    source="msprechecker's rules",
)
def governor(host: HostFacts, context: Context) -> Iterator[Problem]:
    governors = _kernel(host).governors
    slow = {word: count for word, count in governors.items() if word != "performance"}
    if slow:
        told = ", ".join(f"{word} on {count}" for word, count in sorted(slow.items()))
        yield Problem(host.name, f"{told} of {sum(governors.values())} policies")


@check(
    "os.pids",
    title="the host allows few processes and threads",
    severity="warn",
    command="/proc/sys/kernel/pid_max, /proc/sys/kernel/threads-max",
    needs=NEEDS,
    caused_by=UNREAD,
    unknown="info",
    why='MindIE and its workers start thousands of threads; at the limit they end with "fork rejected" or "cannot '
    'allocate". The container itself has no limit.',
    remedy=f"sysctl -w kernel.pid_max=4194304 kernel.threads-max=4194304. {PERSIST} Limit: mindie_processes_needed.",
    source="MindCluster, knowledge base of faults; the number is practice",
)
def pids(host: HostFacts, context: Context) -> Iterator[Problem]:
    kernel, needed = _kernel(host), context.settings.processes_needed
    for name, value in (("kernel.pid_max", kernel.pid_max), ("kernel.threads-max", kernel.threads_max)):
        if value is not None and value < needed:
            yield Problem(host.name, f"{name} is {value}, advised {needed} or more")


@check(
    "os.ulimit",
    title="the kernel allows fewer open files than are needed",
    severity="block",
    command="/proc/sys/fs/nr_open, /proc/sys/fs/file-max",
    needs=NEEDS,
    caused_by=UNREAD,
    unknown="info",
    why="A container whose limit of open files (mindie_ulimits) is above fs.nr_open does not start. A low fs.file-max "
    "counts for all processes of the host together.",
    remedy=f"sysctl -w fs.nr_open=1048576 fs.file-max=6815744. {PERSIST} Or lower nofile in mindie_ulimits.",
    source="Linux, sysctl/fs: nr_open; practice",
)
def open_files(host: HostFacts, context: Context) -> Iterator[Problem]:
    kernel = _kernel(host)
    hard = context.settings.ulimits.get("nofile", "").split(":")[-1]
    if hard and kernel.nr_open is not None and (hard == "-1" or int(hard) > kernel.nr_open):
        yield Problem(host.name, f"fs.nr_open is {kernel.nr_open}, mindie_ulimits asks for nofile {hard}")
    if kernel.file_max is not None and kernel.file_max < context.settings.open_files_needed:
        yield Problem(
            host.name,
            f"fs.file-max is {kernel.file_max}, advised {context.settings.open_files_needed} or more",
            severity="warn",
            title="the kernel allows few open files",
        )


@check(
    "os.conntrack",
    title="the table of tracked connections is nearly full",
    severity="warn",
    command="/proc/sys/net/netfilter/nf_conntrack_count and nf_conntrack_max",
    needs=NEEDS,
    caused_by=UNREAD,
    unknown="info",
    why="When it is full, new connections between hosts are dropped without a word.",
    remedy=f"sysctl -w net.netfilter.nf_conntrack_max=1048576. {PERSIST} Look for who opens so many: conntrack -L. "
    "Limit: mindie_conntrack_percent_limit.",
    source="MindCluster, knowledge base of faults; the number is practice",
)
def conntrack(host: HostFacts, context: Context) -> Iterator[Problem]:
    kernel = _kernel(host)
    if kernel.conntrack_count is None or not kernel.conntrack_max:
        return  # connections are not tracked
    if kernel.conntrack_count * 100 >= kernel.conntrack_max * context.settings.conntrack_percent_limit:
        yield Problem(host.name, f"{kernel.conntrack_count} of {kernel.conntrack_max} are in use")


@check(
    "os.listen-backlog",
    title="few connections may wait on a listening socket",
    severity="info",
    command="/proc/sys/net/core/somaxconn",
    needs=NEEDS,
    caused_by=UNREAD,
    why="When all ranks connect to one at the same moment, those beyond the limit try again later; at scale HCCL "
    "reports socket time-outs.",
    remedy=f"sysctl -w net.core.somaxconn=4096. {PERSIST} Limit: mindie_listen_backlog_needed.",
    source="HCCL user guide (topo exchange time-out); the number is practice",
)
def listen_backlog(host: HostFacts, context: Context) -> Iterator[Problem]:
    value, needed = _kernel(host).somaxconn, context.settings.listen_backlog_needed
    if value is not None and value < needed:
        yield Problem(host.name, f"net.core.somaxconn is {value}, advised {needed} or more")


@check(
    "os.selinux",
    title="SELinux is enforcing, and the engine labels containers",
    severity="warn",
    command="/sys/fs/selinux/enforce, docker info",
    needs=NEEDS,
    caused_by=(*UNREAD, "docker.running"),
    unknown="info",
    why="A labelled container may read only files with the label of containers: weights, driver and configuration are "
    "refused although their modes are right.",
    remedy="ausearch -m avc -ts recent shows what was refused. setenforce 0 until the next start, or "
    "SELINUX=permissive in /etc/selinux/config; or chcon -Rt container_file_t on the weights and on "
    "mindie_state_directory.",
    source="Docker's documentation of bind mounts and SELinux",
)
def selinux(host: HostFacts, context: Context) -> Iterator[Problem]:
    if not _kernel(host).selinux_enforcing or context.settings.privileged:
        return
    if isinstance(host.engine, EngineFacts) and "selinux" in host.engine.security:
        yield Problem(host.name, "enforcing; the engine names selinux among its security options")
    else:
        title, remedy = "SELinux is enforcing", "Nothing, unless files are refused: ausearch -m avc -ts recent."
        yield Problem(host.name, "enforcing", severity="info", title=title, remedy=remedy)


@check(
    "os.locale",
    title="the system's language setting is not UTF-8",
    severity="info",
    command="/etc/locale.conf, /etc/default/locale",
    needs=NEEDS,
    caused_by=UNREAD,
    why="The container has its own (C.UTF-8); messages of the host's tools may be unreadable.",
    remedy="localectl set-locale LANG=en_US.UTF-8 or another UTF-8 one, when you can.",
    source="MindIE's FAQ ('ascii' codec); practice",
)
def locale(host: HostFacts, context: Context) -> Iterator[Problem]:
    name, _, charset = (_kernel(host).locale or "").partition(".")
    charset = charset.split("@")[0].lower().replace("-", "")
    if charset and charset != "utf8":
        yield Problem(host.name, f"LANG={name}.{charset}")


@check(
    "docker.device-cgroup",
    title="the kernel cannot give devices to a container",
    severity="block",
    command="/proc/cgroups, docker info",
    needs=NEEDS,
    caused_by=(*UNREAD, "docker.running"),
    unknown="info",
    why="With cgroup version 1 the devices controller decides which device nodes a container may open. It is switched "
    "off, so the NPUs cannot be given.",
    remedy="Remove cgroup_disable=devices from the kernel's command line (/proc/cmdline shows it) and reboot.",
    source="Linux, device controller of cgroup version 1",
)
def device_cgroup(host: HostFacts, context: Context) -> Iterator[Problem]:
    first = isinstance(host.engine, EngineFacts) and host.engine.cgroup_version == "1"
    if first and _kernel(host).device_cgroup is False:
        yield Problem(host.name, "/proc/cgroups: devices is not enabled")


@check(
    "host.product",
    title="the hosts are of different models",
    severity="warn",
    scope="cluster",
    command="/sys/class/dmi/id/product_name",
    needs=NEEDS,
    caused_by=UNREAD,
    unknown="info",
    why="Servers of different models differ in NPUs, memory and cabling; the slowest sets the pace of all.",
    remedy="Use hosts of one model, or skip this check where the mixture is wanted: mindie_checks_skip.",
    source="practice",
)
def product(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    yield from odd_hosts(values_of(hosts, lambda host: _kernel(host).product), "model")


def _kernel(host: HostFacts) -> KernelFacts:
    """The values of a host whose values are known; checks that need them see no others."""
    kernel = host.surroundings.kernel
    if not isinstance(kernel, KernelFacts):
        raise TypeError(f"the kernel's values of {host.name} are not known: {kernel.reason}")
    return kernel

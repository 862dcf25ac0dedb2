"""Variables of the user's that contradict what a host is."""

from __future__ import annotations

from collections.abc import Iterator

from mindie_deploy.hosts.facts import HostFacts, ListeningPort, Unknown
from mindie_deploy.hosts.hccl_ports import BASE_PORT, PORT_RANGE, PORTS, hccl_ports
from mindie_deploy.hosts.port_ranges import Ranges
from mindie_deploy.preflight.context import Context, is_ours_running
from mindie_deploy.preflight.finding import Problem, numbers_text
from mindie_deploy.preflight.registry import check

DIRECT_POST = "HCCL_RDMA_PCIE_DIRECT_POST_NOSTRICT"
FOUR_KIB_PAGES = 4096
SOURCE = f"HCCL user guide ({BASE_PORT}, {PORT_RANGE})"


@check(
    "os.page-size-hccl",
    title="a variable of HCCL does not fit the host's memory pages",
    severity="warn",
    command="getconf PAGE_SIZE, mindie_environment",
    unknown="info",
    why=f"{DIRECT_POST} is for hosts whose memory pages are not 4 KiB; with 4 KiB pages it must be unset, else memory "
    f"is "
    "fragmented and runs out after hours.",
    remedy=f"Remove {DIRECT_POST} from mindie_environment: it is set where it has to be.",
    source="msprechecker's rules; GPUStack 0.7.1",
)
def page_size(host: HostFacts, context: Context) -> Iterator[Problem]:
    """Judged only where the user sets the variable."""
    value = context.settings.environment.get(DIRECT_POST)
    if value is None:
        return
    size = host.system if isinstance(host.system, Unknown) else host.system.page_size
    if isinstance(size, Unknown) or size is None:
        yield Problem(host.name, "the host's page size is not known" if size is None else size.reason, kind="unknown")
    elif (str(value).upper() == "TRUE") == (size == FOUR_KIB_PAGES):
        yield Problem(host.name, f"{DIRECT_POST}={value} with pages of {size} bytes")


@check(
    "ports.hccl",
    title="a port that HCCL uses on the host is taken",
    severity="warn",
    command="/proc/net/tcp, /proc/net/tcp6",
    needs=("listening",),
    unknown="info",
    why=f"Where HCCL gathers the ranks by itself it listens on {PORTS} ports of the host, from 60000 on (CANN before "
    "8.2 on 16); where one is taken it reports EI0019, EI0020 or EJ0003 (bind failed).",
    remedy="ss -ltnp 'sport = :PORT' names the process that listens. Stop it, or move HCCL: "
    f"mindie_environment: {{{BASE_PORT}: '50000'}} (with the {PORTS} ports from there on free).",
    source=SOURCE,
)
def taken(host: HostFacts, context: Context) -> Iterator[Problem]:
    """Of the ports of HCCL_HOST_SOCKET_PORT_RANGE HCCL takes what is free: one for each NPU must be left."""
    hccl = hccl_ports(context.settings)
    if hccl is None or isinstance(host.listening, Unknown) or is_ours_running(host, context.settings):
        return
    wanted = frozenset(hccl.ports)
    held = {one.port for one in host.listening if one.port in wanted and not _local(one) and not one.by_check}
    if context.size < 2 or not held:
        return
    needed = context.settings.npus_per_host
    if hccl.all_needed:
        yield Problem(host.name, f"listened on: {numbers_text(sorted(held))}")
    elif len(wanted) - len(held) < needed:
        says = f"{PORT_RANGE}: {len(wanted) - len(held)} of {len(wanted)} ports are free, of {needed} NPUs"
        remedy = f"Give {PORT_RANGE} in mindie_environment more ports that are free: ss -ltn shows those that are not."
        yield Problem(host.name, f"{says}; listened on: {numbers_text(sorted(held))}", remedy=remedy)


@check(
    "ports.hccl-reserved",
    title="the kernel may give a port of HCCL to any outgoing connection",
    severity="info",
    command="/proc/sys/net/ipv4/ip_local_port_range and ip_local_reserved_ports",
    needs=("surroundings.kernel",),
    caused_by=("os.kernel-values",),
    why="A connection of any program may have one of these ports just when HCCL wants to listen there (EI0019, "
    "EI0020). It is rare, and a start tried again finds other ports in use. HCCL's guide asks to reserve them.",
    remedy="sysctl -w net.ipv4.ip_local_reserved_ports=60000-60031 (the ports named; keep what is reserved already, "
    "with a comma between). To keep it: the same line in a file of /etc/sysctl.d.",
    source=SOURCE,
)
def reserved(host: HostFacts, context: Context) -> Iterator[Problem]:
    hccl, kernel = hccl_ports(context.settings), host.surroundings.kernel
    if hccl is None or isinstance(kernel, Unknown) or context.size < 2:
        return
    if kernel.ephemeral_ports is None or kernel.reserved_ports is None:
        return  # the kernel shows neither, or in no known form
    free = [port for port in hccl.ports if _within(port, kernel.ephemeral_ports)]
    open_to_all = [port for port in free if not _within(port, kernel.reserved_ports)]
    if open_to_all:
        own = f"the kernel chooses from {_text(kernel.ephemeral_ports)}"
        says = f"HCCL's ports {numbers_text(open_to_all)}: {own}, reserved are {_text(kernel.reserved_ports) or 'none'}"
        yield Problem(host.name, says)


def _within(port: int, ranges: Ranges) -> bool:
    return any(first <= port <= last for first, last in ranges)


def _text(ranges: Ranges) -> str:
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def _local(one: ListeningPort) -> bool:
    """A listener on the loopback alone leaves the port free on the host's address."""
    return one.address.startswith("127.") or one.address == "::1"

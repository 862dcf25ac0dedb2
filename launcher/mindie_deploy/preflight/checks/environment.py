"""Variables of the user's that contradict what a host is."""

from __future__ import annotations

from collections.abc import Iterator

from mindie_deploy.hosts.facts import HostFacts, ListeningPort, Unknown
from mindie_deploy.preflight.context import Context, is_ours_running
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check

DIRECT_POST = "HCCL_RDMA_PCIE_DIRECT_POST_NOSTRICT"
FOUR_KIB_PAGES = 4096
BASE_PORT = "HCCL_IF_BASE_PORT"
FIRST_HCCL_PORT = 60000


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
    why="Ranks listen on the host from port 60000 on, one port for each NPU; where one is taken HCCL reports EI0019, "
    "EI0020 or EJ0003 (bind failed).",
    remedy="ss -ltnp 'sport = :PORT' names the process that listens. Stop it, or move HCCL: "
    f"mindie_environment: {{{BASE_PORT}: '61000'}} (with the ports above it free).",
    source="HCCL user guide (HCCL_IF_BASE_PORT)",
)
def hccl_ports(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.listening, Unknown) or is_ours_running(host, context.settings) or len(context.hosts) < 2:
        return
    text = str(context.settings.environment.get(BASE_PORT, FIRST_HCCL_PORT))
    if not text.isdecimal():
        return  # HCCL itself refuses it, and MindIE's log says so
    first = int(text)
    wanted = range(first, first + context.settings.npus_per_host)
    taken = sorted({one.port for one in host.listening if one.port in wanted and not _local(one)})
    if taken:
        yield Problem(host.name, f"listened on: {', '.join(map(str, taken))}")


def _local(one: ListeningPort) -> bool:
    """A listener on the loopback alone leaves the port free on the host's address."""
    return one.address.startswith("127.") or one.address == "::1"

"""The TCP ports of a host that HCCL uses there, by its variables in mindie_environment.

HCCL listens on them when it gathers the addresses of the ranks by itself. CANN before 8.2 takes 16 from the first on,
later ones 32. HCCL_HOST_SOCKET_PORT_RANGE replaces them: HCCL then takes those that are free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mindie_deploy.hosts.port_ranges import LAST_PORT, port_ranges

if TYPE_CHECKING:
    from mindie_deploy.cluster.settings import Settings

BASE_PORT = "HCCL_IF_BASE_PORT"
PORT_RANGE = "HCCL_HOST_SOCKET_PORT_RANGE"
FIRST_PORT = 60000
PORTS = 32
ALLOWED_BASE = range(1024, 65521)


@dataclass(frozen=True)
class HcclPorts:
    """The ports, and the variable that names them. `all_needed`: none of them may be taken by something else."""

    ports: tuple[int, ...]
    variable: str
    all_needed: bool


def hccl_ports(settings: Settings) -> HcclPorts | None:
    """Returns the ports of HCCL on every host; None where the kernel is to choose them, or HCCL refuses the value."""
    wanted = str(settings.environment.get(PORT_RANGE, "")).strip()
    if wanted:
        ranges = port_ranges(wanted)
        if ranges is None:
            return None
        ports = {port for first, last in ranges for port in range(max(first, 1), last + 1)}
        return HcclPorts(tuple(sorted(ports)), PORT_RANGE, all_needed=False)
    text = str(settings.environment.get(BASE_PORT, FIRST_PORT)).strip()
    base = int(text) if text.isdecimal() and len(text) < 6 else 0
    if base not in ALLOWED_BASE:
        return None
    return HcclPorts(tuple(range(base, min(base + PORTS, LAST_PORT + 1))), BASE_PORT, all_needed=True)

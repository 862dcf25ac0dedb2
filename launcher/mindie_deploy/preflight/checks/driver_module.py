"""The driver's kernel modules."""

from __future__ import annotations

from collections.abc import Iterator

from mindie_deploy.hosts.facts import HostFacts, Unknown
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check

NO_DRIVER = ("module initialize failed", "no NPU card")
PREFIXES = ("drv_", "ascend_", "davinci")


@check(
    "driver.module",
    title="the kernel modules of the NPU driver are not loaded",
    severity="block",
    command="/proc/modules",
    needs=("system",),
    caused_by=("npu.tool-present",),
    unknown="info",
    why="Without them no NPU exists for the system. Usual causes: a new kernel for which the driver was not built, or "
    "an installation that did not end.",
    remedy="dmesg | grep -i drv_; install the driver again for the running kernel (uname -r), then reboot.",
    source="driver installation guide: lsmod shows drv_pcie_host",
)
def module(host: HostFacts, context: Context) -> Iterator[Problem]:
    """Judged only where npu-smi says that there is no driver: modules may have other names in other versions."""
    if isinstance(host.system, Unknown) or host.system.modules is None:
        return
    if not isinstance(host.overview, Unknown) or not any(word in host.overview.reason for word in NO_DRIVER):
        return
    if not any(name.startswith(PREFIXES) for name in host.system.modules):
        yield Problem(host.name, f"none of {len(host.system.modules)} modules is named {', '.join(PREFIXES)}*")

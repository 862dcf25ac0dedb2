"""The driver's kernel modules and its management library."""

from __future__ import annotations

import re
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


@check(
    "driver.next-kernel",
    title="the newest kernel on the host has no modules of the NPU driver",
    severity="info",
    command="/boot/vmlinuz-*, /lib/modules/*/updates and others",
    needs=("system", "surroundings.installed_kernels"),
    unknown="info",
    why="The driver was installed for the kernel that runs. The next reboot may choose the newer one (an update of the "
    "system brings it along), and then no NPU is there.",
    remedy="dkms status tells whether the driver is built for it at the reboot. Otherwise keep the kernel that runs "
    "(grubby --set-default, or hold the package), or after the reboot install the driver again.",
    source="installer of the NPU driver: its modules go to /lib/modules/$(uname -r)/updates, or are built by DKMS",
)
def next_kernel(host: HostFacts, context: Context) -> Iterator[Problem]:
    """Judged only where the kernel that runs has the modules at a known place."""
    kernels = host.surroundings.installed_kernels
    if isinstance(host.system, Unknown) or isinstance(kernels, Unknown) or not kernels.get(host.system.kernel):
        return
    newest = max(kernels, key=_release)
    if not kernels[newest] and _release(newest) > _release(host.system.kernel):
        yield Problem(host.name, f"{newest} is installed, {host.system.kernel} runs")


def _release(text: str) -> tuple[int, ...]:
    """Returns the numbers of a kernel's release, which sort as releases of one distribution do."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", text))


@check(
    "driver.dcmi",
    title="the driver's management library is missing",
    severity="warn",
    command="lstat of /usr/local/dcmi/libdcmi.so",
    needs=("management_library",),
    caused_by=("npu.tool-present", "driver.version"),
    unknown="info",
    why="The container mounts /usr/local/dcmi. Without the library npu-smi fails in the container, and so does what "
    "watches the NPUs there. The engine makes an empty directory where the path is missing.",
    remedy="Install the driver (HDK) again; an empty directory in its place may be removed first: rmdir "
    "/usr/local/dcmi.",
    source="GPUStack's tutorial (the container mounts it); reports of dcmi errors in containers without it",
)
def management_library(host: HostFacts, context: Context) -> Iterator[Problem]:
    library = host.management_library
    if isinstance(library, Unknown):
        return
    if library.error and not library.exists:
        yield Problem(host.name, f"{library.path}: {library.error}", kind="unknown")
    elif not library.exists:
        yield Problem(host.name, f"{library.path} does not exist")
    elif library.kind is None:
        yield Problem(host.name, f"{library.path} is a link to {library.target or 'nothing'}, which does not exist")
    elif library.kind not in ("file", "link"):
        yield Problem(host.name, f"{library.path} is a {library.kind}")

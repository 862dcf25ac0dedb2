"""Device nodes and what the driver's installation recorded."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from mindie_deploy.hosts.facts import Absent, HostFacts, PathState, Unknown
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check

NODES = "lstat of /dev"
LOADING = (
    "The driver makes the node when it is loaded: dmesg | grep -i -e davinci -e drv; load or reinstall it; reboot."
)
SOURCE = "GPUStack's tutorial; the container gets these nodes one by one"
INSTALL_PATH = "Driver_Install_Path_Param"
INCOMPLETE = "may not be completely installed"  # npu-smi: check_file
INSTALL_STATUS = "Driver_Install_Status"
ASCEND = "/usr/local/Ascend"
GROUP_READ_WRITE, OTHERS_READ_WRITE = 0o060, 0o006


@check(
    "devices.manager",
    title="the NPU driver's control node is missing",
    severity="block",
    command=NODES,
    needs=("devices",),
    caused_by=("npu.tool-responds",),
    why="Without /dev/davinci_manager no NPU can be opened, on the host or in a container.",
    remedy=LOADING,
    source=SOURCE,
)
def manager(host: HostFacts, context: Context) -> Iterator[Problem]:
    yield from _node(host, "/dev/davinci_manager", None)


@check(
    "devices.davinci",
    title="the device node of an NPU is missing",
    severity="block",
    command=NODES,
    needs=("devices",),
    caused_by=("devices.manager", "npu.count"),
    why="The container is given /dev/davinci0 and so on; the engine refuses to start it when one is missing.",
    remedy=LOADING,
    source=SOURCE,
)
def davinci(host: HostFacts, context: Context) -> Iterator[Problem]:
    for index in context.npus:
        yield from _node(host, f"/dev/davinci{index}", index)


@check(
    "devices.svm-hdc",
    title="a device node of the NPU driver is missing",
    severity="block",
    command=NODES,
    needs=("devices",),
    caused_by=("devices.manager",),
    why="devmm_svm (memory) and hisi_hdc (host to device communication) are needed by every process on an NPU.",
    remedy=LOADING,
    source=SOURCE,
    fix="device-modes",
)
def svm_hdc(host: HostFacts, context: Context) -> Iterator[Problem]:
    for name in ("devmm_svm", "hisi_hdc"):
        yield from _node(host, f"/dev/{name}", None)
        state = _states(host).get(f"/dev/{name}")
        if state is not None and state.mode and not context.settings.container_user.startswith("0:"):
            yield from _group_access(host.name, state)


@check(
    "install-info",
    title="the driver's installation record does not fit",
    severity="block",
    command="/etc/ascend_install.info",
    caused_by=("driver.version",),
    why="The container mounts this file, and CANN in it looks the driver's place up there. The driver itself is "
    f"mounted from {ASCEND}/driver.",
    remedy=f"Install the driver again with its default path {ASCEND}, as root.",
    source="npu-smi's public source: check_file; GPUStack's tutorial",
)
def install_info(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.install_info, Absent):
        title = "the driver's installation record is missing"
        remedy = (
            f"Install the driver again with its default path {ASCEND}, as root: that writes the record. Until it is "
            "there, start no container: the engine would make an empty directory in its place."
        )
        yield Problem(host.name, host.install_info.reason, title=title, remedy=remedy)
        return
    if isinstance(host.install_info, Unknown):
        yield Problem(host.name, host.install_info.reason, kind="unknown")
        return
    path = host.install_info.get(INSTALL_PATH, "").strip()
    if not path:
        yield Problem(host.name, f"it has no {INSTALL_PATH}")
    elif posixpath.normpath(path) != ASCEND:
        yield Problem(host.name, f"{INSTALL_PATH}={path}, expected {ASCEND}")
    status = host.install_info.get(INSTALL_STATUS)
    if status is not None and status.strip().lower() != "complete":
        title = "the driver's installation is recorded as incomplete"
        yield Problem(host.name, f"{INSTALL_STATUS}={status}", severity="warn", title=title)
    elif not isinstance(host.overview, Unknown):
        for line in host.overview.warnings:
            if INCOMPLETE in line:
                title = "npu-smi says that the driver is not completely installed"
                yield Problem(host.name, line, severity="warn", title=title)


def _states(host: HostFacts) -> dict[str, PathState]:
    return {} if isinstance(host.devices, Unknown) else {state.path: state for state in host.devices}


def _node(host: HostFacts, path: str, npu: int | None) -> Iterator[Problem]:
    state = _states(host).get(path)
    if state is None or not state.exists:
        if state is not None and state.error:
            yield Problem(host.name, f"{path}: {state.error}", npu, kind="unknown")
        else:
            yield Problem(host.name, f"{path} does not exist", npu)
    elif state.kind != "char":
        remedy = f"Remove {path} (a container or a script made it), then load the driver again or reboot."
        title = "something else stands where a device node should be"
        yield Problem(host.name, f"{path} is a {state.kind}", npu, title=title, remedy=remedy)


def _group_access(host: str, state: PathState) -> Iterator[Problem]:
    """A container that does not run as root opens the node by its group (HwHiAiUser on a default installation)."""
    try:
        mode = int(state.mode or "", 8)
    except ValueError:
        return
    if mode & GROUP_READ_WRITE != GROUP_READ_WRITE and mode & OTHERS_READ_WRITE != OTHERS_READ_WRITE:
        title = "the container's user may not open a device node"
        says = f"{state.path} has mode {state.mode}, its group needs read and write"
        yield Problem(host, says, title=title, remedy=f"chmod 660 {state.path}")

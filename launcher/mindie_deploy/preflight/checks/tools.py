"""The tools that the evidence comes from: are they there, and do they answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from mindie_deploy.hosts.facts import NOT_COLLECTED, Busy, HccnDevice, HostFacts, PathState, Unknown, UnknownForm
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check

DIRECTORY_REMEDY = (
    "A directory stands where the program should be: a container was once started with a mount of the missing file. "
    "Stop that container, remove the empty directory (rmdir), and install the driver again or copy the program from a "
    "healthy host with the same driver."
)
BUSY_REMEDY = (
    "Run the check again. If it stays busy, other programs ask this NPU without a pause: find them (ps aux shows "
    "hccn_tool and monitoring) and stop them."
)
FORM_REMEDY = (
    "This npu-smi prints its table in a form that is not known here: the NPUs may be well. Please report what "
    "npu-smi info prints. To launch all the same, put npu.tool-responds into mindie_checks_warn."
)
DRIVER_MODULE = "drv_"
# A tool that does not know a question says so before it asks the device: that answer tells nothing about the NPU.
READINGS = tuple(field.name for field in fields(HccnDevice) if field.name not in ("index", "configuration_status"))


@check(
    "npu.tool-present",
    title="npu-smi is missing",
    severity="block",
    command="lstat of npu-smi",
    needs=("npu_smi",),
    why="Without it nothing is known about the NPUs, and the container mounts it.",
    remedy="Install the driver (HDK) again. If npu-smi lies elsewhere, set mindie_npu_smi_path.",
    source="GPUStack's tutorial; ascend-deployer's check of the driver",
)
def npu_smi_present(host: HostFacts, context: Context) -> Iterator[Problem]:
    yield from _program(host.name, host.npu_smi, "npu-smi")


@check(
    "npu.tool-responds",
    title="npu-smi gives no answer that says anything about the NPUs",
    severity="block",
    command="npu-smi info",
    caused_by=("npu.tool-present", "driver.module"),
    why="A stuck device or a driver that is not loaded makes npu-smi hang or fail; MindIE would hang or fail the same "
    "way.",
    remedy="Read the reason. -8005 means that the driver is not started: dmesg | grep -i -e davinci -e drv; was the "
    "kernel updated since the driver was installed? A time-out means a stuck device: stop what uses the NPUs, then "
    "reboot the host.",
    source="npu-smi's public source (hicann/driver); ascend-deployer's check of the device",
)
def npu_smi_responds(host: HostFacts, context: Context) -> Iterator[Problem]:
    if not isinstance(host.overview, Unknown) or list(_program(host.name, host.npu_smi, "npu-smi")):
        return  # a tool that is not there is judged by npu.tool-present
    says = host.overview.reason
    if isinstance(host.overview, UnknownForm):
        yield Problem(host.name, says, kind="unknown", remedy=FORM_REMEDY)
        return
    if not isinstance(host.devices, Unknown) and not any(node.exists for node in host.devices):
        says += "; there is no device node of the driver"
    if not isinstance(host.system, Unknown) and host.system.modules is not None:
        loaded = [module for module in host.system.modules if module.startswith(DRIVER_MODULE)]
        if not loaded:
            says += f"; no kernel module of the driver ({DRIVER_MODULE}*) is loaded"
    yield Problem(host.name, says)


@check(
    "hccn.tool-present",
    title="hccn_tool is missing",
    severity="block",
    command="lstat of hccn_tool",
    needs=("hccn_tool",),
    why="The addresses of the NPUs, which the rank table is made of, come from it.",
    remedy="Install the driver (HDK) again. If hccn_tool lies elsewhere, set mindie_hccn_tool_path.",
    source="GPUStack's tutorial; the driver's directory tools",
)
def hccn_tool_present(host: HostFacts, context: Context) -> Iterator[Problem]:
    yield from _program(host.name, host.hccn_tool, "hccn_tool")


@check(
    "hccn.tool-responds",
    title="hccn_tool tells nothing about an NPU",
    severity="block",
    command="hccn_tool -i N ...",
    caused_by=("hccn.tool-present", "npu.tool-responds", "npu.count"),
    why="Before any answer hccn_tool asks the device for its health, up to 300 times: a dead NPU blocks every call for "
    "five minutes. No address can be read, so no rank table can be made.",
    remedy="Read the reason. A time-out or 'The device is not exist!' means that the NPU is lost or stuck: reboot the "
    "host; if it stays so, replace the card. 'permission denied' means that the check did not run as root.",
    source="hccn_tool's public source (hicann/driver): tool_check_dev_health",
)
def hccn_tool_responds(host: HostFacts, context: Context) -> Iterator[Problem]:
    for index in context.npus:
        device = host.hccn.get(index)
        if device is None:
            yield Problem(host.name, "nothing was collected about it", index)
            continue
        readings = [getattr(device, name) for name in READINGS]
        if all(isinstance(reading, Unknown) for reading in readings):
            # The counters are asked for first: later questions are not even tried on a device that is stuck.
            asked = (one for one in (device.counters, device.link_up) if isinstance(one, Unknown))
            first = next((one for one in asked if one != NOT_COLLECTED), Unknown(""))
            if isinstance(first, Busy):
                yield Problem(host.name, first.reason, index, kind="unknown", remedy=BUSY_REMEDY)
            else:
                yield Problem(host.name, first.reason, index)


def _program(host: str, state: object, name: str) -> Iterator[Problem]:
    """Judges where a program should be: a file that may be executed, or a link, which the call itself judges."""
    if not isinstance(state, PathState):
        return
    if not state.exists:
        says = f"{state.path or name} does not exist" + (f" ({state.error})" if state.error else "")
        yield Problem(host, says)
    elif state.kind is None:
        yield Problem(host, f"{state.path} is a link to {state.target or 'nothing'}, which does not exist")
    elif state.kind == "directory":
        title = f"a directory stands where {name} should be"
        yield Problem(host, f"{state.path} is a directory", title=title, remedy=DIRECTORY_REMEDY)
    elif state.kind not in ("file", "link"):
        yield Problem(host, f"{state.path} is a {state.kind}, not a program")
    elif state.kind == "file" and state.mode is not None and not _executable(state.mode):
        says = f"{state.path} has mode {state.mode}: nobody may execute it"
        yield Problem(host, says, title=f"{name} may not be executed", remedy=f"chmod 755 {state.path}")


def _executable(mode: str) -> bool:
    try:
        return bool(int(mode, 8) & 0o111)
    except ValueError:
        return True  # an unreadable mode says nothing; the call itself will

"""How each kind of fix is planned: from a finding and the facts of a host to changes, or to why there is none."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from mindie_deploy.hosts.facts import HostFacts, NpuOverview, PathState, SharedMemoryFacts, Unknown, WeightsFacts
from mindie_deploy.hosts.text import is_ipv4
from mindie_deploy.hosts.weights_directory import is_of_the_model
from mindie_deploy.preflight.checks.devices import GROUP_READ_WRITE
from mindie_deploy.preflight.checks.weights_place import mode_bits
from mindie_deploy.preflight.context import Context, container_npus, is_left_over, known_hccn, npu_index
from mindie_deploy.preflight.finding import Finding
from mindie_deploy.preflight.fix_action import ABSENT, FixAction
from mindie_deploy.preflight.fix_changes import (
    ALL_BUT_OTHERS_WRITE,
    CONFIGURATION_MODE,
    DIRECTORY_MODE,
    NODES,
    masked,
    mode_change,
    netdetect_change,
    tls_change,
)

# A change, or in words why something that the finding names stays as it is.
Step: TypeAlias = FixAction | str
Planner: TypeAlias = Callable[[Finding, HostFacts, Context], Iterator[Step]]

NO_ADDRESS = "0.0.0.0"  # noqa: S104  (hccn_tool's word for none)


def tls(finding: Finding, host: HostFacts, context: Context) -> Iterator[Step]:
    """Off is what all NPUs can have; on needs certificates. So where some differ, those that are on are switched.

    The finding names the odd ones, which may be those that are off: hence every host is looked at.
    """
    for index, is_on in known_hccn(host, context, "tls").items():
        if is_on:
            yield from _unless_in_use(host, index, tls_change(finding.check_id, index))


def netdetect(finding: Finding, host: HostFacts, context: Context) -> Iterator[Step]:
    """The gateway is what every NPU with one must reach anyway."""
    for index in finding.devices.get(host.name, ()):
        device = host.hccn.get(index)
        if device is None or isinstance(device.netdetect, Unknown):
            continue
        if not isinstance(device.gateway, str) or not is_ipv4(device.gateway) or device.gateway == NO_ADDRESS:
            yield f"NPU {index} has no gateway: give it the address of the switch or of another NPU yourself"
            continue
        change = netdetect_change(finding.check_id, index, device.netdetect or NO_ADDRESS, device.gateway)
        yield from _unless_in_use(host, index, change)


def weights_modes(finding: Finding, host: HostFacts, context: Context) -> Iterator[Step]:
    """Takes bits away, never gives any. Links are left: what they lead to may be of others."""
    weights, user = host.weights, context.settings.container_user.split(":")[0]
    if not isinstance(weights, WeightsFacts) or host.name not in finding.hosts:
        return
    place = weights.real_path or weights.path
    tight = user != "0" and (weights.uid is None or str(weights.uid) == user)
    if user != "0" and not tight:
        yield f"{place} belongs to user {weights.uid}: chown -R {context.settings.container_user} it first"
    if tight and weights.mode:
        yield from _masked(finding, place, weights.mode, DIRECTORY_MODE)
    links = host.surroundings.weight_links
    linked: Mapping[str, str] = {} if isinstance(links, Unknown) else links
    for name, mode in weights.file_modes.items():
        allowed = ALL_BUT_OTHERS_WRITE
        if tight and name == "config.json":
            allowed = CONFIGURATION_MODE
        elif not is_of_the_model(name):
            continue
        for step in _masked(finding, f"{place.rstrip('/')}/{name}", mode, allowed):
            yield f"{name} is a link to {linked[name]}: set the mode there yourself" if name in linked else step


def device_modes(finding: Finding, host: HostFacts, context: Context) -> Iterator[Step]:
    """The nodes that the container's user opens by its group."""
    if isinstance(host.devices, Unknown) or host.name not in finding.hosts:
        return
    states = {state.path: state for state in host.devices}
    for path in NODES:
        state = states.get(path)
        if state is None or not state.exists:
            yield f"{path} does not exist: only the driver can make it"
        elif state.kind != "char":
            yield f"{path} is a {state.kind}: remove it, then load the driver again"
        elif state.mode and mode_bits(state.mode) & GROUP_READ_WRITE != GROUP_READ_WRITE:
            bits = mode_bits(state.mode)
            yield mode_change(finding.check_id, path, bits, bits | GROUP_READ_WRITE)


def container(finding: Finding, host: HostFacts, context: Context) -> Iterator[Step]:
    """Our own container that has ended. The image and the rendered files stay: the next start makes it anew."""
    if isinstance(host.engine, Unknown) or host.name not in finding.hosts:
        return
    for one in host.engine.containers:
        if is_left_over(one, context.settings):
            yield FixAction(
                check_id=finding.check_id,
                kind="container",
                target=one.name,
                what=f"container {one.name} ({one.status}, status {one.exit_code}, image {one.image})",
                before=one.id,
                after=ABSENT,
                command=f"{context.settings.engine} rm --volumes {one.name}",
                undo=None,
            )


def shared_memory(finding: Finding, host: HostFacts, context: Context) -> Iterator[Step]:
    """Files of a MindIE that has ended. The module looks for processes that have them open before it removes one."""
    memory = host.surroundings.shared_memory
    if not isinstance(memory, SharedMemoryFacts) or host.name not in finding.hosts:
        return
    for state in memory.files:
        if state.kind != "file" or state.uid is None or state.size is None:
            yield f"{state.path} is no file whose owner and size are known"
            continue
        yield FixAction(
            check_id=finding.check_id,
            kind="shared-memory",
            target=state.path,
            what=state.path,
            before=_of(state),
            after=ABSENT,
            command=f"rm {shlex.quote(state.path)}",
            undo=None,
        )


def _of(state: PathState) -> str:
    return f"{state.size} bytes of user {state.uid}"


def _masked(finding: Finding, path: str, mode: str, allowed: int) -> Iterator[FixAction]:
    """Yields the change of a mode that has more than the allowed bits."""
    bits = mode_bits(mode)
    if masked(bits, allowed) != bits:
        yield mode_change(finding.check_id, path, bits, masked(bits, allowed))


def _unless_in_use(host: HostFacts, index: int, action: FixAction) -> Iterator[Step]:
    """What a process on the NPU sends just now goes over its port: nothing is switched under it."""
    users = [] if isinstance(host.engine, Unknown) else list(host.engine.containers)
    for user in users:
        if user.running and index in container_npus(user):
            yield f"NPU {index} is in use by container {user.name or user.id[:12]}"
            return
    if isinstance(host.overview, NpuOverview):
        shown = {(npu.id, npu.chip): npu_index(npu) for npu in host.overview.npus}
        for process in host.overview.processes or ():
            if shown.get((process.npu, process.chip)) == index:
                yield f"NPU {index} is in use by process {process.pid} ({process.name})"
                return
    if not isinstance(host.overview, NpuOverview) or host.overview.processes is None:
        for user in users:
            if user.running and user.privileged:
                name = user.name or user.id[:12]
                yield f"NPU {index} may be in use by the privileged container {name}: npu-smi shows no processes"
                return
    yield action


KINDS: Mapping[str, Planner] = {
    "tls": tls,
    "netdetect": netdetect,
    "weights-modes": weights_modes,
    "device-modes": device_modes,
    "container": container,
    "shared-memory": shared_memory,
}

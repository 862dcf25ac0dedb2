"""What a check may look at besides the facts: the settings, the hosts in rank order, and what is ours on a host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.image_archive import path_on_controller
from mindie_deploy.cluster.names import DEPLOYMENT_LABEL, container_name
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.facts import NOT_COLLECTED, ContainerFacts, HostFacts, Npu, Reading, Unknown

NPU_NODE = re.compile(r"/dev/davinci(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Context:
    """The settings and hosts of one judgement.

    `absent` are those of the controller's files and directories that the settings name (see local_paths) and that are
    not there. `model_types` are the values of model_type that the MindIE in the image takes for DeepSeek; none: not
    known. `left_out` are the hosts of the deployment that are not judged this time.
    """

    settings: Settings
    hosts: Sequence[Host]
    absent: frozenset[str] = frozenset()
    model_types: frozenset[str] = frozenset()
    left_out: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many hosts the whole deployment has, judged now or left out."""
        return len(self.hosts) + len(self.left_out)

    @property
    def npus(self) -> range:
        """The device indexes that every host should have."""
        return range(self.settings.npus_per_host)

    def is_leader(self, name: str) -> bool:
        return any(host.name == name and host.rank == 0 for host in self.hosts)


def local_paths(settings: Settings) -> tuple[str, ...]:
    """Returns the files and directories on the controller that the settings name."""
    kind, _, path = settings.weights_source.partition(":")
    return tuple(filter(None, (path_on_controller(settings.image_archive), path if kind == "controller" else "")))


def own_containers(host: HostFacts, settings: Settings) -> tuple[ContainerFacts, ...]:
    """Returns the running containers of this very deployment: what they hold is no conflict with themselves."""
    if isinstance(host.engine, Unknown):
        return ()
    return tuple(
        container
        for container in host.engine.containers
        if container.running and container.labels.get(DEPLOYMENT_LABEL) == settings.deployment
    )


def is_foreign(container: ContainerFacts, settings: Settings) -> bool:
    """Tells whether a container has our container's name and does not belong to this deployment."""
    return container.name == container_name(settings) and container.labels.get(DEPLOYMENT_LABEL) != settings.deployment


def is_left_over(container: ContainerFacts, settings: Settings) -> bool:
    """Tells whether a container is this deployment's own and has ended, or was never started."""
    ours = container.labels.get(DEPLOYMENT_LABEL) == settings.deployment
    return ours and container.name == container_name(settings) and container.status in ("created", "exited", "dead")


def is_ours_running(host: HostFacts, settings: Settings) -> bool:
    return bool(own_containers(host, settings))


def own_npus(host: HostFacts, context: Context) -> frozenset[int]:
    """Returns the NPUs that our running deployment holds on a host; a privileged container holds all of them."""
    held: set[int] = set()
    for container in own_containers(host, context.settings):
        held |= set(container_npus(container))
        if container.privileged:
            held |= set(context.npus)
    return frozenset(held)


def container_npus(container: ContainerFacts) -> tuple[int, ...]:
    """Returns the NPUs whose device nodes were given to a container."""
    found = (NPU_NODE.fullmatch(path) for path in container.devices)
    return tuple(sorted({int(match[1]) for match in found if match}))


def npu_index(npu: Npu) -> int:
    """Returns the device index that hccn_tool and /dev/davinciN use: the physical id where the tool shows one."""
    return npu.id if npu.physical_id is None else npu.physical_id


def npus_of(host: HostFacts) -> Iterator[tuple[int, Npu]]:
    """Yields every NPU that npu-smi shows, with its device index. Needs a known overview."""
    if not isinstance(host.overview, Unknown):
        for npu in host.overview.npus:
            yield npu_index(npu), npu


def hccn_readings(host: HostFacts, context: Context, attribute: str) -> dict[int, Reading[Any]]:
    """Returns one value of hccn_tool for every device index that the host should have; a missing one is Unknown."""
    return {
        index: getattr(host.hccn[index], attribute) if index in host.hccn else NOT_COLLECTED for index in context.npus
    }


def known_hccn(host: HostFacts, context: Context, attribute: str) -> dict[int, Any]:
    """Like hccn_readings, without those that could not be read (declared needs report them)."""
    return known(hccn_readings(host, context, attribute))


def known(readings: Mapping[int, Reading[Any]]) -> dict[int, Any]:
    return {index: value for index, value in readings.items() if not isinstance(value, Unknown)}

"""What the rendering needs to know about the hosts, taken from their facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.facts import HostFacts, PathState, SystemFacts
from mindie_deploy.mindie.render import Rendered, render
from mindie_deploy.mindie.versions import choose_version


def render_from_facts(
    settings: Settings, hosts: Sequence[Host], facts: Mapping[str, HostFacts], image_id: str
) -> tuple[Rendered, str]:
    """Renders the deployment from the facts of all hosts. Returns it with a warning about the version, or "".

    Raises what render raises, for instance RankTableError where a device's address could not be read.
    """
    choice = choose_version(settings.version, settings.image)
    systems = {name: one.system for name, one in facts.items() if isinstance(one.system, SystemFacts)}
    rendered = render(
        settings,
        hosts,
        {name: device_addresses(one) for name, one in facts.items()},
        image_id,
        choice.version,
        {name: system.interfaces.get(address_of(hosts, name)) for name, system in systems.items()},
        npu_smi_paths={name: one.npu_smi.path for name, one in facts.items() if isinstance(one.npu_smi, PathState)},
        hccn_tool_paths={
            name: one.hccn_tool.path for name, one in facts.items() if isinstance(one.hccn_tool, PathState)
        },
        page_sizes={name: system.page_size for name, system in systems.items()},
    )
    return rendered, choice.warning


def device_addresses(facts: HostFacts) -> dict[int, str]:
    """Returns the addresses of a host's running NPUs by device index; one that is not known is left out."""
    return {index: device.address for index, device in facts.hccn.items() if isinstance(device.address, str)}


def address_of(hosts: Sequence[Host], name: str) -> str:
    """Returns the address of a host by its name, "" for a name that is not in it."""
    return next((host.address for host in hosts if host.name == name), "")

"""Everything that a deployment puts on its hosts, made in one go from settings and facts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.parallel import validate
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.errors import UsageError
from mindie_deploy.mindie.config import config, config_text
from mindie_deploy.mindie.container import HCCN_TOOL, LABEL_DIGEST, NPU_SMI, container, deployment_directory
from mindie_deploy.mindie.environment import Situation, environment, environment_text
from mindie_deploy.mindie.launch_script import launch_script
from mindie_deploy.mindie.rank_table import rank_table, rank_table_text
from mindie_deploy.mindie.shadow import shadow_changes
from mindie_deploy.mindie.versions import Version

FILE_MODE = "0640"  # MindIE refuses any bit outside of it, even for root
SCRIPT_MODE = "0750"


@dataclass(frozen=True)
class RenderedFile:
    """A file on a host: absolute path, text, mode. It belongs to the settings' container_user."""

    path: str
    content: str
    mode: str = FILE_MODE


@dataclass(frozen=True)
class Rendered:
    """The files and the container of every host. `digest` covers all of it, on all hosts, and the image."""

    digest: str
    rendered_files: Mapping[str, tuple[RenderedFile, ...]]
    containers: Mapping[str, Mapping[str, Any]]

    def files(self, host_name: str) -> list[dict[str, str]]:
        """Returns one host's files: path, content, mode. Raises UsageError for a host that is not in it."""
        files = self.rendered_files[self._known(host_name)]
        return [{"path": file.path, "content": file.content, "mode": file.mode} for file in files]

    def container(self, host_name: str) -> dict[str, Any]:
        """Returns one host's container. Raises UsageError for a host that is not in it."""
        specification = dict(self.containers[self._known(host_name)])
        return specification | {"labels": specification["labels"] | {LABEL_DIGEST: self.digest}}

    def _known(self, host_name: str) -> str:
        if host_name not in self.containers:
            raise UsageError(f"host {host_name} is not part of this deployment: {', '.join(self.containers)}")
        return host_name


def render(
    settings: Settings,
    hosts: Sequence[Host],
    device_addresses: Mapping[str, Mapping[int, str]],
    image_id: str,
    version: Version,
    interfaces: Mapping[str, str | None] | None = None,
    *,
    npu_smi_paths: Mapping[str, str] | None = None,
    hccn_tool_paths: Mapping[str, str] | None = None,
    page_sizes: Mapping[str, int | None] | None = None,
) -> Rendered:
    """Renders a deployment. All mappings are by host name.

    `device_addresses` are the addresses of the running NPUs by device index; `interfaces` the NIC that has the host's
    address; `npu_smi_paths` and `hccn_tool_paths` where the tools were found; `page_sizes` the memory page in bytes.
    Raises SettingsError for settings that contradict one another, the number of hosts or MindIE's rules, and
    RankTableError for addresses that make no rank table.
    """
    validate(settings, hosts)
    directory = deployment_directory(settings)
    several = len(hosts) > 1
    shared = [RenderedFile(f"{directory}/config.json", config_text(config(settings, hosts)))]
    if several:
        table = rank_table(hosts, device_addresses, settings.npus_per_host)
        shared.append(RenderedFile(f"{directory}/ranktable.json", rank_table_text(table)))
    script = launch_script(version, f"{directory}/environment", several)

    files: dict[str, tuple[RenderedFile, ...]] = {}
    containers: dict[str, Mapping[str, Any]] = {}
    for host in hosts:
        situation = Situation(
            settings=settings,
            host=host,
            leader=hosts[0],
            host_count=len(hosts),
            config_path=f"{directory}/config.json",
            rank_table_path=f"{directory}/ranktable.json",
            version=version,
            interface=(interfaces or {}).get(host.name),
            page_size=(page_sizes or {}).get(host.name),
        )
        files[host.name] = (
            *shared,
            RenderedFile(f"{directory}/environment", environment_text(environment(situation))),
            RenderedFile(f"{directory}/launch.sh", script, SCRIPT_MODE),
        )
        containers[host.name] = container(
            settings,
            host,
            image_id,
            (npu_smi_paths or {}).get(host.name) or settings.npu_smi_path or NPU_SMI,
            (hccn_tool_paths or {}).get(host.name) or settings.hccn_tool_path or HCCN_TOOL,
        )
    return Rendered(_digest(files, containers, image_id, shadow_changes(settings)), files, containers)


def _digest(
    files: Mapping[str, Sequence[RenderedFile]],
    containers: Mapping[str, Mapping[str, Any]],
    image_id: str,
    shadow: Mapping[str, Mapping[str, Any]],
) -> str:
    """Returns the sha256 of all that shapes the deployment; the same deployment has the same digest every time."""
    # How long a stop may take shapes nothing that runs: a change of it is no reason to load the model again.
    shaping = {
        host: {name: value for name, value in container.items() if name != "stop_timeout"}
        for host, container in containers.items()
    }
    whole = {
        "image": image_id,
        "files": {host: [[file.path, file.mode, file.content] for file in listed] for host, listed in files.items()},
        "containers": shaping,
        "shadow": shadow,
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

"""What the container on each host is: devices, mounts, limits, command."""

from __future__ import annotations

from typing import Any

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.names import DEPLOYMENT_LABEL, container_name
from mindie_deploy.cluster.paths import inside
from mindie_deploy.cluster.problems import SettingProblem, SettingsError
from mindie_deploy.cluster.settings import Settings

LABEL_DIGEST = "mindie-deploy.digest"
LABEL_RANK = "mindie-deploy.rank"

NPU_SMI = "/usr/local/bin/npu-smi"
HCCN_TOOL = "/usr/local/Ascend/driver/tools/hccn_tool"
DRIVER = "/usr/local/Ascend/driver"
MANAGEMENT_DEVICES = ("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc")
# As in GPUStack's tutorial of this deployment; all read-only, because nothing in the container may change the host.
HOST_PATHS = (
    "/usr/local/dcmi",
    DRIVER,
    "/usr/local/Ascend/firmware",
    "/etc/hccn.conf",
    "/etc/ascend_install.info",
)


def deployment_directory(settings: Settings) -> str:
    """Returns the deployment's directory on the hosts; it has the same path inside the container."""
    return f"{settings.state_directory}/{settings.deployment}"


def container(settings: Settings, host: Host, image_id: str, npu_smi_path: str, hccn_tool_path: str) -> dict[str, Any]:
    """Returns the specification of one host's container, without the digest's label.

    The tools' paths are where they are on this host. Raises SettingsError where a mount of the user's lies on one of
    ours.
    """
    directory = deployment_directory(settings)
    return {
        "name": container_name(settings),
        "image": settings.image,
        "image_id": image_id,
        "user": settings.container_user,
        "network": "host",
        "ipc": settings.ipc,
        "shm_size": settings.shm_size,
        # rwm, not rw: the 910B's driver makes nodes (MindIE-LLM, image usage guide).
        "devices": [f"{path}:{path}:rwm" for path in _devices(settings)],
        "mounts": _mounts(settings, directory, npu_smi_path, hccn_tool_path),
        "env_file": f"{directory}/environment",
        "labels": {DEPLOYMENT_LABEL: settings.deployment, LABEL_RANK: str(host.rank)},
        "command": ["/bin/bash", f"{directory}/launch.sh"],
        "ulimits": settings.ulimits,
        # No limit: kernels with a low default end MindIE's many threads with "fork rejected".
        "pids_limit": -1,
        "stop_timeout": settings.stop_timeout,
        "privileged": settings.privileged,
        "log_options": settings.log_options,
    }


def _devices(settings: Settings) -> list[str]:
    return [*(f"/dev/davinci{index}" for index in range(settings.npus_per_host)), *MANAGEMENT_DEVICES]


def _mounts(settings: Settings, directory: str, npu_smi_path: str, hccn_tool_path: str) -> list[str]:
    ours = [(path, path) for path in HOST_PATHS]
    ours.append((npu_smi_path, NPU_SMI))
    if not inside(hccn_tool_path, DRIVER):
        # Not at its usual place: the driver's directory is read-only, so no file can be mounted into it.
        ours.append((hccn_tool_path, "/usr/local/bin/hccn_tool"))
    ours += [(settings.model_path, settings.model_path), (directory, directory)]
    for mount in settings.mounts:
        destination = mount.split(":")[1]
        for _, own in ours:
            if inside(destination.rstrip("/"), own) or inside(own, destination):
                rule = f"{mount} would hide or lie inside {own}, which the deployment mounts itself"
                raise SettingsError([SettingProblem("mindie_mounts", mount, rule)])
    return [f"{source}:{destination}:ro" for source, destination in ours] + list(settings.mounts)

"""What is read of a host: the arguments of the module mindie_collect, for one round trip.

The keys of the items are the interface to `read`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindie_deploy.hosts.items_host import disk_items, engine_items, system_items, weights_items
from mindie_deploy.hosts.items_npu import (
    DEFAULT_ROOT,
    HCCN_TOOL_PLACES,
    INSTALL_INFO,
    NPU_SMI_PLACES,
    TABLE_TIMEOUT_S,
    driver_items,
    hccn_items,
    npu_smi_items,
)
from mindie_deploy.hosts.items_surroundings import surroundings_items

if TYPE_CHECKING:
    from mindie_deploy.cluster.settings import Settings

COLLECTION_LIMIT_S = 120
PARALLEL = 16  # eight devices, npu-smi, the engine and the files


def specification(settings: Settings) -> dict[str, object]:
    """Returns the arguments of mindie_collect for a host of this deployment."""
    return {
        "programs": {
            "npu-smi": [settings.npu_smi_path] if settings.npu_smi_path else NPU_SMI_PLACES,
            "hccn_tool": [settings.hccn_tool_path] if settings.hccn_tool_path else HCCN_TOOL_PLACES,
        },
        "values": {
            "driver_root": {"file": INSTALL_INFO, "key": "Driver_Install_Path_Param", "default": DEFAULT_ROOT},
            "firmware_root": {"file": INSTALL_INFO, "key": "Firmware_Install_Path_Param", "default": DEFAULT_ROOT},
        },
        "items": [
            *npu_smi_items(settings.npus_per_host),
            *hccn_items(settings.npus_per_host),
            *engine_items(settings.engine, settings.image),
            *driver_items(settings),
            *disk_items(settings),
            *system_items(),
            *weights_items(settings.model_path),
            *surroundings_items(settings),
        ],
        "limit": COLLECTION_LIMIT_S,
        "parallel": PARALLEL,
    }


def status_specification(settings: Settings) -> dict[str, object]:
    """Returns the arguments of mindie_collect for a look at the NPUs alone."""
    whole = specification(settings)
    return {**whole, "items": npu_smi_items(0)[:1], "limit": TABLE_TIMEOUT_S + 10}

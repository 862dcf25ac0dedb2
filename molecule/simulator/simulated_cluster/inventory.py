"""The inventory of the simulated hosts: what a user would write for real ones, plus the settings of a small world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import yaml

from simulated_cluster.files import write_if_changed
from simulated_cluster.keys import Keys
from simulated_cluster.names import address

MODEL = "DeepSeek-R1-BF16"
IMAGE = "mindie:2.0.RC2-800I-A2-py311-openeuler24.03-lts"
# The tensors are a few bytes each, and the whole model directory has about 10 MB; but a disk that a fault makes small
# must be too small.
WEIGHTS_DISK_BYTES = 128 * 1024 * 1024
# Simulated loading takes seconds; a start that takes two minutes is a failed one.
READY_SECONDS = 120


def hosts_document(hosts: Sequence[str], subnet: IPv4Network, keys: Keys) -> dict[str, Any]:
    """Content of hosts.yml: the group mindie in rank order."""
    return {
        "all": {
            "children": {
                "mindie": {
                    "hosts": {host: {"ansible_host": str(address(subnet, host))} for host in hosts},
                    "vars": {
                        "ansible_user": "root",
                        "ansible_ssh_private_key_file": str(keys.private),
                        "ansible_ssh_common_args": " ".join(keys.options()),
                        "ansible_python_interpreter": "/usr/bin/python3",
                    },
                }
            }
        }
    }


def settings_document(weights: Path, host_count: int, npus: int) -> dict[str, Any]:
    """Content of group_vars/all.yml. Parallel sizes are the reference cluster's, for this many hosts of `npus` NPUs."""
    return {
        "mindie_image": IMAGE,
        "mindie_model_path": f"/data/models/{MODEL}",
        "mindie_weights_source": f"controller:{weights / MODEL}",
        "mindie_weights_disk_bytes": WEIGHTS_DISK_BYTES,
        "mindie_npus_per_host": npus,
        "mindie_data_parallel_size": host_count,
        "mindie_tensor_parallel_size": npus,
        "mindie_moe_tensor_parallel_size": 1,
        "mindie_moe_expert_parallel_size": npus * host_count,
        "mindie_ready_timeout": READY_SECONDS,
    }


def write(work: Path, hosts: Sequence[str], subnet: IPv4Network, keys: Keys, npus: int) -> Path:
    """Write the inventory directory; it is for `-i`. Returns it."""
    directory = work / "inventory"
    note = "# Written by molecule/simulator/cluster.py up; changes are lost.\n"
    documents: Mapping[str, dict[str, Any]] = {
        "hosts.yml": hosts_document(hosts, subnet, keys),
        "group_vars/all.yml": settings_document(work / "weights", len(hosts), npus),
    }
    for name, document in documents.items():
        write_if_changed(directory / name, note + yaml.safe_dump(document, sort_keys=False, width=120))
    return directory

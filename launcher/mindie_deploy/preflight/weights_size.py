"""How large the model is, how much of it is on a host, and so how much disk a host still needs."""

from __future__ import annotations

from collections.abc import Iterable

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.facts import HostFacts, Unknown, WeightsFacts
from mindie_deploy.hosts.weights_listing import is_complete

# 671e9 parameters of 2 bytes are 1.34 TB, and an MTP layer, where a checkpoint has one, is 0.03 TB more.
LARGE_MODEL_BYTES = 1_400_000_000_000
# Room for what is written beside the model: the small files of a shadow directory, lists of digests.
SLACK_BYTES = 64 * 1024 * 1024


def model_bytes(settings: Settings, hosts: Iterable[HostFacts]) -> int:
    """Returns the size of the whole model in bytes, from the best source there is.

    In this order: the setting weights_disk_bytes, the files of a host that has all shards, and what a model of the
    reference deployment takes.
    """
    if settings.weights_disk_bytes:
        return settings.weights_disk_bytes
    complete = [
        sum(host.weights.files.values())
        for host in hosts
        if not isinstance(host.weights, Unknown) and is_complete(host.weights)
    ]
    return max(complete, default=LARGE_MODEL_BYTES)


def missing_bytes(weights: WeightsFacts, whole: int) -> int:
    """Returns how many bytes of a model of `whole` bytes still have to be written; 0 where all shards are there."""
    if is_complete(weights):
        return 0
    return max(whole - sum(weights.files.values()) - weights.incoming_bytes, 0)


def is_there(weights: WeightsFacts) -> bool:
    """Whether there is anything: a mount may leave an empty directory behind."""
    return weights.exists and bool(weights.files)

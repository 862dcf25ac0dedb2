"""How large the model is, how much of it is on a host, and so how much disk a host still needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.facts import HostFacts, Unknown, WeightsFacts

# 671e9 parameters of 2 bytes are 1.34 TB, and an MTP layer, where a checkpoint has one, is 0.03 TB more.
LARGE_MODEL_BYTES = 1_400_000_000_000
SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5,6})\.safetensors")
NAMED = 3  # missing shards that are named
# Room for what is written beside the model: the small files of a shadow directory, lists of digests.
SLACK_BYTES = 64 * 1024 * 1024


def model_bytes(settings: Settings, hosts: Iterable[HostFacts]) -> int:
    """Returns the size of the whole model in bytes, from the best source there is.

    In this order: the setting weights_disk_bytes, the files of a host that has all
    shards, and what a model of the reference deployment takes.
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


def is_complete(weights: WeightsFacts) -> bool:
    """Whether the listing shows a whole model. What is in the files is the proof of `sync`, not of a look."""
    shards = [name for name in weights.files if name.endswith(".safetensors")]
    return bool(shards) and not missing_shards(weights)[0] and (weights.index_present or len(shards) == 1)


def missing_shards(weights: WeightsFacts) -> tuple[int, list[str]]:
    """Returns how many shards are missing, and the names of the first ones (at most NAMED).

    The names of the shards promise the others: "model-00001-of-000163.safetensors". They come from a host and may
    promise anything, so missing ones are counted, not listed.
    """
    present: dict[tuple[str, str], set[int]] = {}
    for name in weights.files:
        found = SHARD.fullmatch(name)
        if found and 1 <= int(found["number"]) <= int(found["count"]):
            present.setdefault((found["stem"], found["count"]), set()).add(int(found["number"]))
    names: list[str] = []
    missing = 0
    for (stem, count), numbers in sorted(present.items()):
        missing += int(count) - len(numbers)
        absent = (number for number in range(1, int(count) + 1) if number not in numbers)
        names += [f"{stem}-{number:05d}-of-{count}.safetensors" for number in islice(absent, NAMED - len(names))]
    return missing, names

"""How much of a model the listing of its directory shows."""

from __future__ import annotations

import re
from itertools import islice

from mindie_deploy.hosts.facts import WeightsFacts

SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5,6})\.safetensors")
NAMED = 3  # missing shards that are named


def is_complete(weights: WeightsFacts) -> bool:
    """Whether the listing shows a whole model. What is in the files is the proof of `sync`, not of a look."""
    shards = [name for name in weights.files if name.endswith(".safetensors")]
    whole = not missing_shards(weights)[0] and not empty_shards(weights)
    return bool(shards) and whole and (weights.index_present or len(shards) == 1)


def empty_shards(weights: WeightsFacts) -> list[str]:
    """Returns the names of shards without a byte, as an interrupted copy leaves them."""
    return sorted(name for name, size in weights.files.items() if name.endswith(".safetensors") and size == 0)


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

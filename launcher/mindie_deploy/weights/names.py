"""Which names of files are accepted from a manifest, an index or a host: all of them come from outside."""

from __future__ import annotations

LONGEST_NAME = 1024
LONGEST_PART = 255
DEEPEST_NAME = 8


def name_problem(name: object) -> str | None:
    """Returns why `name` may not be the name of a model file relative to the model directory, or None if it may.

    Such a name is joined to directories on every host, so nothing that leads out of them is accepted, and nothing
    hidden: hidden names are ours (staging) or belong to tools (.git, .cache).
    """
    if not isinstance(name, str):
        return "is not text"
    if not name:
        return "is empty"
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    if not name.isprintable() or any("\ud800" <= letter <= "\udfff" for letter in name):
        return "holds characters that cannot be shown"
    if "\\" in name:
        return "holds a backslash"
    if name.startswith("/"):
        return "is absolute"
    parts = name.split("/")
    if len(parts) > DEEPEST_NAME:
        return f"has more than {DEEPEST_NAME} parts"
    for part in parts:
        if not part:
            return "has an empty part"
        if part.startswith("."):
            return 'has a part that begins with "."'
        if len(part.encode()) > LONGEST_PART:
            return f"has a part longer than {LONGEST_PART} bytes"
    return None


def is_shard(name: str) -> bool:
    """Whether the file holds tensors (as opposed to the small files that tell how to use them)."""
    return name.endswith(".safetensors")

"""The model directory as a read-only look sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mindie_deploy.hosts.answer import FileText, Missing, entry, file_text, number_of, text_of
from mindie_deploy.hosts.facts import Reading, Unknown, WeightsFacts

INDEX_NAME = "model.safetensors.index.json"
CONFIGURATION_NAME = "config.json"


def is_of_the_model(name: str) -> bool:
    """Whether a file is the model's: not hidden, and none of the notes and pictures that come along."""
    return not name.startswith(".") and name.endswith((".safetensors", ".json", ".py", ".model", ".jinja"))


def weights(collection: Mapping[str, object], path: str) -> Reading[WeightsFacts]:
    """Reads the directory listing and config.json. A directory that does not exist is an answer.

    Files that the host could not look at are there all the same: with one of the model among them nothing is known.
    """
    item = entry(collection, "weights")
    if isinstance(item, Unknown):
        return item
    incoming = sum(_sizes(entry(collection, "weights/incoming"))[0].values())
    if item.get("exists") is False:
        gone = Unknown(f"{path} does not exist")
        return WeightsFacts(path, None, False, None, None, {}, {}, gone, False, incoming_bytes=incoming)
    entries = item.get("entries")
    if item.get("error") or item.get("timed_out") or not isinstance(entries, list):
        return Unknown(f"{path}: {text_of(item.get('error')) or 'the answer has no entries'}")
    if item.get("truncated"):
        return Unknown(f"{path} has too many entries")
    if hidden := _not_seen(entries):
        name, reason = hidden[0]
        count = f"{len(hidden)} files" if len(hidden) > 1 else "a file"
        return Unknown(f"{count} of {path} cannot be looked at ({name}: {reason})")
    sizes, modes = _sizes(item)
    return WeightsFacts(
        path=path,
        real_path=text_of(item.get("real_path")) or None,
        exists=True,
        mode=text_of(item.get("mode")) or None,
        uid=number_of(item.get("uid")),
        files=sizes,
        file_modes=modes,
        configuration=configuration(file_text(collection, "weights/config")),
        index_present=INDEX_NAME in sizes,
        incoming_bytes=incoming,
    )


def _sizes(item: Mapping[str, object] | Unknown) -> tuple[dict[str, int], dict[str, str]]:
    """Returns the sizes in bytes and the modes of the files of a listing, by name; none where there is no listing."""
    sizes: dict[str, int] = {}
    modes: dict[str, str] = {}
    entries = None if isinstance(item, Unknown) else item.get("entries")
    for record in entries if isinstance(entries, list) else []:
        if not isinstance(record, Mapping) or record.get("kind") != "file":
            continue
        name, size = text_of(record.get("name")), number_of(record.get("size"))
        if name and size is not None and size >= 0:
            sizes[name] = size
            modes[name] = text_of(record.get("mode"))
    return sizes, modes


def _not_seen(entries: list[object]) -> list[tuple[str, str]]:
    """Returns the model's files that are there and were refused, each with the reason (NFS with root_squash)."""
    return [
        (name, text_of(record.get("error")))
        for record in entries
        if isinstance(record, Mapping) and record.get("error") and record.get("exists") is not False
        if is_of_the_model(name := text_of(record.get("name")))
    ]


def configuration(source: FileText | Missing | Unknown) -> Reading[dict[str, object]]:
    """Reads config.json."""
    if isinstance(source, Unknown):
        return source
    if isinstance(source, Missing):
        return Unknown(f"{source.path} does not exist")
    if source.truncated:
        return Unknown(f"{source.path} is longer than what was read")
    try:
        value = json.loads(source.text)
    except (ValueError, RecursionError) as problem:
        return Unknown(f"{source.path} is no JSON: {str(problem)[:120]}")
    if not isinstance(value, dict):
        return Unknown(f"{source.path} is no JSON object")
    return value

"""What can be said of a model on a hub before it is copied: from config.json, the index, and the headers of shards."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Mapping

from mindie_deploy.weights.hub import HubModel, checked, shards_of
from mindie_deploy.weights.hub_listing import HubFile
from mindie_deploy.weights.hub_web import HubError, WebReader
from mindie_deploy.weights.manifest import MOST_FILES
from mindie_deploy.weights.model import CONFIGURATION, INDEX
from mindie_deploy.weights.scan import FoundFile, ModelFacts, Scan, ShardFacts

LARGEST_HEADER = 16 * 1024 * 1024
LENGTH_BYTES = 8  # before the header of a safetensors file
SHOWN_NAMES = 5


def hub_scan(model: HubModel, shards: Mapping[str, ShardFacts] | None = None) -> Scan:
    """Returns a repository in the form of a scanned directory, for judge_model."""
    return Scan(
        directory=model.source.label,
        real_directory=model.source.label,
        present=True,
        files={file.name: FoundFile(file.name, file.size, file.sha256) for file in model.files},
        unreadable={},
        model=facts_of(model.texts, {file.name for file in model.files}, shards),
        available_bytes=0,
        disk_path="",
        incoming={},
        checksums=None,
        remembered=None,
        remembered_path="",
    )


def facts_of(texts: Mapping[str, bytes], names: set[str], shards: Mapping[str, ShardFacts] | None = None) -> ModelFacts:
    """Returns the facts that config.json and the index (`texts`, by name) tell; `names`: all files of the model."""
    configuration, configuration_error = _read(CONFIGURATION, texts, names)
    index, index_error = _read(INDEX, texts, names)
    placed: dict[str, list[str]] = {}
    if index is not None:
        try:
            placed = placed_tensors(index)
        except HubError as error:
            index_error = error.message
    return ModelFacts(
        configuration=configuration,
        configuration_error=configuration_error,
        index_present=INDEX in names,
        index_error=index_error,
        index_shards=tuple(sorted(placed)[:MOST_FILES]),
        shards=shards or {},
    )


def placed_tensors(index: Mapping[str, object]) -> dict[str, list[str]]:
    """Returns the tensors of every shard as an index places them. Raises HubError."""
    places = index.get("weight_map")
    if not isinstance(places, Mapping):
        raise HubError("it has no weight_map of names")
    placed: dict[str, list[str]] = {}
    for tensor, shard in places.items():
        if not isinstance(shard, str):
            raise HubError("it has no weight_map of names")
        placed.setdefault(shard, []).append(tensor)
    return placed


def read_shards(model: HubModel, web: WebReader) -> dict[str, ShardFacts]:
    """Reads the headers of all shards, two small requests each, and compares them with the index.

    A shard whose header cannot be used carries the reason. Raises HubUnreachableError, and HubError when the hub
    refuses.
    """
    index, _ = _read(INDEX, model.texts, set(model.texts))
    try:
        placed = placed_tensors(index) if index is not None else {}
    except HubError:
        placed = {}  # facts_of tells it
    result = {}
    for file in shards_of(model):
        try:
            tensors = _header(file, model, web)
        except _UnusableError as error:
            result[file.name] = ShardFacts(0, {}, 0, (), str(error))
            continue
        absent = sorted(set(placed.get(file.name, ())) - set(tensors))
        dtypes = Counter(tensors.values())
        result[file.name] = ShardFacts(len(tensors), dtypes, len(absent), tuple(absent[:SHOWN_NAMES]), None)
    return result


class _UnusableError(Exception):
    """A header that is none."""


def _header(file: HubFile, model: HubModel, web: WebReader) -> dict[str, str]:
    """Returns {tensor: dtype}. Raises _UnusableError."""
    if file.size < LENGTH_BYTES:
        raise _UnusableError(f"it has {file.size} bytes")
    (length,) = struct.unpack("<Q", _span(file, model, web, 0, LENGTH_BYTES))
    if length > LARGEST_HEADER or LENGTH_BYTES + length > file.size:
        raise _UnusableError(f"its header would have {length} bytes and the file has {file.size}")
    header = _json(_span(file, model, web, LENGTH_BYTES, length)) if length else None
    if not isinstance(header, dict):
        raise _UnusableError("its header is not a JSON object")
    tensors, end = {}, 0
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        try:
            tensors[name] = str(tensor["dtype"])[:20]
            end = max(end, int(tensor["data_offsets"][1]))
        except (TypeError, KeyError, IndexError, ValueError) as error:
            raise _UnusableError(f"its header describes {name[:100]} in an unknown way") from error
    if end != file.size - LENGTH_BYTES - length:
        rest = file.size - LENGTH_BYTES - length
        raise _UnusableError(f"its header promises {end} bytes of tensors and the file has {rest}")
    return tensors


def _span(file: HubFile, model: HubModel, web: WebReader, first: int, length: int) -> bytes:
    answer = web.get(file.url, largest=length, span=(first, first + length - 1))
    body = checked(answer, model.source, file.name)
    if answer.status != 206 or len(body) != length:
        raise HubError(f"{model.source.label}: {file.name} cannot be read in parts (status {answer.status})")
    return body


def _read(name: str, texts: Mapping[str, bytes], names: set[str]) -> tuple[Mapping[str, object] | None, str | None]:
    """Returns a JSON object and why there is none."""
    if name not in texts:
        return None, "it is too large" if name in names else None
    value = _json(texts[name])
    return (value, None) if isinstance(value, dict) else (None, "it is not a JSON object")


def _json(text: bytes) -> object:
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return None

# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""What the small files of a model and the headers of its safetensors shards say; no tensor is read."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import json
import os
import struct

INDEX = "model.safetensors.index.json"
MOST_SHARDS = 20000
SHOWN_NAMES = 5
# Beyond these a file is not what its name says, and is not read into memory.
LARGEST_CONFIGURATION = 4 * 1024 * 1024
LARGEST_INDEX = 256 * 1024 * 1024
LARGEST_HEADER = 100 * 1000 * 1000  # the safetensors format's own limit
LARGEST_TENSOR = 1 << 50  # numbers in it
# Bytes of a number, for the dtypes that take whole bytes.
WIDTHS = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8, "C64": 8,
}  # fmt: skip


class UnusableError(Exception):
    """A file is not what its name says; the text follows the file's name."""


def shard_header(path, size):
    """Returns the tensors of a safetensors file as {name: dtype}. Raises UnusableError when the file is not whole or
    its header contradicts itself."""
    with open(path, "rb") as handle:
        start = handle.read(8)
        if len(start) < 8:
            raise UnusableError("it has %d bytes" % size)
        length = struct.unpack("<Q", start)[0]
        if length > LARGEST_HEADER or 8 + length > size:
            raise UnusableError("its header would have %d bytes and the file has %d" % (length, size))
        try:
            header = json.loads(handle.read(length).decode("utf-8"))
        except (ValueError, RecursionError):
            raise UnusableError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise UnusableError("its header is not a JSON object")
    tensors, spans = {}, []
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        try:
            begin, end = tensor["data_offsets"]
            tensors[name] = str(tensor["dtype"])[:20]
            _require_plausible(name, tensors[name], tensor["shape"], end - begin)
            spans.append((begin, end, name))
        except (TypeError, KeyError, ValueError):
            raise UnusableError("its header describes %s in an unknown way" % name[:100]) from None
    _require_gapless(spans, size - 8 - length)
    return tensors


def _require_plausible(name, dtype, shape, taken):
    """Raises UnusableError when a tensor of this shape and dtype does not take that many bytes."""
    count = 1
    for length in shape:
        if isinstance(length, bool) or not isinstance(length, int) or length < 0:
            raise UnusableError("its header gives %s the shape %s" % (name[:100], str(shape)[:100]))
        count *= length
        if count > LARGEST_TENSOR:
            raise UnusableError("its header gives %s the shape %s" % (name[:100], str(shape)[:100]))
    if dtype in WIDTHS and count * WIDTHS[dtype] != taken:
        words = "its header gives %s the shape %s of %s, which are %d bytes, and a place of %d bytes"
        raise UnusableError(words % (name[:100], str(shape)[:100], dtype, count * WIDTHS[dtype], taken))


def _require_gapless(spans, room):
    """Raises UnusableError unless the tensors fill the room after the header, one behind the other."""
    at = 0
    for begin, end, name in sorted(spans):
        if begin != at or end < begin:
            raise UnusableError("its header places %s at %d, where %d is the next byte" % (name[:100], begin, at))
        at = end
    if at != room:
        raise UnusableError("its header promises %d bytes of tensors and the file has %d" % (at, room))


def read_text(path, largest):
    """Returns the text of a file. Raises UnusableError, OSError."""
    if os.stat(path).st_size > largest:
        raise UnusableError("it has more than %d bytes" % largest)
    try:
        with open(path, "rb") as handle:
            return handle.read().decode("utf-8")
    except UnicodeDecodeError:
        raise UnusableError("it is not UTF-8 text") from None


def _read_object(path, largest):
    try:
        value = json.loads(read_text(path, largest))
    except (ValueError, RecursionError) as error:
        raise UnusableError("it is not JSON: %s" % error) from None
    if not isinstance(value, dict):
        raise UnusableError("it is not a JSON object")
    return value


def model_facts(root, sizes):
    """Returns what a directory with these files, {name: bytes}, says; what says nothing usable carries the reason."""
    facts = {"configuration": None, "configuration_error": None, "index_present": INDEX in sizes, "index_error": None}
    placed = {}
    try:
        if "config.json" in sizes:
            facts["configuration"] = _read_object(os.path.join(root, "config.json"), LARGEST_CONFIGURATION)
    except (UnusableError, OSError) as error:
        facts["configuration_error"] = str(error)
    try:
        if INDEX in sizes:
            index = _read_object(os.path.join(root, INDEX), LARGEST_INDEX).get("weight_map")
            if not isinstance(index, dict) or not all(isinstance(shard, str) for shard in index.values()):
                raise UnusableError("it has no weight_map of names")
            for tensor, shard in index.items():
                placed.setdefault(shard, []).append(tensor)
    except (UnusableError, OSError) as error:
        facts["index_error"] = str(error)
    facts["index_shards"] = sorted(placed)[:MOST_SHARDS]
    facts["shards"] = {
        name: _shard_facts(os.path.join(root, name), sizes[name], placed.get(name, ()), bool(placed))
        for name in sizes
        if name.endswith(".safetensors")
    }
    return facts


def _shard_facts(path, size, wanted, indexed):
    """Returns what one shard holds, and how that differs from the tensors that the index places in it."""
    shard = {"tensors": 0, "dtypes": {}, "absent": 0, "absent_names": [], "foreign": 0, "foreign_names": []}
    shard["error"] = None
    try:
        tensors = shard_header(path, size)
    except (UnusableError, OSError) as error:
        shard["error"] = str(error)
        return shard
    shard["tensors"] = len(tensors)
    shard["dtypes"] = dict(collections.Counter(tensors.values()))
    absent = sorted(set(wanted) - set(tensors))
    foreign = sorted(set(tensors) - set(wanted)) if indexed else []
    shard["absent"], shard["absent_names"] = len(absent), absent[:SHOWN_NAMES]
    shard["foreign"], shard["foreign_names"] = len(foreign), foreign[:SHOWN_NAMES]
    return shard

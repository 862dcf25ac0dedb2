# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""The manifest as a host gets it: what a model directory must hold. It comes from outside and is read strictly."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible.module_utils.mindie_weights_state import WeightsError

SHA256 = re.compile(r"[0-9a-f]{64}\Z")
MOST_FILES = 20000
LARGEST_FILE = 1 << 50
# These tell a reader that the shards are there, so they come last.
LAST = ("model.safetensors.index.json", "config.json")


def read_manifest(value):
    """Returns {name: (size, sha256)} in the order of publishing. Raises WeightsError for what must not be believed."""
    rows = value.get("files")
    if not isinstance(rows, list) or not rows or len(rows) > MOST_FILES:
        raise WeightsError("the manifest has no files, or too many")
    files, folders = {}, set()
    for row in rows:
        row = row if isinstance(row, dict) else {}
        name, size, digest = row.get("name"), row.get("size"), row.get("sha256")
        parts = name.split("/") if isinstance(name, str) else []
        if not parts or "\\" in name or not name.isprintable() or any(p in ("", "..") or p[0] == "." for p in parts):
            raise WeightsError("the manifest names the file %r, which leads elsewhere or is hidden" % (name,))
        if name in files:
            raise WeightsError("the manifest names %r twice" % name)
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= LARGEST_FILE:
            raise WeightsError("the manifest gives %r the size %r" % (name, size))
        if not isinstance(digest, str) or not SHA256.match(digest):
            raise WeightsError("the manifest gives %r the sha256 %r" % (name, digest))
        files[name] = (size, digest)
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if folders & set(files):
        raise WeightsError("the manifest names %r as a file and as a directory" % sorted(folders & set(files))[0])
    weight = {name: index for index, name in enumerate(LAST, 2)}
    return {
        name: files[name]
        for name in sorted(files, key=lambda n: (weight.get(n, 0 if n.endswith(".safetensors") else 1), n))
    }

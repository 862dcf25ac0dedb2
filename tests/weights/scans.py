"""Scans as a host would send them, made by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from mindie_deploy.weights.manifest import Manifest
from mindie_deploy.weights.scan import Scan, read_scan

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"
CONFIGURATION = {"model_type": "deepseek_v3", "torch_dtype": "bfloat16"}
PATH = "/data/models/DeepSeek-R1-BF16"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def good_files() -> dict[str, bytes]:
    small = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", INDEX)
    return {name: name.encode() * 3 for name in (*SHARDS, *small)}


def model(**changes: Any) -> dict[str, Any]:
    counts = {"absent": 0, "absent_names": [], "foreign": 0, "foreign_names": []}
    shard = {"tensors": 2, "dtypes": {"BF16": 2}, **counts, "error": None}
    return {
        "configuration": CONFIGURATION,
        "configuration_error": None,
        "index_present": True,
        "index_error": None,
        "index_shards": list(SHARDS),
        "shards": {name: dict(shard) for name in SHARDS},
        **changes,
    }


def result(files: Mapping[str, bytes] | None = None, *, read: bool = True, **changes: Any) -> dict[str, Any]:
    """Returns the module's result for a directory with these files; `read`: all of them are proven."""
    files = good_files() if files is None else files
    return {
        "directory": PATH,
        "real_directory": PATH,
        "present": bool(files),
        "files": [
            {"name": name, "size": len(content), "sha256": digest(content) if read else None}
            for name, content in files.items()
        ],
        "broken": {},
        "sampled": {},
        "unsampled": [],
        "seed": "",
        "unreadable": {},
        "model": model(),
        "incoming": {},
        "reserved": {},
        "disk": {"path": "/data", "available_bytes": 10**13},
        "checksums": None,
        "manifest": None,
        "manifest_path": "/var/lib/mindie-deploy/weights/0123456789abcdef.json",
        **changes,
    }


def scan(files: Mapping[str, bytes] | None = None, *, read: bool = True, **changes: Any) -> Scan:
    return read_scan(result(files, read=read, **changes))


def manifest_of(files: Mapping[str, bytes]) -> Manifest:
    return Manifest.of(
        {"name": name, "size": len(content), "sha256": digest(content)} for name, content in files.items()
    )

#!/usr/bin/env python3
"""Writes the simulated MindIE image as a `docker save` archive, without a container engine.

Two layers: the given base file system (Debian 12 with bash, coreutils and python3) and MindIE's files. The same base
and the same sources give the same bytes, so the image has the same id on every machine of one architecture.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO

import layout

TAG = "mindie:2.0.RC2-800I-A2-py311-openeuler24.03-lts"
CREATED = "2025-01-01T00:00:00Z"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_VERSION = re.compile(r":(?:dev-)?([0-9]+\.[0-9]+\.[A-Za-z0-9.]+)-")


class BuildError(Exception):
    """The image cannot be made; the text says why and what to do."""


def build(base: Path, output: Path, tag: str, machine: str) -> str:
    """Writes `output` and returns the image id ("sha256:..."). Raises BuildError."""
    match = _VERSION.search(tag)
    if match is None:
        raise BuildError(f"{tag}: no MindIE version in the tag; expected a tag such as {TAG}")
    if machine not in ARCHITECTURES:
        raise BuildError(f"machine {machine} is neither of {', '.join(ARCHITECTURES)}")
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        plain = _uncompressed(base, Path(scratch))
        own = layout.layer(match.group(1), machine)
        base_digest, own_digest = _file_digest(plain), hashlib.sha256(own).hexdigest()
        config = _config(match.group(1), machine, [base_digest, own_digest])
        identity = hashlib.sha256(config).hexdigest()
        layers = [f"{base_digest}/layer.tar", f"{own_digest}/layer.tar"]
        manifest = json.dumps([{"Config": f"{identity}.json", "RepoTags": [tag], "Layers": layers}]).encode()
        part = Path(scratch) / "image.tar"
        with tarfile.open(part, mode="w", format=tarfile.PAX_FORMAT) as tar:
            with plain.open("rb") as stream:
                _add(tar, layers[0], stream, plain.stat().st_size)
            _add(tar, layers[1], io.BytesIO(own), len(own))
            _add(tar, f"{identity}.json", io.BytesIO(config), len(config))
            _add(tar, "manifest.json", io.BytesIO(manifest), len(manifest))
        # Nothing half-written ever stands at the final path.
        os.replace(part, output)
    return f"sha256:{identity}"


def _config(version: str, machine: str, layers: list[str]) -> bytes:
    config = {
        "architecture": ARCHITECTURES[machine],
        "os": "linux",
        "created": CREATED,
        "config": {
            "Env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8",
                "CANN_CHIP=910b",
            ],
            "Cmd": ["/bin/bash"],
            "WorkingDir": "/root",
            "Labels": {
                "org.opencontainers.image.title": "mindie",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.description": "simulated MindIE: the daemon's behaviour without a model",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in layers]},
        "history": [
            {"created": CREATED, "created_by": "base file system"},
            {"created": CREATED, "created_by": f"MindIE {version} (simulated)"},
        ],
    }
    return json.dumps(config, sort_keys=True, separators=(",", ":")).encode()


def _uncompressed(base: Path, scratch: Path) -> Path:
    """The base tar itself, or its content when it is gzipped: a layer is named by its uncompressed bytes."""
    if not base.is_file():
        raise BuildError(f"{base}: no such file; it should be a tar of a Debian 12 file system with python3")
    with base.open("rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            return base
    plain = scratch / "base.tar"
    with gzip.open(base, "rb") as source, plain.open("wb") as target:
        shutil.copyfileobj(source, target)
    return plain


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, layout.MOMENT
    tar.addfile(info, content)


def main() -> int:
    """Exit status 0, or 1 with a line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-tar", type=Path, required=True, help="tar (or tar.gz) of the base file system")
    parser.add_argument("--output", type=Path, required=True, help="the archive to write, for `docker load -i`")
    parser.add_argument("--tag", default=TAG, help="name and tag of the image; MindIE's version is taken from it")
    arguments = parser.parse_args()
    try:
        print(build(arguments.base_tar, arguments.output, arguments.tag, platform.machine()))
    except (BuildError, OSError) as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

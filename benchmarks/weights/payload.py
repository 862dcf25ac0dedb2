"""Files to send: pseudo-random, so nothing on the way can make them smaller, and cheap to make."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

BLOCK = 1 << 20
SMALL = {
    "config.json": 1_700,
    "generation_config.json": 150,
    "tokenizer.json": 7_847_602,
    "tokenizer_config.json": 3_600,
}
SHARDS = 24
MANY = 10_000


@dataclass(frozen=True)
class File:
    """A file of the payload."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Payload:
    """A directory full of files, sorted by name."""

    shape: str
    directory: Path
    files: list[File]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def sizes(shape: str, size: int) -> dict[str, int]:
    """Names and sizes that make up `size` bytes: "shards" as a model has them, "many" tiny files, or "one" huge one.

    Raises ValueError for another shape.
    """
    if shape == "one":
        return {"model.safetensors": size}
    if shape == "many":
        return shares(size, [f"part-{index:05}.bin" for index in range(MANY)])
    if shape == "shards":
        small = {name: min(bytes_, size // 64) for name, bytes_ in SMALL.items()}
        names = [f"model-{index + 1:05}-of-{SHARDS:05}.safetensors" for index in range(SHARDS)]
        return {**small, **shares(size - sum(small.values()), names)}
    raise ValueError(f"no payload has the shape {shape}")


def shares(size: int, names: list[str]) -> dict[str, int]:
    """`size` divided among the names, as equal as can be."""
    least, more = divmod(size, len(names))
    return {name: least + (index < more) for index, name in enumerate(names)}


def content(seed: int, size: int) -> Iterator[bytes]:
    """Pseudo-random bytes in blocks, the same for the same seed; no block occurs twice."""
    first = int.from_bytes(random.Random(seed).randbytes(BLOCK), "little")
    for counter in range(0, size, BLOCK):
        key = hashlib.sha256(f"{seed} {counter}".encode()).digest()
        block = first ^ int.from_bytes(key * (BLOCK // len(key)), "little")
        yield block.to_bytes(BLOCK, "little")[: size - counter]


def make(parent: Path, shape: str, size: int) -> Payload:
    """The payload in a directory below `parent`; one that was made before is taken again."""
    directory = parent / f"{shape}-{size}"
    listing = parent / f"{shape}-{size}.json"
    if listing.exists():
        return Payload(shape, directory, [File(**file) for file in json.loads(listing.read_text())])
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    files = []
    for seed, (name, length) in enumerate(sorted(sizes(shape, size).items())):
        digest = hashlib.sha256()
        with (directory / name).open("wb") as out:
            for block in content(seed, length):
                out.write(block)
                digest.update(block)
        files.append(File(name, length, digest.hexdigest()))
    part = listing.with_suffix(".part")
    part.write_text(json.dumps([asdict(file) for file in files]))
    part.rename(listing)
    return Payload(shape, directory, files)


def read(payload: Payload) -> None:
    """Brings the payload into the page cache. Raises ValueError when it is not as it was made."""
    bad = wrong(payload, payload.directory)
    if bad:
        raise ValueError(f"{payload.directory / bad[0]} is not as it was made: remove {payload.directory.parent}")


def wrong(payload: Payload, directory: Path) -> list[str]:
    """Names of the files that do not stand in `directory` as they should; reads all of them."""

    def is_wrong(file: File) -> bool:
        path = directory / file.name
        if not path.is_file() or path.stat().st_size != file.size:
            return True
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() != file.sha256

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(is_wrong, payload.files))
    return [file.name for file, bad in zip(payload.files, found, strict=True) if bad]

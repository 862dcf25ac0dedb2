"""The manifest of a model directory: every file's name, size and sha256, and one digest over all of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mindie_deploy.errors import CheckFailedError
from mindie_deploy.weights.names import name_problem

FORMAT = 1
SHA256 = re.compile(r"[0-9a-f]{64}")
# A model has some hundred files; a manifest beyond this is not one.
MOST_FILES = 20_000
LARGEST_TEXT = 64 * 1024 * 1024
LARGEST_FILE = 1 << 50
CHECKSUM_LINE = re.compile(r"(?P<sha256>[0-9a-fA-F]{64}) [ *](?P<name>.+)")


class ManifestError(CheckFailedError):
    """The text is not a manifest that may be used."""


@dataclass(frozen=True, order=True)
class FileEntry:
    """One file: name relative to the model directory with "/" between its parts, size in bytes, sha256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The files of a model, sorted by name, each name once."""

    files: tuple[FileEntry, ...]
    by_name: Mapping[str, FileEntry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", tuple(sorted(self.files)))
        object.__setattr__(self, "by_name", {entry.name: entry for entry in self.files})
        if len(self.by_name) != len(self.files):
            raise ManifestError("the manifest names a file twice")

    @property
    def total_bytes(self) -> int:
        return sum(entry.size for entry in self.files)

    @property
    def digest(self) -> str:
        """sha256 in hex over the canonical list of files: two directories with the same digest are equal."""
        rows = [[entry.name, entry.size, entry.sha256] for entry in self.files]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()

    def to_dict(self) -> dict[str, object]:
        """Returns what from_dict reads: {"format", "digest", "total_bytes", "files": [{name, size, sha256}]}."""
        return {
            "format": FORMAT,
            "digest": self.digest,
            "total_bytes": self.total_bytes,
            "files": [{"name": entry.name, "size": entry.size, "sha256": entry.sha256} for entry in self.files],
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Reads to_json's text. Raises ManifestError for anything else, hostile text included."""
        if len(text) > LARGEST_TEXT:
            raise ManifestError(f"the manifest is longer than {LARGEST_TEXT} characters")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"the manifest is not JSON: {error}") from error
        return cls.from_dict(value)

    @classmethod
    def from_dict(cls, value: object) -> Manifest:
        """Reads to_dict's mapping. Raises ManifestError with the file and the rule that it breaks."""
        if not isinstance(value, Mapping) or not isinstance(value.get("files"), list):
            raise ManifestError("the manifest has no list of files")
        if value.get("format", FORMAT) != FORMAT:
            raise ManifestError(f"the manifest's format is {value.get('format')!r}; this version reads {FORMAT}")
        manifest = cls.of(value["files"])
        if "digest" in value and value["digest"] != manifest.digest:
            raise ManifestError("the manifest's digest does not fit its files: it was changed or cut")
        return manifest

    @classmethod
    def of(cls, rows: Iterable[object]) -> Manifest:
        """Makes a manifest of mappings with name, size and sha256. Raises ManifestError."""
        entries: list[FileEntry] = []
        for row in rows:
            if len(entries) >= MOST_FILES:
                raise ManifestError(f"the manifest names more than {MOST_FILES} files")
            entries.append(_entry(row))
        return cls(_without_clashes(entries))


def parse_checksums(text: str) -> dict[str, str]:
    """Reads a SHA256SUMS file as `sha256sum` writes it. Returns {name: sha256 in lower-case hex}.

    Comments and empty lines are skipped, "./" before a name is dropped. Raises ManifestError, with the number of the
    line, for a line that is neither, for a name that may not be a model file, and for a name with two digests.
    """
    result: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        found = CHECKSUM_LINE.fullmatch(line)
        if not found:
            raise ManifestError(f"line {number} of SHA256SUMS is not a sha256 and a name: {line[:100]!r}")
        name = found["name"].removeprefix("./")
        if problem := name_problem(name):
            if name.startswith(".") and ".." not in name.split("/"):
                continue  # hidden files are never part of a model
            raise ManifestError(f"line {number} of SHA256SUMS: the name {name[:100]!r} {problem}")
        digest = found["sha256"].lower()
        if result.setdefault(name, digest) != digest:
            raise ManifestError(f"SHA256SUMS gives {name!r} two digests")
    return result


def _entry(row: object) -> FileEntry:
    if not isinstance(row, Mapping):
        raise ManifestError(f"the manifest holds {str(row)[:100]!r} where a file should be")
    name, size, digest = row.get("name"), row.get("size"), row.get("sha256")
    if problem := name_problem(name):
        raise ManifestError(f"the manifest names the file {str(name)[:100]!r}, which {problem}")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= LARGEST_FILE:
        raise ManifestError(f"the manifest gives {name!r} the size {str(size)[:100]!r}")
    if not isinstance(digest, str) or not SHA256.fullmatch(digest):
        raise ManifestError(f"the manifest gives {name!r} the sha256 {str(digest)[:100]!r}")
    return FileEntry(str(name), size, digest)


def _without_clashes(entries: list[FileEntry]) -> tuple[FileEntry, ...]:
    """Refuses a name that is a file and also a directory of another file."""
    names = {entry.name for entry in entries}
    for name in names:
        parts = name.split("/")
        for length in range(1, len(parts)):
            if "/".join(parts[:length]) in names:
                raise ManifestError(f"the manifest names {'/'.join(parts[:length])!r} as a file and as a directory")
    return tuple(entries)

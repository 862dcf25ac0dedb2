"""What one scan of a model directory said (the result of the module mindie_weights_scan), read strictly.

A host may be broken or worse: whatever does not fit raises ScanError instead of being believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mindie_deploy.errors import MindieDeployError
from mindie_deploy.weights.manifest import LARGEST_FILE, MOST_FILES, SHA256, Manifest, ManifestError
from mindie_deploy.weights.names import name_problem


class ScanError(MindieDeployError):
    """What a host sent is not the result of a scan."""


@dataclass(frozen=True)
class FoundFile:
    """A file that stands in the directory. `sha256` is None until it was read and nothing touched it since."""

    name: str
    size: int
    sha256: str | None


@dataclass(frozen=True)
class ShardFacts:
    """The header of one safetensors file, and what the index expects in it.

    `dtypes` counts tensors by dtype; `absent` counts tensors that the index places in this shard and its header does
    not have, `absent_names` are the first of them; `foreign` and `foreign_names` are those that the header has and the
    index does not place in this shard; `error` is why the header cannot be used.
    """

    tensors: int
    dtypes: Mapping[str, int]
    absent: int
    absent_names: tuple[str, ...]
    error: str | None
    foreign: int = 0
    foreign_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFacts:
    """What the small files and the shards' headers say. `configuration` is None where config.json is missing or bad."""

    configuration: Mapping[str, object] | None
    configuration_error: str | None
    index_present: bool
    index_error: str | None
    index_shards: tuple[str, ...]
    shards: Mapping[str, ShardFacts]


@dataclass(frozen=True)
class Scan:
    """One directory as a scan saw it. Sizes in bytes.

    `incoming` holds what an unfinished transfer left, by file, `reserved` what those files take of the disk already.
    `broken` tells where files are not what they should be, as ranges (offset, length); a file that differs and of which
    no pieces are remembered is not in it. `sampled` counts the pieces that a sample compared, by file, `unsampled` are
    the files of which no pieces are remembered.
    """

    directory: str
    real_directory: str
    present: bool
    files: Mapping[str, FoundFile]
    unreadable: Mapping[str, str]
    model: ModelFacts
    available_bytes: int
    disk_path: str
    incoming: Mapping[str, int]
    checksums: str | None
    remembered: Manifest | None
    remembered_path: str
    reserved: Mapping[str, int] = field(default_factory=dict)
    broken: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    sampled: Mapping[str, int] = field(default_factory=dict)
    unsampled: tuple[str, ...] = ()
    seed: str = ""

    @property
    def unproven(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, found in self.files.items() if found.sha256 is None))

    def manifest(self) -> Manifest:
        """Returns the manifest of the whole directory. Raises ManifestError when a file has no sha256 yet."""
        if self.unproven:
            raise ManifestError(f"{self.directory}: {len(self.unproven)} files were not read yet")
        return Manifest.of({"name": one.name, "size": one.size, "sha256": one.sha256} for one in self.files.values())


def read_scan(value: object) -> Scan:
    """Reads the module's result. Raises ScanError."""
    result = _mapping(value, "the result")
    manifest = result.get("manifest")
    try:
        remembered = None if manifest is None else Manifest.from_dict(manifest)
    except ManifestError:
        # Ours, but damaged: the same as none. The next sync writes it again.
        remembered = None
    disk = _mapping(result.get("disk"), "disk")
    checksums = result.get("checksums")
    return Scan(
        directory=_text(result.get("directory"), "directory"),
        real_directory=_text(result.get("real_directory"), "real_directory"),
        present=result.get("present") is True,
        files=_files(result.get("files")),
        unreadable={
            _text(name, "a name"): _text(why, "a reason")
            for name, why in _mapping(result.get("unreadable"), "unreadable").items()
        },
        model=_model(result.get("model")),
        available_bytes=_count(disk.get("available_bytes"), "available_bytes"),
        disk_path=_text(disk.get("path"), "the disk's path"),
        incoming=_sizes(result, "incoming"),
        reserved=_sizes(result, "reserved"),
        checksums=checksums if isinstance(checksums, str) else None,
        remembered=remembered,
        remembered_path=_text(result.get("manifest_path"), "manifest_path"),
        # What stands for the files of a hub in this form was read by nobody.
        broken=_broken(_mapping(result.get("broken", {}), "broken")),
        sampled=_sizes(result, "sampled") if "sampled" in result else {},
        unsampled=tuple(_name(name) for name in _list(result.get("unsampled", []), "unsampled")),
        seed=_text(result.get("seed", ""), "seed"),
    )


def _broken(value: Mapping[object, object]) -> dict[str, tuple[tuple[int, int], ...]]:
    broken: dict[str, tuple[tuple[int, int], ...]] = {}
    for name, ranges in value.items():
        pairs = [_list(pair, "a range") for pair in _list(ranges, "the ranges of a file")]
        if any(len(pair) != 2 for pair in pairs):
            raise ScanError(f"the scan says {str(ranges)[:100]!r} for ranges of a file")
        broken[_name(name)] = tuple((_count(pair[0], "an offset"), _count(pair[1], "a length")) for pair in pairs)
    return broken


def _sizes(result: Mapping[object, object], key: str) -> dict[str, int]:
    return {_name(name): _count(size, f"a number of {key}") for name, size in _mapping(result.get(key), key).items()}


def _files(value: object) -> dict[str, FoundFile]:
    if not isinstance(value, list) or len(value) > MOST_FILES:
        raise ScanError("the scan has no list of files, or an endless one")
    files: dict[str, FoundFile] = {}
    for item in value:
        row = _mapping(item, "a file")
        name = _name(row.get("name"))
        digest = row.get("sha256")
        if digest is not None and not (isinstance(digest, str) and SHA256.fullmatch(digest)):
            raise ScanError(f"the scan gives {name!r} the sha256 {str(digest)[:100]!r}")
        files[name] = FoundFile(name, _count(row.get("size"), f"the size of {name}"), digest)
    return files


def _model(value: object) -> ModelFacts:
    model = _mapping(value, "model")
    configuration = model.get("configuration")
    shards: dict[str, ShardFacts] = {}
    for name, item in _mapping(model.get("shards"), "shards").items():
        shard = _mapping(item, "a shard")
        shards[_name(name)] = ShardFacts(
            tensors=_count(shard.get("tensors"), "a number of tensors"),
            dtypes={
                _text(dtype, "a dtype"): _count(number, "a number of tensors")
                for dtype, number in _mapping(shard.get("dtypes"), "dtypes").items()
            },
            absent=_count(shard.get("absent"), "a number of tensors"),
            absent_names=_shown_names(shard.get("absent_names")),
            error=_optional_text(shard.get("error")),
            foreign=_count(shard.get("foreign"), "a number of tensors"),
            foreign_names=_shown_names(shard.get("foreign_names")),
        )
    index_shards = model.get("index_shards")
    if not isinstance(index_shards, list):
        raise ScanError("the scan does not say which shards the index names")
    return ModelFacts(
        configuration=configuration if isinstance(configuration, Mapping) else None,
        configuration_error=_optional_text(model.get("configuration_error")),
        index_present=model.get("index_present") is True,
        index_error=_optional_text(model.get("index_error")),
        index_shards=tuple(str(name)[:1024] for name in index_shards),
        shards=shards,
    )


def _shown_names(value: object) -> tuple[str, ...]:
    return tuple(str(one)[:200] for one in value) if isinstance(value, list) else ()


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise ScanError(f"the scan says {str(value)[:100]!r} for {what}")
    return value


def _mapping(value: object, what: str) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise ScanError(f"the scan says {str(value)[:100]!r} for {what}")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise ScanError(f"the scan says {str(value)[:100]!r} for {what}")
    return value


def _optional_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_FILE * 1024:
        raise ScanError(f"the scan says {str(value)[:100]!r} for {what}")
    return value


def _name(value: object) -> str:
    if problem := name_problem(value):
        raise ScanError(f"the scan names a file {str(value)[:100]!r}, which {problem}")
    return str(value)

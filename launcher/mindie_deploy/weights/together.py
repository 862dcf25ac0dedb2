"""What all hosts have together, as one source: each file from whichever hosts have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mindie_deploy.errors import CheckFailedError
from mindie_deploy.weights.manifest import Manifest
from mindie_deploy.weights.model import shown
from mindie_deploy.weights.names import is_shard
from mindie_deploy.weights.scan import FoundFile, ModelFacts, Scan, ShardFacts
from mindie_deploy.weights.source import Source, SourceKind

LABEL = Source(SourceKind.HOSTS).label


def union(scans: Mapping[str, Scan]) -> Scan:
    """Returns the scan of a directory that holds every file that some host has; `scans` in rank order.

    Where hosts differ, the manifest that they remember decides. Raises CheckFailedError when nothing decides, or when
    no host has any weights.
    """
    present = {name: scan for name, scan in scans.items() if scan.present and scan.files}
    if not present:
        path = next(iter(scans.values())).directory
        raise CheckFailedError(
            f"no host has weights at {path}",
            "copy them there, or say with mindie_weights_source where they come from",
        )
    kept = next((scan.remembered for scan in present.values() if scan.remembered is not None), None)
    files: dict[str, FoundFile] = {}
    differing: list[str] = []
    for name in sorted({name for scan in present.values() for name in scan.files}):
        holders = {host: scan.files[name] for host, scan in present.items() if name in scan.files}
        chosen = _chosen(name, holders, kept)
        if chosen is None:
            differing.append(f"{name} ({', '.join(holders)})")
        else:
            files[name] = chosen
    if differing:
        raise CheckFailedError(
            f"{len(differing)} files are not the same on all hosts: {shown(differing)}",
            "say with mindie_weights_source which copy is right (host:NAME:/path), or remove the wrong ones",
        )
    first = next(iter(present.values()))
    return replace(
        first,
        directory=LABEL,
        real_directory=LABEL,
        files=files,
        unreadable={name: why for name, why in first.unreadable.items() if name not in files},
        model=_model([scan.model for scan in present.values()], files),
        incoming={},
        reserved={},
        checksums=next((scan.checksums for scan in present.values() if scan.checksums is not None), None),
        remembered=kept,
    )


def _chosen(name: str, holders: Mapping[str, FoundFile], kept: Manifest | None) -> FoundFile | None:
    """Returns the file that counts, or None when hosts differ and nothing says which is right."""
    if kept is not None and name in kept.by_name:
        entry = kept.by_name[name]
        for found in holders.values():
            if (found.size, found.sha256) == (entry.size, entry.sha256):
                return found
    proven = [found for found in holders.values() if found.sha256 is not None]
    if len({(found.size, found.sha256) for found in proven}) > 1 or len({one.size for one in holders.values()}) > 1:
        return None
    # While one of them was not read yet, the file counts as not read.
    return next((found for found in holders.values() if found.sha256 is None), proven[0] if proven else None)


def _model(models: list[ModelFacts], files: Mapping[str, FoundFile]) -> ModelFacts:
    """Returns what the small files and headers say, wherever they are."""
    configured = next((one for one in models if one.configuration is not None), models[0])
    indexed = next((one for one in models if one.index_present and not one.index_error), models[0])
    shards: dict[str, ShardFacts] = {}
    for model in models:
        for name, facts in model.shards.items():
            # A host without the index cannot compare; one whose copy is broken must not speak for the others.
            better = name not in shards or (shards[name].error and not facts.error) or model is indexed
            if name in files and is_shard(name) and better:
                shards[name] = facts
    return ModelFacts(
        configuration=configured.configuration,
        configuration_error=configured.configuration_error,
        index_present=indexed.index_present,
        index_error=indexed.index_error,
        index_shards=indexed.index_shards,
        shards=shards,
    )

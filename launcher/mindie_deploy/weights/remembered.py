"""Sources that need not be looked at again, and scans in the form in which tasks hand them on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from mindie_deploy.plain import plain
from mindie_deploy.weights.scan import Scan, ScanError, read_scan

# In a manifest that is kept on a host: the source and revision, as the settings named them, that it was made from.
SOURCE = "source"
# And the bytes a second that an exchange reached.
RATE = "rate"


def asked_for(source: str, revision: str) -> str:
    """Returns how a kept manifest names what the settings ask for."""
    return f"{source}@{revision}" if revision else source


def known_everywhere(results: Mapping[str, Mapping[str, Any]], scans: Mapping[str, Scan], asked: str) -> Scan | None:
    """Returns the scan of a host when all hosts have, proven, what an earlier sync brought from the same source.

    `results` are the same scans as the hosts sent them. None: the source must be looked at.
    """
    first: Scan | None = None
    for name, scan in scans.items():
        kept = results[name].get("manifest")
        manifest = scan.remembered
        if manifest is None or not isinstance(kept, Mapping) or kept.get(SOURCE) != asked:
            return None
        if first is not None and manifest != first.remembered:
            return None
        for entry in manifest.files:
            found = scan.files.get(entry.name)
            if found is None or (found.size, found.sha256) != (entry.size, entry.sha256):
                return None
        first = first or scan
    return first


def measured_rate(results: Iterable[Mapping[str, Any]]) -> int | None:
    """Returns the bytes a second that the slowest of the last exchanges reached, None where there was none."""
    kept = [result.get("manifest") for result in results]
    rates = [manifest.get(RATE) for manifest in kept if isinstance(manifest, Mapping)]
    known = [rate for rate in rates if isinstance(rate, int) and not isinstance(rate, bool) and rate > 0]
    return min(known, default=None)


def latest_scan(variables: Mapping[str, Any], keys: Iterable[str], name: str) -> Scan:
    """Returns the first scan that was registered under one of the keys, the newest first.

    `name` is whose it is, as messages name it. Raises ScanError when there is none, or when it cannot be read.
    """
    value: Mapping[str, Any] = {}
    for key in keys:
        value = plain(variables.get(key) or {})
        if "files" in value:
            return read_scan(value)
    raise ScanError(f"{name} was not looked at: {value.get('msg') or 'no scan was registered'}")


def scan_result(scan: Scan) -> dict[str, Any]:
    """Returns what read_scan reads."""
    return {
        "directory": scan.directory,
        "real_directory": scan.real_directory,
        "present": scan.present,
        "files": [{"name": one.name, "size": one.size, "sha256": one.sha256} for one in scan.files.values()],
        "unreadable": dict(scan.unreadable),
        "model": asdict(scan.model),
        "incoming": dict(scan.incoming),
        "reserved": dict(scan.reserved),
        "disk": {"path": scan.disk_path, "available_bytes": scan.available_bytes},
        "checksums": scan.checksums,
        "manifest": scan.remembered.to_dict() if scan.remembered else None,
        "manifest_path": scan.remembered_path,
    }

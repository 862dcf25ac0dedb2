"""Compares what hosts have with what they should have, and says who sends what to whom. Sizes in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mindie_deploy.errors import CheckFailedError
from mindie_deploy.weights.manifest import FileEntry, Manifest, ManifestError, parse_checksums
from mindie_deploy.weights.model import shown
from mindie_deploy.weights.scan import FoundFile, Scan


@dataclass(frozen=True)
class HostPlan:
    """What one host lacks.

    `fetch` are the names to bring, `wrong` those of them that stand there with another content, `unproven` files of
    the right size that nobody has read yet, `extra` files that the model does not have (told, and removed only when
    that is asked for). `disk_needed` is what the transfer will add on the disk: a wrong file stays until its successor
    is proven.
    """

    fetch: tuple[str, ...]
    wrong: tuple[str, ...]
    unproven: tuple[str, ...]
    extra: tuple[str, ...]
    fetch_bytes: int
    reuse_bytes: int
    disk_needed: int
    disk_available: int
    disk_path: str

    @property
    def complete(self) -> bool:
        return not self.fetch and not self.unproven

    @property
    def disk_problem(self) -> str | None:
        if self.disk_needed <= self.disk_available:
            return None
        return (
            f"the disk of {self.disk_path} has {size_text(self.disk_available)} free and the weights need "
            f"{size_text(self.disk_needed)} more"
        )


def host_plan(wanted: Iterable[FileEntry | FoundFile], scan: Scan, *, by_size: bool = False) -> HostPlan:
    """Compares one host with the wanted files.

    `by_size`: nothing was hashed for this comparison, so a file that nobody has read yet counts as unproven when its
    size is right. Otherwise a file without a sha256 is one that could not be read, and is brought again.
    """
    files = list(wanted)
    fetch: list[FileEntry | FoundFile] = []
    wrong, unproven = [], []
    for file in files:
        found = scan.files.get(file.name)
        if found is None:
            fetch.append(file)
        elif by_size and found.size == file.size and (found.sha256 is None or file.sha256 is None):
            unproven.append(file.name)
        elif (found.size, found.sha256) != (file.size, file.sha256):
            fetch.append(file)
            wrong.append(file.name)
    # A transfer goes on where it was cut off; more than the file's size cannot be a part of it.
    reuse = sum(scan.incoming.get(file.name, 0) for file in fetch if scan.incoming.get(file.name, 0) <= file.size)
    total = sum(file.size for file in fetch)
    taken = sum(min(file.size, scan.reserved.get(file.name, 0)) for file in fetch)
    return HostPlan(
        fetch=tuple(file.name for file in fetch),
        wrong=tuple(wrong),
        unproven=tuple(unproven),
        extra=tuple(sorted(set(scan.files) - {file.name for file in files})),
        fetch_bytes=total,
        reuse_bytes=reuse,
        disk_needed=total - taken,
        disk_available=scan.available_bytes,
        disk_path=scan.disk_path,
    )


def to_read(wanted: Mapping[str, FoundFile] | None, scan: Scan, *, everything: bool = False) -> tuple[str, ...]:
    """Returns the names whose sha256 must be computed on a host before the plan can be made.

    A file whose size is not the wanted one need not be read. `wanted` None: every file counts. `everything`: also the
    files whose digest is remembered (a full verification).
    """
    names = scan.files.keys() if everything else scan.unproven
    if wanted is None:
        return tuple(sorted(names))
    return tuple(sorted(n for n in names if n in wanted and wanted[n].size == scan.files[n].size))


def source_problems(scan: Scan, label: str, *, accept_changed: bool = False) -> tuple[str, ...]:
    """Compares a proven source with what is known of it: SHA256SUMS beside the files, and the manifest of earlier.

    Returns one text for each file that differs. The SHA256SUMS of another subset of the model is no problem: only
    files that both have are compared. `accept_changed`: the manifest of earlier does not count.
    """
    problems = []
    if scan.checksums is not None:
        try:
            published = parse_checksums(scan.checksums)
        except ManifestError as error:
            return (f"{label}: {error.message}",)
        for name, digest in sorted(published.items()):
            found = scan.files.get(name)
            if found is None:
                problems.append(f"{label} lacks {name}, which its SHA256SUMS names")
            elif found.sha256 is not None and found.sha256 != digest:
                problems.append(_differs(label, name, found.sha256, digest, "SHA256SUMS"))
    if scan.remembered is not None and not accept_changed:
        for entry in scan.remembered.files:
            found = scan.files.get(entry.name)
            if found is not None and found.sha256 is not None and found.sha256 != entry.sha256:
                problems.append(_differs(label, entry.name, found.sha256, entry.sha256, scan.remembered_path))
    return tuple(problems)


def _differs(label: str, name: str, found: str, known: str, where: str) -> str:
    return f"{name} at {label} is not what it was: its sha256 is {found[:16]}..., and {known[:16]}... in {where}"


def reference(hosts: Sequence[str], scans: Mapping[str, Scan], *, accept_changed: bool = False) -> Manifest:
    """Returns what all hosts should have when nothing is copied (no source): `hosts` in rank order, all proven.

    The manifest of an earlier sync counts most, then a SHA256SUMS beside the files (over the leader's sizes), then
    what the leader has. Raises CheckFailedError when no host has any weights.
    """
    present = [name for name in hosts if scans[name].present and scans[name].files]
    if not present:
        path = scans[hosts[0]].directory
        raise CheckFailedError(
            f"no host has weights at {path}",
            "copy them there, or say with mindie_weights_source where they come from",
        )
    remembered = [scans[name].remembered for name in present]
    if not accept_changed:
        for manifest in remembered:
            if manifest is not None:
                return manifest
    first = scans[present[0]]
    if first.checksums is None:
        return first.manifest()
    published = parse_checksums(first.checksums)
    return Manifest.of(
        {"name": one.name, "size": one.size, "sha256": published.get(one.name, one.sha256)}
        for one in first.files.values()
    )


def without_source_problem(plan: HostPlan, host: str, path: str) -> str | None:
    """Returns what is wrong on a host when nothing may be copied, or None when it has everything."""
    wrong = [name for name in plan.fetch if name in plan.wrong]
    missing = [name for name in plan.fetch if name not in plan.wrong]
    parts = []
    if wrong:
        parts.append(f"{len(wrong)} files differ from the manifest: {shown(wrong)}")
    if missing:
        parts.append(f"{len(missing)} files are missing: {shown(missing)}")
    return f"{host}:{path}: {'; '.join(parts)}" if parts else None


def size_text(size: int) -> str:
    """Returns a size as people read it: "1.37 TB", "8.6 GB", "512 bytes" (powers of ten, as disks are sold)."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{size} bytes" if unit == "bytes" else f"{value:.3g} {unit}"

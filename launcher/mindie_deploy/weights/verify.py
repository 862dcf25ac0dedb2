"""What the hosts have of the weights, compared with the manifest: who lacks what, what is broken where, what to do.

Nothing is copied. The facts are those of a scan: a look at sizes and remembered proofs, a sample, or a full reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mindie_deploy.errors import CheckFailedError
from mindie_deploy.weights.manifest import FileEntry, Manifest
from mindie_deploy.weights.model import judge_model, shown
from mindie_deploy.weights.plan import reference, size_text
from mindie_deploy.weights.scan import Scan
from mindie_deploy.weights.source import Source, SourceKind
from mindie_deploy.weights.verify_report import HostWeights, Mode, Severity, WeightsFinding, WeightsReport

ORDER: tuple[Severity, ...] = ("block", "warn", "info")
# How many broken files a message describes, and places of each; the report has all of them.
SHOWN_FILES = 5
SHOWN_PLACES = 4
READ = (
    "mindie-deploy sync reads only these files, and brings those that are wrong; mindie-deploy weights verify --full "
    "reads all files"
)
READ_ALL = "mindie-deploy weights verify --full reads all files; a sync leaves a manifest"


def verify(scans: Mapping[str, Scan], source: Source, mode: Mode) -> WeightsReport:
    """Compares the scans of hosts (in rank order, at least one) with the manifest. `source` is where a sync would take
    files from."""
    manifest, origin = known_manifest(scans)
    hosts = {name: _compare(scan, manifest) for name, scan in scans.items()}
    first = next(iter(scans.values()))
    way = _way(hosts, source, first.directory)
    findings = [
        finding for name, host in hosts.items() for finding in _host_findings(name, scans[name], host, manifest, way)
    ]
    findings += [finding for name, host in hosts.items() for finding in _samples(name, host, mode)]
    findings += _manifests(hosts, manifest, origin)
    for name, scan in scans.items():
        told = {*hosts[name].missing, *hosts[name].differing, *hosts[name].unreadable}
        findings += [
            WeightsFinding(one.id, one.severity, (name,), one.message, one.remedy)
            for one in (judge_model(scan) if hosts[name].present else ())
            if one.file not in told
        ]
    seeds = {scan.seed for scan in scans.values() if scan.seed}
    seed = seeds.pop() if len(seeds) == 1 else ""
    return WeightsReport(mode, first.directory, manifest, origin, hosts, _grouped(findings), seed)


def known_manifest(scans: Mapping[str, Scan]) -> tuple[Manifest | None, str]:
    """Returns what all hosts should have, and where that is from; (None, why) when nothing tells.

    As a sync does: the manifest that it left counts most, then what the first host has whose files are all proven.
    """
    for name, scan in scans.items():
        if scan.remembered is not None:
            return scan.remembered, f"which a sync left on {name}"
    reasons = []
    for name, scan in scans.items():
        if scan.broken:
            reasons.append(f"{name}: {len(scan.broken)} files are not what was proven before")
            continue
        try:
            return reference((name,), {name: scan}), f"made of what is proven on {name}"
        except CheckFailedError as error:
            reasons.append(f"{name}: {error.message}")
    return None, "; ".join(reasons)


def _compare(scan: Scan, manifest: Manifest | None) -> HostWeights:
    proven: list[str] = []
    unproven: list[str] = []
    missing: list[str] = []
    differing: list[str] = []
    for entry in manifest.files if manifest else ():
        found = scan.files.get(entry.name)
        if found is None:
            missing.append(entry.name)
        elif (found.size, found.sha256) == (entry.size, entry.sha256):
            proven.append(entry.name)
        elif found.size == entry.size and found.sha256 is None and entry.name not in scan.broken:
            unproven.append(entry.name)
        else:
            differing.append(entry.name)
    if manifest is None:
        # Nothing to compare with, but what was read was read.
        differing = sorted(scan.broken)
        proven = [name for name, one in scan.files.items() if one.sha256 is not None and name not in scan.broken]
        unproven = [name for name, one in scan.files.items() if one.sha256 is None and name not in scan.broken]
    wrong = {*unproven, *missing, *differing}
    whole = bool(scan.files) and not scan.unproven
    own = scan.remembered or (scan.manifest() if whole and not scan.unreadable else None)
    return HostWeights(
        present=scan.present and bool(scan.files),
        files=len(scan.files),
        bytes=sum(one.size for one in scan.files.values()),
        proven=tuple(proven),
        unproven=tuple(name for name in unproven if name not in scan.unreadable),
        missing=tuple(missing),
        differing=tuple(differing),
        extra=tuple(sorted(set(scan.files) - {*proven, *wrong})) if manifest else (),
        unreadable=dict(scan.unreadable),
        broken={name: places for name, places in scan.broken.items() if name in differing},
        left=dict(scan.incoming),
        digest=own.digest if own else None,
        keeps_manifest=scan.remembered is not None,
        sampled=sum(scan.sampled.values()),
        unsampled=tuple(name for name in scan.unsampled if name not in differing),
    )


def _host_findings(
    name: str, scan: Scan, host: HostWeights, manifest: Manifest | None, way: str
) -> Iterable[WeightsFinding]:
    if not host.present:
        yield WeightsFinding("weights-absent", "block", (name,), f"there are no weights at {scan.directory}", way)
        return
    if host.missing:
        total = len(host.missing) + len(host.proven) + len(host.unproven) + len(host.differing)
        what = f"{len(host.missing)} of {total} files are missing: {shown(host.missing)}"
        yield WeightsFinding("weights-missing", "block", (name,), what, way)
    if host.differing:
        wanted = manifest.by_name if manifest else {}
        several = len(host.differing) > 1
        count = (
            f"{len(host.differing)} files are not as they should be:" if several else "a file is not as it should be:"
        )
        lines = [f"  {_difference(one, scan, host, wanted.get(one))}" for one in host.differing[:SHOWN_FILES]]
        if len(host.differing) > SHOWN_FILES:
            lines.append(f"  and {len(host.differing) - SHOWN_FILES} more; --json names all of them")
        what = "\n".join([count, *lines])
        yield WeightsFinding("weights-broken", "block", (name,), what, way)
    if host.unproven:
        what = f"{len(host.unproven)} files of the right size are not proven since they were written: "
        yield WeightsFinding("weights-unproven", "block", (name,), what + shown(host.unproven), READ)
    if host.unreadable:
        reasons = shown([f"{one} ({clean(why)})" for one, why in sorted(host.unreadable.items())])
        what, remedy = f"{len(host.unreadable)} files cannot be read: {reasons}", "mend their mode, or the disk"
        yield WeightsFinding("weights-unreadable", "block", (name,), what, remedy)
    if host.extra:
        what = f"{len(host.extra)} files are no part of the model: {shown(host.extra)}"
        yield WeightsFinding("weights-extra", "info", (name,), what, "they are left alone; remove them by hand")
    if host.left:
        what = f"an unfinished transfer left {size_text(sum(host.left.values()))} of {len(host.left)} files"
        yield WeightsFinding("weights-left", "info", (name,), what, "the next mindie-deploy sync goes on with them")


def _difference(name: str, scan: Scan, host: HostWeights, wanted: FileEntry | None) -> str:
    """Returns one line about a file: where it is broken, as far as that is known."""
    found = scan.files[name]
    if wanted is not None and found.size != wanted.size:
        return f"{name}: it has {found.size} bytes instead of {wanted.size}"
    places = host.broken.get(name)
    if not places:
        is_now, should_be = (found.sha256 or "?")[:16], (wanted.sha256 if wanted else "?")[:16]
        return f"{name}: its sha256 is {is_now}... instead of {should_be}...; no remembered pieces tell where"
    texts = [f"bytes {offset} to {offset + length - 1}" for offset, length in places[:SHOWN_PLACES]]
    if len(places) > SHOWN_PLACES:
        texts.append(f"and {len(places) - SHOWN_PLACES} more")
    total = sum(length for _offset, length in places)
    return f"{name}: {', '.join(texts)} ({size_text(total)} of {size_text(found.size)})"


def _samples(name: str, host: HostWeights, mode: Mode) -> Iterable[WeightsFinding]:
    if mode != "sample" or not host.present or not host.unsampled:
        return
    what = f"of {len(host.unsampled)} of {host.files} files no pieces are remembered, so that the sample tells nothing "
    what += f"of them: {shown(host.unsampled)}"
    severity: Severity = "warn" if host.sampled else "block"
    remedy = "mindie-deploy weights verify --full reads them once and remembers their pieces"
    yield WeightsFinding("weights-unsampled", severity, (name,), what, remedy)


def _manifests(hosts: Mapping[str, HostWeights], manifest: Manifest | None, origin: str) -> Iterable[WeightsFinding]:
    if manifest is None:
        if any(host.present for host in hosts.values()):
            what = f"there is no manifest to compare with: {clean(origin)}"
            yield WeightsFinding("weights-no-manifest", "block", tuple(hosts), what, READ_ALL)
        return
    for name, host in hosts.items():
        if host.keeps_manifest and host.digest != manifest.digest:
            what = f"it keeps the manifest {str(host.digest)[:16]}..., and not {manifest.digest[:16]}..., {origin}"
            remedy = "mindie-deploy sync, without --limit, makes all hosts agree"
            yield WeightsFinding("weights-other-manifest", "warn", (name,), what, remedy)


def _way(hosts: Mapping[str, HostWeights], source: Source, directory: str) -> str:
    """Returns how files that are wrong or missing become right."""
    wrong = {name: {*host.missing, *host.differing} for name, host in hosts.items()}
    own = source.kind is SourceKind.HOST and source.path.rstrip("/") == directory
    if source.kind is not SourceKind.NOTHING and not (own and wrong.get(source.host)):
        return f"mindie-deploy sync brings only what is wrong or missing, from {source.label}"
    why = f"{source.host} is the source itself" if own else "no source is set, so that a sync copies nothing"
    lacking = sorted(
        one for one in set().union(*wrong.values()) if not any(one in host.proven for host in hosts.values())
    )
    if lacking or not any(host.present for host in hosts.values()):
        what = f"no host has {shown(lacking)} right" if lacking else "no host has the weights"
        return f"{why}, and {what}: say with mindie_weights_source where a right copy is; then mindie-deploy sync"
    return (
        f"{why}: with mindie_weights_source: hosts, mindie-deploy sync brings only what is wrong or missing, from the "
        "hosts that have it right"
    )


def _grouped(findings: Iterable[WeightsFinding]) -> tuple[WeightsFinding, ...]:
    """Returns equal findings of several hosts as one, the gravest first."""
    groups: dict[tuple[str, Severity, str, str], list[str]] = {}
    for one in findings:
        groups.setdefault((one.id, one.severity, one.message, one.remedy), []).extend(one.hosts)
    found = [
        WeightsFinding(key[0], key[1], tuple(dict.fromkeys(hosts)), key[2], key[3]) for key, hosts in groups.items()
    ]
    return tuple(sorted(found, key=lambda one: ORDER.index(one.severity)))


def clean(text: str) -> str:
    """Returns a text of a host without letters that steer terminals."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:500]

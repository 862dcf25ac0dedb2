"""The report on the weights as plain text, and the manifest as `sha256sum` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mindie_deploy.weights.manifest import Manifest
from mindie_deploy.weights.plan import size_text
from mindie_deploy.weights.verify_report import HostWeights, Mode, WeightsReport

WORDS = {"block": "WRONG", "warn": "WARN", "info": "INFO"}
HEADING = ("host", "files", "size", "proven", "unproven", "missing", "differing", "extra", "left", "manifest")
DIGEST_LETTERS = 12
DONE: dict[Mode, str] = {
    "stat": "by size and remembered proofs",
    "sample": "and some pieces of each were read",
    "full": "and read whole",
}


def status_text(report: WeightsReport) -> str:
    """Returns what stands where, without judging it."""
    lines = [_head(report), "", *_table(report)]
    if report.manifest is not None:
        words = "all hosts agree" if report.agree else "not all hosts have it, proven"
        lines += ["", f"signature of the manifest: {report.manifest.digest} ({words})"]
    return "\n".join(lines) + "\n"


def verify_text(report: WeightsReport) -> str:
    """Returns what stands where, what is wrong, and what to do about it."""
    lines = [_head(report), "", *_table(report)]
    for finding in report.findings:
        first, *more = finding.message.split("\n")
        lines += ["", f"{WORDS[finding.severity]}  {', '.join(finding.hosts)}: {first}  [{finding.id}]"]
        lines += [f"      {line}" for line in more]
        lines.append(f"      next: {finding.remedy}")
    lines += ["", verdict(report)]
    return "\n".join(lines) + "\n"


def sums_text(manifest: Manifest) -> str:
    """Returns the manifest in the form of `sha256sum`, for `sha256sum --check` in the directory."""
    return "".join(f"{entry.sha256}  {entry.name}\n" for entry in manifest.files)


def manifest_text(report: WeightsReport, manifest: Manifest) -> str:
    """Returns the manifest of a report for people."""
    width = max((len(str(entry.size)) for entry in manifest.files), default=0)
    lines = [f"{entry.sha256}  {entry.size:>{width}}  {entry.name}" for entry in manifest.files]
    lines += ["", f"{len(manifest.files)} files, {manifest.total_bytes} bytes ({size_text(manifest.total_bytes)})"]
    lines.append(f"signature: {manifest.digest}, {report.origin}")
    return "\n".join(lines) + "\n"


def _head(report: WeightsReport) -> str:
    if report.manifest is None:
        return f"Weights at {report.directory}: no manifest is known"
    count, size = len(report.manifest.files), size_text(report.manifest.total_bytes)
    signature = _short(report.manifest.digest)
    return f"Weights at {report.directory}: {count} files, {size}; manifest {signature}, {report.origin}"


def verdict(report: WeightsReport) -> str:
    """Returns the last line: whether the weights are right."""
    if not report.blocking:
        seed = f" (seed {report.seed})" if report.seed else ""
        return f"OK: all {len(report.hosts)} hosts have the weights, proven {DONE[report.mode]}{seed}"
    hosts = list(dict.fromkeys(host for finding in report.blocking for host in finding.hosts))
    return f"WRONG: the weights on {', '.join(hosts)} are not proven to be right"


def _table(report: WeightsReport) -> Iterator[str]:
    rows: list[Sequence[str]] = [HEADING]
    rows += [_row(name, host) for name, host in report.hosts.items()]
    # What is nowhere needs no column.
    columns = [
        at for at in range(len(HEADING)) if at < 4 or at == len(HEADING) - 1 or any(r[at] != "0" for r in rows[1:])
    ]
    widths = [max(len(row[at]) for row in rows) for at in columns]
    for row in rows:
        cells = [row[at].ljust(width) for at, width in zip(columns, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def _row(name: str, host: HostWeights) -> tuple[str, ...]:
    if not host.present:
        left = size_text(sum(host.left.values())) if host.left else "0"
        return (name, "none", "", "0", "0", str(len(host.missing)), "0", "0", left, _short(host.digest))
    counts = (host.proven, host.unproven, host.missing, host.differing, host.extra)
    left = size_text(sum(host.left.values())) if host.left else "0"
    numbers = [str(len(names)) for names in counts]
    return (name, str(host.files), size_text(host.bytes), *numbers, left, _short(host.digest))


def _short(digest: str | None) -> str:
    return digest[:DIGEST_LETTERS] if digest else "-"

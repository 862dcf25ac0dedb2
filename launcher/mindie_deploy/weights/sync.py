"""What a sync does next, from what the scans of the source and of all hosts say. Two decisions: what must be read
before anything can be compared (survey), and who brings what to whom (decide).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mindie_deploy.errors import CheckFailedError
from mindie_deploy.weights.manifest import FileEntry, Manifest
from mindie_deploy.weights.model import ModelProblem, blocking, judge_model, shown
from mindie_deploy.weights.names import is_shard
from mindie_deploy.weights.plan import (
    HostPlan,
    host_plan,
    reference,
    size_text,
    source_problems,
    to_read,
    without_source_problem,
)
from mindie_deploy.weights.scan import FoundFile, Scan
from mindie_deploy.weights.source import Source, SourceKind


class WeightsError(CheckFailedError):
    """The weights, or the place for them, are not fit; nothing was copied."""


@dataclass(frozen=True)
class Situation:
    """All that is known: the scans by host in rank order, and the source's (None when nothing is copied).

    `accept_changed`: a source that differs from the manifest of earlier is meant to.
    """

    source: Source
    source_scan: Scan | None
    scans: Mapping[str, Scan]
    accept_changed: bool = False

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(self.scans)

    @property
    def source_apart(self) -> bool:
        """Whether the source is a directory of its own, not one host's place of the model."""
        return self.source.kind.is_directory and all(scan is not self.source_scan for scan in self.scans.values())


@dataclass(frozen=True)
class Survey:
    """Names to read (sha256) on the source and on each host before the plan can be made, and what to warn of.

    A source that is one host's place of the model is read as that host's.
    """

    source: tuple[str, ...]
    hosts: Mapping[str, tuple[str, ...]]
    warnings: tuple[ModelProblem, ...]

    @property
    def nothing_to_read(self) -> bool:
        return not self.source and not any(self.hosts.values())


@dataclass(frozen=True)
class Decision:
    """What one host needs. `manifest` is None while a file of the source was not read (check mode only).

    `note`: the host has everything and does not keep this manifest yet. `note_source`: the source does not (the same
    on every host).
    """

    manifest: Manifest | None
    plan: HostPlan
    files: int
    total_bytes: int
    note: bool
    note_source: bool

    def summary(self) -> str:
        """Returns one line for people."""
        others = [f"{len(self.plan.extra)} other files: {shown(self.plan.extra)}"] if self.plan.extra else []
        if self.plan.complete:
            return "; ".join([f"all {self.files} files ({size_text(self.total_bytes)}) are there and proven", *others])
        parts = []
        if self.plan.fetch:
            moved = size_text(self.plan.fetch_bytes - self.plan.reuse_bytes)
            parts.append(f"{len(self.plan.fetch)} of {self.files} files to bring ({moved})")
        if self.plan.wrong:
            parts.append(f"{len(self.plan.wrong)} of them differ: {shown(self.plan.wrong)}")
        if self.plan.reuse_bytes:
            parts.append(f"{size_text(self.plan.reuse_bytes)} are left from an earlier run")
        if self.plan.unproven:
            parts.append(f"{len(self.plan.unproven)} files to read")
        return "; ".join(parts + others)


def survey(situation: Situation, *, everything: bool = False) -> Survey:
    """Judges the model where it comes from, and says what to read. Raises WeightsError before a byte moves.

    `everything`: read all files again, whatever is remembered of them.
    """
    source = situation.source_scan
    if source is not None:
        warnings = _judge_source(situation.source, source)
        hosts = {
            name: to_read(None if scan is source else source.files, scan, everything=everything)
            for name, scan in situation.scans.items()
        }
        names = to_read(None, source, everything=everything) if situation.source_apart else ()
        return Survey(names, hosts, warnings)
    texts = []
    warned: dict[tuple[str, str], ModelProblem] = {}
    for name, scan in situation.scans.items():
        if not scan.present or not scan.files:
            continue  # told by decide(), with what the others have
        problems = judge_model(scan)
        texts += [_problem_text(problem, f"{name}:{scan.directory}") for problem in blocking(problems)]
        warned.update({(problem.id, problem.file): problem for problem in problems if problem.severity == "warn"})
    if texts:
        raise WeightsError("\n".join(texts))
    return Survey(
        source=(),
        hosts={name: to_read(None, scan, everything=everything) for name, scan in situation.scans.items()},
        warnings=tuple(warned.values()),
    )


def decide(situation: Situation, *, nothing_read: bool = False) -> dict[str, Decision]:
    """Returns what every host needs. Raises WeightsError when that cannot or may not be done.

    `nothing_read`: check mode, where no file is hashed; files that nobody has read yet are compared by size.
    """
    source, scans = situation.source, situation.scans
    wanted: Sequence[FileEntry | FoundFile]
    manifest: Manifest | None
    if situation.source_scan is None:
        manifest = (
            None
            if nothing_read and _unread(scans)
            else reference(situation.hosts, scans, accept_changed=situation.accept_changed)
        )
        wanted = manifest.files if manifest is not None else tuple(scans[situation.hosts[0]].files.values())
        if not wanted:
            reference(situation.hosts, scans)  # raises: no host has weights
    else:
        _refuse_changed_source(situation)
        manifest = None if situation.source_scan.unproven else situation.source_scan.manifest()
        if manifest is None and not nothing_read:
            unread = situation.source_scan.unproven
            raise WeightsError(f"{source.label}: {len(unread)} files could not be read, such as {unread[0]}")
        wanted = manifest.files if manifest is not None else tuple(situation.source_scan.files.values())
    plans = {name: host_plan(wanted, scan, by_size=nothing_read) for name, scan in scans.items()}
    if source.kind is SourceKind.NOTHING:
        _refuse_differences(plans, scans)
    else:
        _refuse_small_disks(plans)
    return {
        name: Decision(
            manifest=manifest,
            plan=plans[name],
            files=len(wanted),
            total_bytes=sum(file.size for file in wanted),
            note=manifest is not None and plans[name].complete and scan.remembered != manifest,
            note_source=manifest is not None and situation.source_apart and _keeps_other(situation, manifest),
        )
        for name, scan in scans.items()
    }


def _judge_source(source: Source, scan: Scan) -> tuple[ModelProblem, ...]:
    if not scan.present:
        raise WeightsError(f"the source {source.label} does not exist", "correct mindie_weights_source")
    problems = judge_model(scan)
    grave = blocking(problems)
    if grave:
        raise WeightsError("\n".join(_problem_text(problem, source.label) for problem in grave), "nothing was copied")
    return problems


def _problem_text(problem: ModelProblem, where: str) -> str:
    return f"[{problem.id}] {where}: {problem.message}\n  remedy: {problem.remedy}"


def _keeps_other(situation: Situation, manifest: Manifest) -> bool:
    return situation.source_scan is not None and situation.source_scan.remembered != manifest


def _unread(scans: Mapping[str, Scan]) -> bool:
    return any(scan.unproven for scan in scans.values())


def _refuse_changed_source(situation: Situation) -> None:
    assert situation.source_scan is not None
    scan = situation.source_scan
    problems = source_problems(scan, situation.source.label, accept_changed=situation.accept_changed)
    if not problems:
        return
    kind = "shard" if any(is_shard(problem.split(" ", 1)[0]) for problem in problems) else "file"
    raise WeightsError(
        f"the source has a changed {kind}; nothing was copied:\n" + "\n".join(problems),
        "copy the file again from where the weights came from; if the change is meant, mend SHA256SUMS if there is "
        "one, and run once more with -e weights_accept_changed_source=true",
    )


def _refuse_differences(plans: Mapping[str, HostPlan], scans: Mapping[str, Scan]) -> None:
    texts = [without_source_problem(plan, name, scans[name].directory) for name, plan in plans.items()]
    problems = [text for text in texts if text]
    if problems:
        raise WeightsError(
            "the weights on the hosts are not the same or not whole:\n" + "\n".join(problems),
            "say with mindie_weights_source which copy is right (host:NAME:/path), and sync",
        )


def _refuse_small_disks(plans: Mapping[str, HostPlan]) -> None:
    problems = [f"{name}: {plan.disk_problem}" for name, plan in plans.items() if plan.disk_problem]
    if problems:
        raise WeightsError(
            "\n".join(problems) + "\nnothing was copied", "free space there, or choose another model_path"
        )

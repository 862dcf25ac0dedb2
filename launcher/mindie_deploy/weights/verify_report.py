"""The report on what the hosts have of the weights, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mindie_deploy.weights.manifest import Manifest

Mode = Literal["stat", "sample", "full"]
Severity = Literal["block", "warn", "info"]
NAMES = ("proven", "unproven", "missing", "differing", "extra", "unsampled")


@dataclass(frozen=True)
class HostWeights:
    """What one host has. Files are `proven` (the manifest's sha256 is remembered of them), `unproven` (the right size,
    and nobody has read them since they were touched), `differing`, `missing` or `extra`; without a manifest all that
    stand there are proven, unproven or extra by themselves.

    `broken` tells where differing files differ, as far as that is known. `left` are the bytes that an unfinished
    transfer left, by file. `digest` is that of the manifest which the host keeps, or of what it has if it keeps none
    and all of it is proven. `sampled` counts pieces.
    """

    present: bool
    files: int
    bytes: int
    proven: tuple[str, ...]
    unproven: tuple[str, ...]
    missing: tuple[str, ...]
    differing: tuple[str, ...]
    extra: tuple[str, ...]
    unreadable: Mapping[str, str]
    broken: Mapping[str, tuple[tuple[int, int], ...]]
    left: Mapping[str, int]
    digest: str | None
    keeps_manifest: bool
    sampled: int
    unsampled: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether everything is there and proven."""
        return self.present and not (self.unproven or self.missing or self.differing or self.unreadable)

    def to_dict(self) -> dict[str, object]:
        """Returns the JSON form."""
        return {
            "present": self.present,
            "right": self.right,
            "files": self.files,
            "bytes": self.bytes,
            **{key: list(getattr(self, key)) for key in NAMES},
            "unreadable": dict(self.unreadable),
            "broken": {name: [list(place) for place in places] for name, places in self.broken.items()},
            "left": dict(self.left),
            "digest": self.digest,
            "keeps_manifest": self.keeps_manifest,
            "sampled": self.sampled,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> HostWeights:
        """Reads to_dict's form. Raises KeyError, TypeError, ValueError."""
        told = {key: item for key, item in value.items() if key != "right"}
        told |= {key: tuple(_sequence(told[key])) for key in NAMES}
        places = _mapping(told["broken"])
        told["broken"] = {
            name: tuple(tuple(_sequence(place)) for place in _sequence(rows)) for name, rows in places.items()
        }
        return cls(**told)  # type: ignore[arg-type]


@dataclass(frozen=True)
class WeightsFinding:
    """One thing that is wrong or worth knowing, on these hosts. `block`: the weights are not what they should be."""

    id: str
    severity: Severity
    hosts: tuple[str, ...]
    message: str
    remedy: str

    def to_dict(self) -> dict[str, object]:
        """Returns the JSON form."""
        return {
            "id": self.id,
            "severity": self.severity,
            "hosts": list(self.hosts),
            "message": self.message,
            "remedy": self.remedy,
        }


@dataclass(frozen=True)
class WeightsReport:
    """The hosts in rank order. `manifest` is what all of them should have (None when that is not known), `origin` tells
    where it is from, or why there is none. `seed` repeats the sample of all hosts."""

    mode: Mode
    directory: str
    manifest: Manifest | None
    origin: str
    hosts: Mapping[str, HostWeights]
    findings: tuple[WeightsFinding, ...]
    seed: str = ""

    @property
    def blocking(self) -> tuple[WeightsFinding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == "block")

    @property
    def agree(self) -> bool:
        """Whether all hosts have the manifest's files, proven, and keep no other manifest."""
        digest = self.manifest.digest if self.manifest else None
        return all(host.right and host.digest in (digest, None) for host in self.hosts.values()) and digest is not None

    def to_dict(self) -> dict[str, object]:
        """Returns the JSON form."""
        return {
            "mode": self.mode,
            "directory": self.directory,
            "agree": self.agree,
            "manifest": self.manifest.to_dict() if self.manifest else None,
            "origin": self.origin,
            "seed": self.seed or None,
            "hosts": {name: host.to_dict() for name, host in self.hosts.items()},
            "findings": [finding.to_dict() for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> WeightsReport:
        """Reads to_dict's form. Raises KeyError, TypeError, ValueError, ManifestError."""
        findings = []
        for row in map(_mapping, _sequence(value["findings"])):
            hosts = tuple(str(one) for one in _sequence(row["hosts"]))
            findings.append(WeightsFinding(**{**row, "hosts": hosts}))  # type: ignore[arg-type]
        return cls(
            mode=value["mode"],  # type: ignore[arg-type]
            directory=str(value["directory"]),
            manifest=None if value["manifest"] is None else Manifest.from_dict(value["manifest"]),
            origin=str(value["origin"]),
            hosts={name: HostWeights.from_dict(_mapping(row)) for name, row in _mapping(value["hosts"]).items()},
            findings=tuple(findings),
            seed=str(value["seed"] or ""),
        )


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{str(value)[:100]!r} is no mapping")
    return value


def _sequence(value: object) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{str(value)[:100]!r} is no list")
    return value

"""What checks say (problems), and what an operator reads (findings: one cause over many places is one finding)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["block", "warn", "info"]
Kind = Literal["fail", "unknown"]
Verdict = Literal["ok", "warn", "block"]
UnreachableKind = Literal["no-connection", "authentication", "host-key", "other"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # gravest first
KINDS: tuple[Kind, ...] = get_args(Kind)
CLUSTER = "cluster"  # the place of a problem that belongs to no host, such as a wrong setting


@dataclass(frozen=True)
class Unreachable:
    """A host that gave no facts, and why in ssh's or Ansible's words."""

    reason: str
    kind: UnreachableKind = "other"


@dataclass(frozen=True)
class Problem:
    """One statement of one check about one host, or about one NPU of it.

    `npu` is the device index, None when the whole host is meant. `says` is the value that matters, `command` what it
    was read with (None: the check's own). The kind "unknown" means that the evidence is missing: nothing is said about
    the hardware. `severity`, `title` and `remedy` replace the check's own where one check knows several cases.
    """

    host: str
    says: str
    npu: int | None = None
    kind: Kind = "fail"
    severity: Severity | None = None
    title: str | None = None
    remedy: str | None = None
    command: str | None = None


@dataclass(frozen=True)
class Evidence:
    """What was seen at some places: the command, the value that matters, and where ({host: NPUs}; () = the host)."""

    command: str
    says: str
    places: Mapping[str, tuple[int, ...]]

    def to_dict(self) -> dict[str, object]:
        return {"command": self.command, "says": self.says, "where": places_to_dict(self.places)}

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Evidence:
        return cls(str(value["command"]), str(value["says"]), places_from_dict(value["where"]))


@dataclass(frozen=True)
class Finding:
    """One cause, at all places where it was seen.

    `hosts` are in rank order. `devices` holds the NPUs of each host that has any; a host without an entry is meant as
    a whole. `lowered` is true when mindie_checks_warn made a warning of a block. `caused_by` is the id of the check
    whose finding at the same places explains this one: only hidden findings have it. `hides` lists the checks whose
    findings this one explains.
    """

    check_id: str
    kind: Kind
    severity: Severity
    title: str
    hosts: tuple[str, ...]
    devices: Mapping[str, tuple[int, ...]]
    evidence: tuple[Evidence, ...]
    remedy: str
    lowered: bool = False
    caused_by: str | None = None
    hides: tuple[str, ...] = ()

    @property
    def places(self) -> dict[str, tuple[int, ...]]:
        """Every host with its NPUs; () where the host as a whole is meant."""
        return {host: tuple(self.devices.get(host, ())) for host in self.hosts}

    @property
    def where(self) -> str:
        """The places in words: "host3: NPU 5; host4: NPU 0-7"."""
        return places_text(self.places)

    @property
    def statement(self) -> str:
        """What the finding says, in words that do not claim what is not known."""
        return f"could not tell whether {self.title}" if self.kind == "unknown" else self.title

    def to_dict(self) -> dict[str, object]:
        """Returns the JSON form; docs/check-report.md describes it."""
        return {
            "check_id": self.check_id,
            "kind": self.kind,
            "severity": self.severity,
            "title": self.title,
            "statement": self.statement,
            "where": self.where,
            "hosts": list(self.hosts),
            "devices": {host: list(npus) for host, npus in self.devices.items()},
            "evidence": [evidence.to_dict() for evidence in self.evidence],
            "remedy": self.remedy,
            "lowered": self.lowered,
            "caused_by": self.caused_by,
            "hides": list(self.hides),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Finding:
        """Reads to_dict's form. Raises KeyError, TypeError or ValueError for anything else."""
        severity, kind = value["severity"], value["kind"]
        if severity not in SEVERITIES or kind not in KINDS:
            raise ValueError(f"not a finding: severity {severity!r}, kind {kind!r}")
        return cls(
            check_id=str(value["check_id"]),
            kind=kind,
            severity=severity,
            title=str(value["title"]),
            hosts=tuple(str(host) for host in as_list(value["hosts"])),
            devices=places_from_dict(value["devices"]),
            evidence=tuple(Evidence.from_dict(as_mapping(item)) for item in as_list(value["evidence"])),
            remedy=str(value["remedy"]),
            lowered=bool(value["lowered"]),
            caused_by=None if value["caused_by"] is None else str(value["caused_by"]),
            hides=tuple(str(item) for item in as_list(value["hides"])),
        )


def places_text(places: Mapping[str, Sequence[int]]) -> str:
    """Returns places in words: "host1, host2; host3: NPU 5; host4: NPU 0-3, 6". Hosts with the same NPUs share."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for host, npus in places.items():
        groups.setdefault(tuple(npus), []).append(host)
    return "; ".join(
        f"{', '.join(hosts)}: NPU {numbers_text(npus)}" if npus else ", ".join(hosts) for npus, hosts in groups.items()
    )


def numbers_text(numbers: Sequence[int]) -> str:
    """Returns numbers with ranges: "0-3, 6"."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def places_to_dict(places: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    return {host: list(npus) for host, npus in places.items()}


def places_from_dict(value: object) -> dict[str, tuple[int, ...]]:
    return {str(host): tuple(int(str(npu)) for npu in as_list(npus)) for host, npus in as_mapping(value).items()}


def as_mapping(value: object) -> Mapping[str, object]:
    """Returns value if it is a mapping; raises TypeError otherwise."""
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a mapping, got {str(value)[:100]!r}")
    return value


def as_list(value: object) -> list[object]:
    """Returns value as a list if it is a list or tuple; raises TypeError otherwise."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"expected a list, got {str(value)[:100]!r}")
    return list(value)

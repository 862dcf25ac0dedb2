"""The report of one judgement: verdict, table, findings. docs/check-report.md describes its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict, get_args

from mindie_deploy.preflight.finding import Finding, Verdict, as_list, as_mapping
from mindie_deploy.preflight.ping_grid import grid_lines
from mindie_deploy.preflight.ping_matrix import Pair
from mindie_deploy.preflight.table import COLUMNS, HostRow, drifting
from mindie_deploy.preflight.text import finding_lines, table_lines, wrapped

FORMAT = 1
VERDICT_WORDS = {
    "ok": "OK, nothing stands in the way",
    "warn": "OK with warnings",
    "block": "BLOCK, a launch would fail or is not proven to work",
}
MOST_HOSTS = 8  # that are named for one value
PROSE_WIDTH = 100  # wider lines are hard to read; tables may be wider
COUNTED = {"block": "blocking", "warn": "warning", "info": "informing"}


class Table(TypedDict):
    """Headings, and one list of texts a host."""

    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Report:
    """What a check found.

    `findings` are those to act on, of both kinds; `hidden` are consequences of them, each with `caused_by`. `skipped`
    and `lowered` are the ids that mindie_checks_skip and mindie_checks_warn name. `versions` is {subject: {host:
    value}}. `checks` is the number of checks that there are, `pings` who reached whom, `topology` how
    the NPUs of each host are linked: {host: {"0-1": "HCCS"}}. `left_out` are the deployment's hosts that were
    not asked. `asked_at` (UTC) and `version` tell when the hosts were asked, and by which mindie-deploy.
    """

    deployment: str
    verdict: Verdict
    hosts: Mapping[str, HostRow]
    findings: tuple[Finding, ...]
    hidden: tuple[Finding, ...]
    skipped: tuple[str, ...]
    lowered: tuple[str, ...]
    versions: Mapping[str, Mapping[str, str]]
    checks: int
    pings: tuple[Pair, ...] = ()
    topology: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    asked_at: str = ""
    version: str = ""

    @property
    def unknown(self) -> tuple[Finding, ...]:
        """The findings of missing evidence: nothing is said about the hardware there."""
        return tuple(finding for finding in self.findings if finding.kind == "unknown")

    def count(self, severity: str) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    def table(self) -> Table:
        """Returns {"columns": headings, "rows": one list of texts a host}; a marked cell ends with " !"."""
        columns = ["host", *(heading for heading, _ in COLUMNS.values()), "verdict"]
        rows: list[list[str]] = []
        for name, row in self.hosts.items():
            cells = [row.cells[column] + (" !" if column in row.marked else "") for column in COLUMNS]
            rows.append([name, *cells, row.verdict])
        return {"columns": columns, "rows": rows}

    def drift(self) -> list[list[str]]:
        """Returns the subjects that differ between hosts as rows below a heading: subject, value, hosts.

        The value of most hosts comes first; an odd one ends with " !". An empty list where nothing differs.
        """
        rows = []
        for subject, odd in drifting(self.versions).items():
            groups: dict[str, list[str]] = {}
            for host in sorted(self.hosts, key=lambda host: odd.get(host, False)):
                groups.setdefault(self.versions[subject].get(host, "?"), []).append(host)
            for place, (value, hosts) in enumerate(groups.items()):
                named = hosts if len(hosts) <= MOST_HOSTS else [*hosts[: MOST_HOSTS - 1], f"... ({len(hosts)} hosts)"]
                mark = " !" if odd.get(hosts[0]) else ""
                rows.append([subject if place == 0 else "", f"{value}{mark}", ", ".join(named)])
        return [["", "value", "hosts"], *rows] if rows else []

    def to_text(self, width: int = 120) -> str:
        """Returns the report for a terminal of `width` columns without colour."""
        count, prose = len(self.hosts), min(width, PROSE_WIDTH)
        found = ", ".join(f"{self.count(severity)} {words}" for severity, words in COUNTED.items())
        table = self.table()
        lines = [
            *wrapped(f"Check of {self.deployment}: {VERDICT_WORDS[self.verdict]}", prose),
            f"{count} host{'' if count == 1 else 's'}, {self.checks} checks; findings: {found}",
            "",
            *table_lines([table["columns"], *table["rows"]], width),
        ]
        drift = self.drift()
        if drift:
            lines += ["", "What differs between the hosts:", *(f"  {line}" for line in table_lines(drift, width - 2))]
        for finding in self.findings:
            lines += ["", *finding_lines(finding, prose)]
        grid = list(grid_lines(self.pings))
        if grid:
            lines += ["", "Pings between NPUs (rows: from, columns: to; a share: packets lost):", *grid]
        lines.append("")
        if self.left_out:
            lines += wrapped(f"Not asked, because of --limit: {', '.join(self.left_out)}", prose)
        if self.skipped:
            lines += wrapped(f"Skipped by mindie_checks_skip: {', '.join(self.skipped)}", prose)
        if self.lowered:
            lines += wrapped(f"Lowered by mindie_checks_warn: {', '.join(self.lowered)}", prose)
        if self.findings:
            lines.append("More about a finding: mindie-deploy explain ID")
        return "\n".join(lines).rstrip() + "\n"

    def to_dict(self) -> dict[str, object]:
        """Returns the JSON form."""
        return {
            "format": FORMAT,
            "deployment": self.deployment,
            "verdict": self.verdict,
            "counts": {severity: self.count(severity) for severity in ("block", "warn", "info")},
            "hosts": {name: row.to_dict() for name, row in self.hosts.items()},
            "table": {**self.table()},
            "findings": [finding.to_dict() for finding in self.findings],
            "hidden": [finding.to_dict() for finding in self.hidden],
            "unknown": [
                {"check_id": one.check_id, "severity": one.severity, "where": one.where} for one in self.unknown
            ],
            "skipped": list(self.skipped),
            "lowered": list(self.lowered),
            "left_out": list(self.left_out),
            "asked_at": self.asked_at,
            "version": self.version,
            "versions": {subject: dict(values) for subject, values in self.versions.items()},
            "checks": self.checks,
            "pings": [pair.to_dict() for pair in self.pings],
            "topology": {host: dict(links) for host, links in self.topology.items()},
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Report:
        """Reads to_dict's form. Raises KeyError, TypeError or ValueError for anything else."""
        if value["format"] != FORMAT:
            raise ValueError(f"the report's format is {value['format']!r}; this version reads {FORMAT}")
        return cls(
            deployment=str(value["deployment"]),
            verdict=_verdict(value["verdict"]),
            hosts={name: _row(as_mapping(row)) for name, row in as_mapping(value["hosts"]).items()},
            findings=tuple(Finding.from_dict(as_mapping(one)) for one in as_list(value["findings"])),
            hidden=tuple(Finding.from_dict(as_mapping(one)) for one in as_list(value["hidden"])),
            skipped=tuple(str(one) for one in as_list(value["skipped"])),
            lowered=tuple(str(one) for one in as_list(value["lowered"])),
            asked_at=str(value.get("asked_at", "")),
            version=str(value.get("version", "")),
            left_out=tuple(str(one) for one in as_list(value.get("left_out", []))),
            versions={
                subject: {host: str(text) for host, text in as_mapping(values).items()}
                for subject, values in as_mapping(value["versions"]).items()
            },
            checks=int(str(value["checks"])),
            pings=tuple(Pair.from_dict(as_mapping(one)) for one in as_list(value.get("pings", []))),
            topology={
                host: {pair: str(word) for pair, word in as_mapping(links).items()}
                for host, links in as_mapping(value.get("topology", {})).items()
            },
        )


def _row(value: Mapping[str, object]) -> HostRow:
    return HostRow(
        cells={column: str(value[column]) for column in COLUMNS},
        marked=tuple(str(column) for column in as_list(value["marked"])),
        verdict=_verdict(value["verdict"]),
        findings=tuple(str(one) for one in as_list(value["findings"])),
    )


def _verdict(value: object) -> Verdict:
    for verdict in get_args(Verdict):
        if value == verdict:
            found: Verdict = verdict
            return found
    raise ValueError(f"not a verdict: {value!r}")

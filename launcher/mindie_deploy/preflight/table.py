"""The table of the report: one row a host, and the versions that should be the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mindie_deploy.hosts.facts import (
    NOT_COLLECTED,
    ClockFacts,
    DiskFacts,
    HostFacts,
    ImageFacts,
    Reading,
    Unknown,
    VersionFile,
)
from mindie_deploy.preflight.context import Context, hccn_readings, npus_of
from mindie_deploy.preflight.finding import Finding, Unreachable, Verdict
from mindie_deploy.preflight.majority import split
from mindie_deploy.preflight.sizes import size_text

NOT_KNOWN = "?"
NONE = "-"
DIGEST_LETTERS = 12

# Column of the table: heading, and the checks whose findings mark its cell.
COLUMNS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "reachable": ("up", ("host.unreachable", "host.authentication", "host.key-changed", "host.collection")),
    "npus": ("NPUs", ("npu.tool-present", "npu.tool-responds", "npu.count", "npu.vnpu-off", "npu.health")),
    "chip": ("chip", ("npu.chip-uniform", "npu.hbm-total")),
    "driver": ("driver", ("driver.version", "driver.uniform", "driver.files-match", "firmware.compat")),
    "firmware": ("firmware", ("firmware.version", "firmware.compat")),
    "links": ("links", ("hccn.tool-present", "hccn.tool-responds", "hccn.link-up")),
    "tls": ("TLS", ("hccn.tls-uniform", "hccn.tls-off")),
    "image": ("image", ("docker.running", "docker.image", "docker.image-same", "docker.image-arch")),
    "disk": ("free", ("weights.disk",)),
    "clock": ("clock", ("os.time-skew",)),
}


@dataclass(frozen=True)
class HostRow:
    """One host in the table. `marked` names the columns that a finding is about; the verdict is the host's own."""

    cells: Mapping[str, str]
    marked: tuple[str, ...]
    verdict: Verdict
    findings: tuple[str, ...]  # ids of the checks that found something on the host

    def to_dict(self) -> dict[str, object]:
        return {
            **self.cells,
            "marked": list(self.marked),
            "verdict": self.verdict,
            "findings": list(self.findings),
        }


def rows_of(
    facts: Mapping[str, HostFacts | Unreachable], findings: Sequence[Finding], context: Context
) -> dict[str, HostRow]:
    """Returns a row for every host, in the order of `facts`."""
    rows = {}
    for name, host in facts.items():
        mine = [finding for finding in findings if name in finding.hosts]
        ids = tuple(dict.fromkeys(finding.check_id for finding in mine))
        above_info = {finding.check_id for finding in mine if finding.severity != "info"}
        severities = {finding.severity for finding in mine}
        rows[name] = HostRow(
            cells=_cells(host, context),
            marked=tuple(column for column, (_, checks) in COLUMNS.items() if above_info & set(checks)),
            verdict="block" if "block" in severities else "warn" if "warn" in severities else "ok",
            findings=ids,
        )
    return rows


def versions_of(facts: Mapping[str, HostFacts | Unreachable]) -> dict[str, dict[str, str]]:
    """Returns what should be the same everywhere: {subject: {host: value}}; "?" where it is not known."""
    subjects: dict[str, Callable[[HostFacts], str]] = {
        "driver": lambda host: _version(host.driver),
        "firmware": _firmware,
        "npu-smi": lambda host: NOT_KNOWN if isinstance(host.overview, Unknown) else host.overview.tool_version,
        "image": lambda host: _image_id(host).removeprefix("sha256:")[:DIGEST_LETTERS],
        "engine": lambda host: NOT_KNOWN if isinstance(host.engine, Unknown) else host.engine.version,
        "kernel": lambda host: NOT_KNOWN if isinstance(host.system, Unknown) else host.system.kernel,
        "page size": lambda host: NOT_KNOWN if isinstance(host.system, Unknown) else _page_size(host.system.page_size),
        "architecture": lambda host: NOT_KNOWN if isinstance(host.system, Unknown) else host.system.architecture,
        "MTU": lambda host: _of_npus(host, "mtu"),
        "TLS": lambda host: _of_npus(host, "tls", {True: "on", False: "off", None: "off"}),
        "system": lambda host: NOT_KNOWN if isinstance(host.system, Unknown) else host.system.os_name or NOT_KNOWN,
    }
    return {
        subject: {name: NOT_KNOWN if isinstance(host, Unreachable) else read(host) for name, host in facts.items()}
        for subject, read in subjects.items()
    }


def topology_of(facts: Mapping[str, HostFacts | Unreachable]) -> dict[str, dict[str, str]]:
    """Returns how the NPUs of each host are linked: the word of every pair, the smaller index first ("0-1": "HCCS")."""
    return {
        name: {f"{one}-{other}": word for (one, other), word in sorted(host.topology.items()) if one < other}
        for name, host in facts.items()
        if isinstance(host, HostFacts) and not isinstance(host.topology, Unknown)
    }


def drifting(versions: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, bool]]:
    """Returns the subjects that differ between hosts: {subject: {host: whether it is the odd one out}}.

    What is not known is no difference. In a tie all are odd.
    """
    found = {}
    for subject, values in versions.items():
        known = split({host: value for host, value in values.items() if value != NOT_KNOWN})
        if known.odd:
            found[subject] = {host: host in known.odd for host in values}
    return found


def _cells(host: HostFacts | Unreachable, context: Context) -> dict[str, str]:
    if isinstance(host, Unreachable):
        return {column: "no" if column == "reachable" else NONE for column in COLUMNS}
    image = _image_id(host)
    return {
        "reachable": "yes",
        "npus": _healthy(host, context),
        "chip": _chips(host),
        "driver": _version(host.driver),
        "firmware": _firmware(host),
        "links": _links(host, context),
        "tls": _tls(host, context),
        "image": image.removeprefix("sha256:")[:DIGEST_LETTERS],
        "disk": _disk(host.disks.get(context.settings.model_path, NOT_COLLECTED)),
        "clock": _clock(host.clock),
    }


def _healthy(host: HostFacts, context: Context) -> str:
    if isinstance(host.overview, Unknown):
        return f"{NOT_KNOWN}/{len(context.npus)}"
    healthy = {index for index, npu in npus_of(host) if npu.health.strip().lower() == "ok" and index in context.npus}
    return f"{len(healthy)}/{len(context.npus)}"


def _chips(host: HostFacts) -> str:
    names = sorted({npu.name for _, npu in npus_of(host) if npu.name})
    return "+".join(names) or NOT_KNOWN


def _page_size(size: int | None) -> str:
    return NOT_KNOWN if size is None else f"{size // 1024} KiB"


def _of_npus(host: HostFacts, attribute: str, words: Mapping[object, str] | None = None) -> str:
    """Returns a value of all RoCE ports of a host; several are joined by +."""
    values = [getattr(device, attribute) for _, device in sorted(host.hccn.items())]
    known = [value for value in values if not isinstance(value, Unknown)]
    texts = sorted({words[value] if words is not None else str(value) for value in known if words or value is not None})
    return "+".join(texts) or NOT_KNOWN


def _version(file: Reading[VersionFile]) -> str:
    return NOT_KNOWN if isinstance(file, Unknown) else file.version


def _firmware(host: HostFacts) -> str:
    """The firmware that runs, where the boards tell it, else that of the file."""
    boards = [board for board in host.boards.values() if not isinstance(board, Unknown)]
    running = sorted({board.firmware_version for board in boards if board.firmware_version})
    return "+".join(running) or _version(host.firmware)


def _links(host: HostFacts, context: Context) -> str:
    links = hccn_readings(host, context, "link_up")
    if all(isinstance(link, Unknown) for link in links.values()):
        return f"{NOT_KNOWN}/{len(links)}"
    return f"{sum(link is True for link in links.values())}/{len(links)}"


def _tls(host: HostFacts, context: Context) -> str:
    switches = [value for value in hccn_readings(host, context, "tls").values() if not isinstance(value, Unknown)]
    words = sorted({"on" if switch else "off" for switch in switches})
    return "mixed" if len(words) > 1 else words[0] if words else NOT_KNOWN


def _image_id(host: HostFacts) -> str:
    if isinstance(host.image, Unknown):
        return NOT_KNOWN
    return host.image.id if isinstance(host.image, ImageFacts) else "missing"


def _disk(disk: Reading[DiskFacts]) -> str:
    return NOT_KNOWN if isinstance(disk, Unknown) else size_text(disk.available_bytes)


def _clock(clock: Reading[ClockFacts]) -> str:
    return NOT_KNOWN if isinstance(clock, Unknown) else f"{clock.skew_s:+.1f} s"

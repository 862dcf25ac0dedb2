"""Driver and firmware: present, new enough, equal on all hosts, and fitting one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mindie_deploy.hosts.facts import NOT_COLLECTED, Absent, HostFacts, NpuBoard, Reading, Unknown, VersionFile
from mindie_deploy.preflight.context import Context, known
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.majority import odd_hosts, odd_npus, split
from mindie_deploy.preflight.registry import check
from mindie_deploy.preflight.version_order import is_older, parse_version

DRIVER_FILE = "/usr/local/Ascend/driver/version.info"
FIRMWARE_FILE = "/usr/local/Ascend/firmware/version.info"
BOARD = "npu-smi info -t board -i N"
ADVISED_DRIVER = "24.1.rc2"  # MindIE's FAQ; the DeepSeek-V3 README names 24.1.0


@check(
    "driver.version",
    title="the NPU driver is missing or older than MindIE advises",
    severity="block",
    command=DRIVER_FILE,
    why="CANN in the image calls the host's driver. MindIE's FAQ names drivers before 24.1.RC2 as the cause of failing "
    "and vanishing processes. No complete public table of MindIE and driver versions is known.",
    remedy="Install or upgrade the driver and firmware package (HDK), the same on all hosts, and reboot.",
    source="MindIE's FAQ (driver 24.1.RC2 or later advised); DeepSeek-V3 README (HDK 24.1.0)",
)
def driver_version(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.driver, Absent):
        title = "the NPU driver is not there, or its version.info is missing"
        remedy = (
            "npu-smi info tells whether a driver runs, Driver_Install_Path_Param in /etc/ascend_install.info where it "
            "was installed. Install the driver and firmware package (HDK) of the other hosts, and reboot: also where "
            "only the file was lost, because nothing else names the version that is installed."
        )
        yield Problem(host.name, host.driver.reason, title=title, remedy=remedy)
        return
    if isinstance(host.driver, Unknown):
        yield Problem(host.name, host.driver.reason, kind="unknown")
        return
    version, advised = parse_version(host.driver.version), parse_version(ADVISED_DRIVER)
    if version is None:
        # At worst it is older than advised, which would be a warning: nothing here stands in the way of a launch.
        says = f'"{host.driver.version}" is no version that can be ordered; {ADVISED_DRIVER} or later is advised'
        yield Problem(host.name, says, kind="unknown", severity="info")
    elif advised is not None and is_older(version, advised):
        says = f"{host.driver.version}, advised {ADVISED_DRIVER} or later"
        yield Problem(host.name, says, severity="warn", title="the NPU driver is older than MindIE advises")


@check(
    "driver.uniform",
    title="the NPU driver differs between hosts",
    severity="block",
    scope="cluster",
    command=DRIVER_FILE,
    needs=("driver",),
    caused_by=("driver.version",),
    why="The ranks run the same operators and the same HCCL on every host; with different drivers they fail or hang.",
    remedy="Install the same driver and firmware package (HDK) on the hosts named as on the others, and reboot them; "
    "decide for one where no version has the majority. In the middle of an upgrade: finish it on all hosts, and "
    "reboot each.",
    source="MindIE's FAQ; ascend-deployer",
)
def driver_uniform(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    for problem in odd_hosts(_versions({name: host.driver for name, host in hosts.items()}), "driver"):
        overview, driver = hosts[problem.host].overview, hosts[problem.host].driver
        running = "" if isinstance(overview, Unknown) else overview.driver_version.strip()
        if running and not isinstance(driver, Unknown) and running.lower() != driver.version.strip().lower():
            problem = replace(problem, says=f"{problem.says}; still running {running}: not rebooted since")
        yield problem


@check(
    "driver.files-match",
    title="the running driver is not the installed one",
    severity="warn",
    command=f"npu-smi info and {DRIVER_FILE}",
    needs=("overview", "driver"),
    caused_by=("npu.tool-present", "npu.tool-responds", "driver.version", "driver.uniform"),
    unknown="info",
    why="The driver was upgraded and the host not rebooted: libraries and kernel module are of different versions.",
    remedy="Reboot the host.",
    source="npu-smi's public source (hicann/driver)",
)
def files_match(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.driver, Unknown) or isinstance(host.overview, Unknown):
        return
    running, installed = host.overview.driver_version.strip(), host.driver.version.strip()
    if not running:
        yield Problem(host.name, "npu-smi shows no version of the driver", kind="unknown")
    elif running.lower() != installed.lower():
        yield Problem(host.name, f"running {running}, installed {installed}")


@check(
    "firmware.version",
    title="the NPU firmware differs",
    severity="warn",
    scope="cluster",
    command=BOARD,
    needs=("boards",),
    caused_by=("npu.tool-present", "npu.tool-responds", "npu.count", "firmware.compat", "driver.uniform"),
    unknown="info",
    why="NPUs with different firmware are a host that was upgraded halfway, or a replaced card.",
    remedy="Install the same firmware on the hosts named as on the others, and reboot them.",
    source="npu-smi's public source (hicann/driver)",
)
def firmware_uniform(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    values = {
        (name, index): board.firmware_version.strip().lower()
        for name, host in hosts.items()
        for index, board in known({npu: host.boards.get(npu, NOT_COLLECTED) for npu in context.npus}).items()
        if board.firmware_version
    }
    most = split(values).majority
    for problem in odd_npus(values, "firmware"):
        own = values[(problem.host, problem.npu)] if problem.npu is not None else None
        if own is not None and most is not None and _release(own) == _release(most):
            title = "the NPU firmware differs in its patch level"
            problem = replace(problem, severity="info", title=title)
        yield problem


@check(
    "firmware.compat",
    title="driver and firmware do not fit one another",
    severity="block",
    command=f"{DRIVER_FILE}, {FIRMWARE_FILE} and {BOARD}",
    needs=("driver",),
    caused_by=("driver.version", "driver.uniform", "npu.count"),
    why="Each of the two declares the range of the other's versions that it works with; outside of it NPUs fail in "
    "ways that look like broken hardware.",
    remedy="Upgrade the firmware to the one that was released with the driver, and reboot (firmware after driver).",
    source="version.info files; npu-smi's public source: dcmi_get_device_compatibility",
)
def compatible(host: HostFacts, context: Context) -> Iterator[Problem]:
    """The pair fits if either file accepts the other. Files that refuse outweigh boards that do not complain.

    Where neither file says anything, the boards decide; where they do not either, it is unknown.
    """
    files = (host.driver, host.firmware)
    answers = [_accepts(*files), _accepts(*reversed(files))]
    refused = [says for accepted, says in answers if accepted is False]
    accepted = any(accepted for accepted, _ in answers)
    words = {npu: _compatibility(host.boards.get(npu, NOT_COLLECTED)) for npu in context.npus}
    for npu, word in words.items():
        if word == "NOK":
            yield Problem(host.name, "Compatibility: NOK", npu, command=BOARD)
    if accepted or "NOK" in words.values():
        return
    if refused:
        # The running firmware may know more pairs than the file that was installed with it.
        approved = all(word == "OK" for word in words.values())
        says = "; ".join(refused) + ("; every NPU says OK" if approved else "")
        yield Problem(host.name, says, severity="warn" if approved else None)
    elif "OK" not in words.values():
        reasons = "; ".join(says for _, says in answers)
        yield Problem(host.name, f"{reasons}; no NPU tells its compatibility", kind="unknown")


def _accepts(owner: Reading[VersionFile], other: Reading[VersionFile]) -> tuple[bool | None, str]:
    """Returns whether one version.info accepts the other's version (None: it cannot be told), and why."""
    if isinstance(owner, Unknown):
        return None, owner.reason
    if isinstance(other, Unknown):
        return None, other.reason
    ranges = ", ".join(f"{low} to {high}" for low, high in owner.ranges)
    return owner.accepts(other.version), f"{owner.path} accepts {ranges or 'no versions by name'}, not {other.version}"


def _compatibility(board: Reading[NpuBoard]) -> str:
    return "" if isinstance(board, Unknown) else (board.compatibility or "").strip().upper()


def _release(version: str) -> list[str]:
    """Returns a firmware version without what changes from patch to patch: 7.8.0 of 7.8.0.5.216."""
    return version.split(".")[:3]


def _versions(files: Mapping[str, object]) -> dict[str, str]:
    return {name: file.version.strip().lower() for name, file in files.items() if isinstance(file, VersionFile)}

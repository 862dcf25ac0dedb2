"""The NPUs as npu-smi shows them: number, kind, health, and whether they are free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import HostFacts, Unknown
from mindie_deploy.preflight.context import Context, known, npus_of, own_npus
from mindie_deploy.preflight.finding import Problem, numbers_text
from mindie_deploy.preflight.registry import check

SMI = "npu-smi info"
REFERENCE = "npu-smi's public source (hicann/driver); captures of 23.0 to 26.0"
RESPONDS = ("npu.tool-present", "npu.tool-responds")
PRESENT = (*RESPONDS, "npu.count")
ON_THE_BUS = (
    "The cards are there and the driver does not know them: dmesg | grep -i -e davinci -e drv tells why. Reboot the "
    "host; if they stay lost, power it off and on; then replace them."
)
FIRST_VIRTUAL_ID = 64  # ids from here on are virtual NPUs
GRAVE_HEALTH = ("alarm", "critical", "unknown")


@check(
    "npu.count",
    title="NPUs are missing, or there are others than configured",
    severity="block",
    command=SMI,
    needs=("overview",),
    caused_by=(*RESPONDS, "npu.vnpu-off", "npu.pci-count"),
    why="Every rank needs its NPU. npu-smi leaves a lost NPU out without a word and with exit status 0, and then the "
    "launch hangs until HCCL times out.",
    remedy="For each missing NPU: lspci -d 19e5: (is the card on the bus?), dmesg | grep -i davinci; power the host "
    "off and on; reseat or replace the card. If the host is meant to have another number, set mindie_npus_per_host.",
    source=REFERENCE,
)
def count(host: HostFacts, context: Context) -> Iterator[Problem]:
    seen = sorted({index for index, _ in npus_of(host)})
    shown = f"shows {len(seen)} NPUs ({numbers_text(seen) or 'none'}), expected {len(context.npus)}"
    lost, unreadable = lost_on_the_bus(host), unreadable_rows(host)
    on_the_bus = not unreadable and 0 < len(lost) == len(set(context.npus) - set(seen))
    for index in context.npus:
        if index in seen:
            continue
        if on_the_bus:
            title = "the driver lost NPUs whose cards the PCI bus shows"
            says = f"{shown}; lspci -d 19e5: shows {', '.join(lost)} all the same"
            yield Problem(host.name, says, index, title=title, remedy=ON_THE_BUS)
        else:
            yield Problem(host.name, "; ".join((shown, *unreadable)), index)
    for index in seen:
        if index not in context.npus:
            yield Problem(host.name, shown, index, title="there are more NPUs than configured")


def lost_on_the_bus(host: HostFacts) -> list[str]:
    """Returns the addresses of cards that the PCI bus shows and npu-smi does not; none where the two do not fit."""
    if isinstance(host.bus, Unknown):
        return []
    shown = {bus_address(npu.bus_id) for _, npu in npus_of(host) if npu.bus_id}
    fits = shown <= set(host.bus) and all(npu.bus_id for _, npu in npus_of(host))
    return sorted(set(host.bus) - shown) if fits else []


def unreadable_rows(host: HostFacts) -> list[str]:
    """Returns what npu-smi's table says of cards without naming their NPU."""
    if isinstance(host.overview, Unknown) or isinstance(host.bus, Unknown):
        return []
    return [line for line in host.overview.warnings if any(address in line.lower() for address in host.bus)]


def bus_address(text: str) -> str:
    """Returns an address of npu-smi as the facts of the bus have it: in lower case, without the usual domain."""
    return text.lower().removeprefix("0000:")


@check(
    "npu.vnpu-off",
    title="an NPU is split into virtual ones",
    severity="block",
    command=SMI,
    needs=("overview",),
    caused_by=RESPONDS,
    why="MindIE's ranks need whole NPUs with all of their memory.",
    remedy="Stop what uses the virtual NPUs, then destroy them: npu-smi set -t destroy-vnpu -i ID -c 0 -v VNPU.",
    source=REFERENCE,
)
def virtual(host: HostFacts, context: Context) -> Iterator[Problem]:
    for _, npu in npus_of(host):
        if npu.id >= FIRST_VIRTUAL_ID:
            yield Problem(host.name, f"shows NPU id {npu.id}, which is a virtual NPU's")


@check(
    "npu.chip-uniform",
    title="an NPU is of another kind than configured",
    severity="block",
    scope="cluster",
    command=SMI,
    needs=("overview",),
    caused_by=PRESENT,
    why="The ranks compute in step on equal chips, and the image is made for one kind of chip. A name that merely "
    "begins alike is another chip: 910B is the first generation, 910B1 to 910B4 are A2.",
    remedy="Replace the host by one with the right NPUs. If all hosts have the other kind and the image fits it, set "
    "mindie_npu_chip.",
    source=REFERENCE,
)
def chip(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    wanted = context.settings.npu_chip.strip().lower()
    for name, host in hosts.items():
        for index, npu in npus_of(host):
            if not npu.name.strip():
                yield Problem(name, "the name is empty: npu-smi could not read it", index, kind="unknown")
            elif npu.name.strip().lower() != wanted:
                yield Problem(name, f"{npu.name}, expected {context.settings.npu_chip}", index)


@check(
    "npu.health",
    title="an NPU is not healthy",
    severity="block",
    command=SMI,
    needs=("overview",),
    caused_by=PRESENT,
    why="A rank on a faulty NPU fails or hangs, and all others with it.",
    remedy="npu-smi info -t health -i NPU -c 0 names the fault codes; look them up in the health management manual of "
    "the driver. Usual steps: reset the NPU while nothing uses it, power the host off and on, replace the card.",
    source=REFERENCE,
)
def health(host: HostFacts, context: Context) -> Iterator[Problem]:
    for index, npu in npus_of(host):
        word = npu.health.strip()
        if word.lower() == "ok":
            continue
        says = f"Health {word or '(empty)'}"
        if word.lower() == "warning":
            yield Problem(host.name, says, index, severity="warn", title="an NPU's health is Warning")
        elif word.lower() in GRAVE_HEALTH:
            yield Problem(host.name, says, index)
        else:
            yield Problem(host.name, f"{says}, which is none of npu-smi's words", index, kind="unknown")


@check(
    "npu.health-codes",
    title="an NPU reports fault codes",
    severity="warn",
    command="npu-smi info -t health -i N -c 0",
    needs=("npu_error_codes",),
    caused_by=("npu.health", "npu.count", *RESPONDS),
    unknown="info",  # the health word itself is judged by npu.health; not every driver answers this query
    why="A code without a worse health word is often the first sign of a failing card, optic or sensor.",
    remedy="Look the codes up in the health management manual of the driver.",
    source=REFERENCE,
)
def health_codes(host: HostFacts, context: Context) -> Iterator[Problem]:
    for index, codes in known({npu: host.npu_error_codes.get(npu, Unknown("")) for npu in context.npus}).items():
        if codes:
            yield Problem(host.name, f"codes {' '.join(codes)}", index)


@check(
    "npu.hbm-total",
    title="an NPU has another memory size than configured",
    severity="block",
    command=SMI,
    needs=("overview",),
    caused_by=(*PRESENT, "npu.chip-uniform"),
    why="The model is cut for NPUs of equal memory; DeepSeek R1 in BF16 needs 64 GB on each of 32.",
    remedy="It is another kind of card: replace the host. If all hosts are alike and the model fits, set "
    "mindie_hbm_total_mib.",
    source=REFERENCE,
)
def hbm_total(host: HostFacts, context: Context) -> Iterator[Problem]:
    for index, npu in npus_of(host):
        if npu.hbm_total_mib is None:
            yield Problem(host.name, "npu-smi could not read the memory size", index, kind="unknown")
        elif npu.hbm_total_mib != context.settings.hbm_total_mib:
            says = f"{npu.hbm_total_mib} MiB, expected {context.settings.hbm_total_mib} MiB"
            yield Problem(host.name, says, index)


@check(
    "npu.hbm-free",
    title="NPU memory is in use before the start",
    severity="block",
    command=SMI,
    needs=("overview",),
    caused_by=(*PRESENT, "npu.hbm-total", "docker.conflict", "npu.process-residual"),
    why="Weights and cache fill almost all of the memory. What a killed process left there makes loading fail with out "
    "of memory, many minutes after the start. An idle 910B3 shows 3.3 to 3.6 GB.",
    remedy="No process is shown that holds it. Stop containers and Python processes that may use NPUs; if the memory "
    "stays in use: npu-smi set -t reset -i NPU -c 0 while nothing uses the NPU; the last resort is a reboot. The limit "
    "is mindie_hbm_used_limit_mib.",
    source="MindIE's FAQ (memory left on the NPU without a process); captures of idle 910B3",
)
def hbm_free(host: HostFacts, context: Context) -> Iterator[Problem]:
    ours, limit = own_npus(host, context), context.settings.hbm_used_limit_mib
    for index, npu in npus_of(host):
        if index in ours:
            continue
        if npu.hbm_used_mib is None:
            yield Problem(host.name, "npu-smi could not read the memory in use", index, kind="unknown")
        elif npu.hbm_used_mib > limit:
            yield Problem(host.name, f"{npu.hbm_used_mib} of {npu.hbm_total_mib} MiB in use, limit {limit} MiB", index)


@check(
    "npu.process-residual",
    title="processes use NPUs",
    severity="block",
    command=SMI,
    needs=("overview",),
    caused_by=(*RESPONDS, "docker.conflict"),
    unknown="info",  # tables of 26.0 are seen without the block; the memory that processes hold is judged too
    why="A process of an earlier run or of somebody else holds memory and the device; loading then fails with out of "
    "memory or HCCL cannot be set up.",
    remedy="Find out whose it is (ps -fp PID; cat /proc/PID/cgroup tells the container), then stop the container, or "
    "kill the process.",
    source="MindIE's FAQ; DeepSeek-V3 README, clean-up before a new start",
)
def residual_processes(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.overview, Unknown):
        return
    if host.overview.processes is None:
        yield Problem(host.name, "npu-smi shows no process table", kind="unknown")
        return
    index_of = {npu.id: index for index, npu in npus_of(host) if npu.chip == 0}
    ours = own_npus(host, context)
    for process in host.overview.processes:
        index = index_of.get(process.npu, process.npu)
        if index not in ours:
            name = process.name or "(no name shown)"
            yield Problem(host.name, f"process {process.pid} {name} holds {process.memory_mib} MiB", index)


@check(
    "npu.aicore-idle",
    title="an NPU computes although it should be idle",
    severity="warn",
    command=SMI,
    needs=("overview",),
    caused_by=(*PRESENT, "docker.conflict", "npu.process-residual", "npu.hbm-free"),
    unknown="info",
    why="Somebody uses the NPU in a way that the process table does not show.",
    remedy="Watch npu-smi info for a minute. Find the container or virtual machine that uses the NPU.",
    source=REFERENCE,
)
def aicore(host: HostFacts, context: Context) -> Iterator[Problem]:
    ours = own_npus(host, context)
    for index, npu in npus_of(host):
        if index not in ours and npu.aicore_percent:
            yield Problem(host.name, f"AICore {npu.aicore_percent} %", index)


@check(
    "npu.hugepages",
    title="huge pages of an NPU are in use",
    severity="info",
    command=SMI,
    needs=("overview",),
    caused_by=(*PRESENT, "docker.conflict", "npu.process-residual", "npu.hbm-free"),
    why="Huge pages that stay in use without a process were left by a killed one.",
    remedy="Stop what uses the NPU; reset it if they stay in use.",
    source=REFERENCE,
)
def hugepages(host: HostFacts, context: Context) -> Iterator[Problem]:
    ours = own_npus(host, context)
    for index, npu in npus_of(host):
        if index not in ours and npu.hugepages_used:
            yield Problem(host.name, f"{npu.hugepages_used} of {npu.hugepages_total} pages in use", index)

"""Bit errors of the NPUs' memory, and the NPUs on the PCI bus."""

from __future__ import annotations

from collections.abc import Iterator

from mindie_deploy.hosts.facts import HostFacts, Unknown
from mindie_deploy.preflight.checks.npu import PRESENT, REFERENCE, bus_address
from mindie_deploy.preflight.context import Context, known
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check

ECC = "npu-smi info -t ecc -i NPU"
ISOLATED = (
    "These pages are out of use and harm nobody any more. Watch whether their number grows, and plan to replace the "
    "card if it does. How many are not mentioned: mindie_npu_isolated_pages_limit."
)


@check(
    "npu.ecc",
    title="the memory of an NPU has errors that cannot be corrected",
    severity="block",
    command=ECC,
    needs=("ecc",),
    caused_by=(*PRESENT, "npu.health"),
    unknown="info",
    why="A rank whose weights or cache lie there computes wrong numbers or dies, minutes or days after the start.",
    remedy="Reset the NPU while nothing uses it (npu-smi set -t reset -i NPU -c 0): pages are isolated then. Replace "
    "the card if double bit errors come again.",
    source=REFERENCE,
)
def double_bit(host: HostFacts, context: Context) -> Iterator[Problem]:
    limit = context.settings.npu_isolated_pages_limit
    for index, counts in known(host.ecc).items():
        if index not in context.npus:
            continue
        if counts.double:
            isolated = f", {counts.double_isolated} pages isolated" if counts.double_isolated else ""
            yield Problem(host.name, f"{counts.double} double bit errors{isolated}", index)
        elif counts.double_next_isolated:
            says = f"{counts.double_next_isolated} pages wait to be isolated by a reset"
            title = "pages of an NPU's memory wait to be isolated"
            yield Problem(host.name, says, index, severity="warn", title=title)
        elif (pages := counts.double_isolated or 0) > limit:
            says = f"{pages} pages are isolated for double bit errors, expected at most {limit}"
            title = "pages of an NPU's memory were isolated after errors"
            yield Problem(host.name, says, index, severity="warn", title=title, remedy=ISOLATED)


@check(
    "npu.ecc-single",
    title="the memory of an NPU has many corrected errors",
    severity="warn",
    command=ECC,
    needs=("ecc",),
    caused_by=(*PRESENT, "npu.health", "npu.ecc"),
    unknown="info",
    why="Corrected errors do no harm, but many of them announce those that cannot be corrected.",
    remedy="Watch whether the number grows; plan to replace the card. Limit: mindie_npu_single_bit_errors_limit.",
    source="practice",
)
def single_bit(host: HostFacts, context: Context) -> Iterator[Problem]:
    limit = context.settings.npu_single_bit_errors_limit
    for index, counts in known(host.ecc).items():
        if index in context.npus and counts.single > limit:
            yield Problem(host.name, f"{counts.single} single bit errors, expected at most {limit}", index)


@check(
    "npu.pci-count",
    title="NPUs are missing on the PCI bus",
    severity="block",
    command="lspci -d 19e5:",
    needs=("bus",),
    unknown="info",
    why="A card that the bus does not show cannot be brought back by the driver: it has no power, no contact, or is "
    "broken.",
    remedy="Power the host off and on (not only reboot); reseat or replace the card. If the host is meant to have "
    "another number, set mindie_npus_per_host.",
    source="PCI ids of Huawei's NPUs (d801 to d803, d500)",
)
def on_the_bus(host: HostFacts, context: Context) -> Iterator[Problem]:
    """Silent where npu-smi shows all NPUs: then lspci is wrong (an unknown id, a container)."""
    if isinstance(host.bus, Unknown) or len(host.bus) >= len(context.npus):
        return
    if not isinstance(host.overview, Unknown):
        shown = {npu.id for npu in host.overview.npus}
        if len(shown) >= len(context.npus):
            return
        if {bus_address(npu.bus_id) for npu in host.overview.npus if npu.bus_id} - set(host.bus):
            return  # npu-smi shows NPUs that lspci does not: its list says nothing
    elif not host.bus:
        return  # neither of the two shows anything: it may be lspci that cannot look
    where = ", ".join(sorted(host.bus)) or "none"
    yield Problem(host.name, f"shows {len(host.bus)} ({where}), expected {len(context.npus)}")

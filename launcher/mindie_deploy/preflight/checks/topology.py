"""The links between the NPUs of a host (HCCS)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from mindie_deploy.hosts.facts import HostFacts, Unknown
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem, numbers_text
from mindie_deploy.preflight.registry import check

# XLink is how builds of npu-smi for other markets spell HCCS; SIO and HCCS_SW are links of the A3 generation.
DIRECT = ("HCCS", "XLINK", "HCCS_SW", "SIO")
UNREAD = ("", "NA", "-")


@check(
    "hccs.topology",
    title="NPUs of the host are not linked by HCCS",
    severity="block",
    command="npu-smi info -t topo",
    needs=("topology",),
    caused_by=(
        "npu.tool-present",
        "npu.tool-responds",
    ),
    caused_by_any_npu=("npu.count",),
    unknown="warn",  # nobody has published what 25.x prints on a 910B3
    why="On an Atlas 800T A2 every NPU is linked with every other by HCCS. Tensor parallelism over PCIe instead is "
    "many times slower, and HCCL may refuse it.",
    remedy="Power the host off and on. If it stays so, the board or the card is faulty: repair.",
    source="captures of 910B1; npu-smi's public source: npu_nic_topo_matrix",
)
def topology(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.topology, Unknown):
        return
    broken: dict[tuple[int, int], str] = {}
    unread: set[int] = set()
    for one, other in combinations(context.npus, 2):
        words = [host.topology.get(pair, "").strip().upper() for pair in ((one, other), (other, one))]
        wrong = [word for word in words if word not in UNREAD and word not in DIRECT]
        if wrong:
            broken[(one, other)] = wrong[0]
        elif not any(word in DIRECT for word in words):
            unread |= {one, other}
    for npu in _culprits(broken, len(context.npus)):
        pairs = {(set(pair) - {npu}).pop(): word for pair, word in broken.items() if npu in pair}
        words_text = "/".join(sorted(set(pairs.values())))
        yield Problem(host.name, f"{words_text} to NPU {numbers_text(list(pairs))}, expected HCCS", npu)
    for npu in sorted(unread):
        yield Problem(host.name, "npu-smi does not tell all of its links", npu, kind="unknown")


def _culprits(broken: dict[tuple[int, int], str], count: int) -> list[int]:
    """Returns the NPUs all of whose links are broken, if they explain every broken pair; else all that have one."""
    links = {npu: sum(npu in pair for pair in broken) for pair in broken for npu in pair}
    isolated = [npu for npu, number in links.items() if number == count - 1]
    if isolated and all(set(pair) & set(isolated) for pair in broken):
        return sorted(isolated)
    return sorted(links)

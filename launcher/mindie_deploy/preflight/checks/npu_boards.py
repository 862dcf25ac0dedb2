"""The boards that the NPUs are on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import NOT_COLLECTED, HostFacts, NpuBoard
from mindie_deploy.preflight.checks.npu import PRESENT, REFERENCE
from mindie_deploy.preflight.context import Context, known
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.majority import odd_npus
from mindie_deploy.preflight.registry import check


@check(
    "npu.board-uniform",
    title="NPUs are on different boards",
    severity="warn",
    scope="cluster",
    command="npu-smi info -t board -i N",
    needs=("boards",),
    caused_by=(*PRESENT, "npu.chip-uniform"),
    unknown="info",
    why="The same chip is built into boards for training and for inference, with other power limits and links; hosts "
    "of both kinds in one deployment wait for the slower ones.",
    remedy="Compare the hosts' product names (dmidecode -s system-product-name). Replace the odd one, or leave it if "
    "the mixture is wanted: put npu.board-uniform into mindie_checks_skip.",
    source=f"{REFERENCE}; ascend-deployer (boards told apart by the PCI subsystem id)",
)
def board_uniform(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    values = {
        (name, index): text
        for name, host in hosts.items()
        for index, board in known({npu: host.boards.get(npu, NOT_COLLECTED) for npu in context.npus}).items()
        if (text := _kind(board))
    }
    yield from odd_npus(values, "board")


def _kind(board: NpuBoard) -> str:
    """Returns what tells kinds of boards apart; nothing where the tool does not print it."""
    if not board.pci_device_id or not board.subsystem_id:
        return ""
    return f"{board.pci_device_id.lower()} with subsystem {board.subsystem_id.lower()}"

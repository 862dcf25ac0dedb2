"""Counters of the NPUs' RoCE ports, read twice: what grows between the two is happening now."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mindie_deploy.hosts.facts import HostFacts
from mindie_deploy.preflight.checks.hccn import LINK, SOURCE
from mindie_deploy.preflight.context import Context, known_hccn, own_npus
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check

STATISTICS = "hccn_tool -i N -stat -g, twice"
ERRORS = ("err", "bad", "fcs", "discard", "drop")
# What a port that works under load also counts now and then; one without work never should.
REPEATED = ("rty", "retry", "retrans", "out_of_order", "unexpected_ack")
PAUSES = ("mac_tx_mac_pause_num", "mac_rx_mac_pause_num", "mac_tx_pfc_pkt_num", "mac_rx_pfc_pkt_num")


@check(
    "hccn.error-counters",
    title="errors of an NPU's port are growing",
    severity="warn",
    command=STATISTICS,
    needs=("hccn.counters", "hccn.counters_later"),
    caused_by=(*LINK, "hccn.speed-200g", "hccn.optical"),
    unknown="info",
    why="Packets with errors are sent again: the whole deployment waits for this port.",
    remedy="Clean or replace cable and optical module; check FEC and speed on both ends; watch the counters with "
    "hccn_tool -i N -stat -g. Limit: mindie_hccn_errors_limit.",
    source=SOURCE,
)
def error_counters(host: HostFacts, context: Context) -> Iterator[Problem]:
    ours, limit = own_npus(host, context), context.settings.hccn_errors_limit

    def counts(index: int, name: str) -> bool:
        return any(word in name for word in (ERRORS if index in ours else ERRORS + REPEATED))

    for index, told in _grown(host, context, counts, limit):
        yield Problem(host.name, f"{told} while the check ran", index)


@check(
    "hccn.pause-frames",
    title="an NPU's port without work is being paused",
    severity="warn",
    command=STATISTICS,
    needs=("hccn.counters", "hccn.counters_later"),
    caused_by=(*LINK, "docker.conflict", "npu.process-residual", "npu.aicore-idle"),
    unknown="info",
    why="Pause frames stop a sender. Where nobody sends they come from a faulty port or a switch that is set wrongly, "
    "and they can stop the whole fabric.",
    remedy="Watch mac_*_pause_num and mac_*_pfc_pkt_num with hccn_tool -i N -stat -g. rx grows: look at the switch "
    "port's flow control (PFC) and queues; tx grows: reset the NPU while nothing uses it. Limit: "
    "mindie_hccn_pause_frames_limit.",
    source="HCCL user guide (retransmission by PFC or congestion); practice",
)
def pause_frames(host: HostFacts, context: Context) -> Iterator[Problem]:
    ours, limit = own_npus(host, context), context.settings.hccn_pause_frames_limit
    for index, told in _grown(host, context, lambda index, name: name in PAUSES and index not in ours, limit):
        yield Problem(host.name, f"{told} while the check ran", index)


def _grown(
    host: HostFacts, context: Context, counts: Callable[[int, str], bool], limit: int
) -> Iterator[tuple[int, str]]:
    """Yields NPUs with those of their counters that count and grew by more than a limit, and by how much."""
    later = known_hccn(host, context, "counters_later")
    for index, before in known_hccn(host, context, "counters").items():
        after = later.get(index, {})
        grown = {name: after[name] - value for name, value in before.items() if name in after and counts(index, name)}
        told = [f"{name} +{growth}" for name, growth in sorted(grown.items()) if growth > limit]
        if told:
            yield index, ", ".join(told)

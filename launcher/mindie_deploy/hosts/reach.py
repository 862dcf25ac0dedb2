"""From the answers of the second round trip to facts. Nothing that a host sends makes this raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, get_args

from mindie_deploy.hosts import answer as answers
from mindie_deploy.hosts.facts import PeerPing, PortProbe, ReachFacts, Reading, Unknown
from mindie_deploy.hosts.facts_reach import Connected
from mindie_deploy.hosts.hccn_ping import ping

OUTCOMES = get_args(Connected)


def reach(asked: Mapping[str, object], collection: Mapping[str, object], refused: Mapping[str, object]) -> ReachFacts:
    """Returns what a host answered to `asked`, which questions.questions made for it.

    `refused` are the ports on which mindie_listen could not listen there, with the reason.
    """
    pings, ports = asked.get("pings"), asked.get("ports")
    return ReachFacts(
        pings=tuple(_ping(one, collection) for one in pings or () if isinstance(one, Mapping))
        if isinstance(pings, list)
        else (),
        ports=tuple(_port(one, collection) for one in ports or () if isinstance(one, Mapping))
        if isinstance(ports, list)
        else (),
        not_listening={int(port): answers.text_of(why) for port, why in refused.items() if str(port).isdecimal()},
    )


def _ping(one: Mapping[str, object], collection: Mapping[str, object]) -> PeerPing:
    npu, peer_npu = answers.number_of(one.get("npu")) or 0, answers.number_of(one.get("peer_npu")) or 0
    address = answers.text_of(one.get("address"))
    return PeerPing(npu, answers.text_of(one.get("peer")), peer_npu, address, _packets(one, npu, address, collection))


def _packets(
    one: Mapping[str, object], npu: int, address: str, collection: Mapping[str, object]
) -> Reading[tuple[int, int]]:
    answer = answers.command(collection, answers.text_of(one.get("key")))
    if isinstance(answer, Unknown):
        return answer
    found = ping(answer, npu, address)
    return found if isinstance(found, Unknown) else (found.sent, found.received)


def _port(one: Mapping[str, object], collection: Mapping[str, object]) -> PortProbe:
    outcome, says = _outcome(answers.entry(collection, answers.text_of(one.get("key"))))
    return PortProbe(
        peer=answers.text_of(one.get("peer")),
        address=answers.text_of(one.get("address")),
        port=answers.number_of(one.get("port")) or 0,
        setting=answers.text_of(one.get("setting")),
        outcome=outcome,
        says=says,
    )


def _outcome(item: Mapping[str, object] | Unknown) -> tuple[Reading[Connected], str]:
    if isinstance(item, Unknown):
        return item, ""
    says = answers.text_of(item.get("says"))
    word = item.get("outcome")
    if item.get("error") or word not in OUTCOMES:
        return Unknown(answers.text_of(item.get("error")) or "the answer says nothing"), says
    return cast(Connected, word), says

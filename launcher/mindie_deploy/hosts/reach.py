"""From the answers of the second round trip to facts. Nothing that a host sends makes this raise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast, get_args

from mindie_deploy.hosts import answer as answers
from mindie_deploy.hosts.facts import PeerPing, PortProbe, ReachFacts, Reading, Unknown
from mindie_deploy.hosts.facts_reach import Connected
from mindie_deploy.hosts.hccn_ping import ping
from mindie_deploy.hosts.text import excerpt

OUTCOMES = get_args(Connected)
ENDED = (
    "the listener ended before all had asked: a run took the lock of the deployment, or the hosts were asked in turns "
    "(give ansible-playbook --forks as many as there are hosts)"
)


def reach(reached: Mapping[str, object]) -> Reading[ReachFacts]:
    """Returns what a host answered in the second round trip, or why nothing is known.

    `reached` holds `asked` (of questions.questions), `collection` (of mindie_collect; `msg` says why there is none),
    and, where a listener was made, what mindie_listen returned for its `started` and for its `stopped`.
    """
    asked, collection = _mapping(reached.get("asked")), reached.get("collection")
    if not isinstance(collection, Mapping):
        return Unknown(excerpt(answers.text_of(reached.get("msg"))) or "the second round trip gave no answer")
    return ReachFacts(
        pings=tuple(_ping(one, collection) for one in _mappings(asked.get("pings"))),
        ports=tuple(_port(one, collection) for one in _mappings(asked.get("ports"))),
        not_listening=_not_listening(asked, _mapping(reached.get("started")), _mapping(reached.get("stopped"))),
    )


def _not_listening(
    asked: Mapping[str, object], started: Mapping[str, object], stopped: Mapping[str, object]
) -> dict[int, str]:
    """Returns the ports on which there was no listener of ours all the time, with the reason."""
    not_tried = {
        int(port): answers.text_of(why) for port, why in _mapping(asked.get("not_tried")).items() if _is_port(port)
    }
    wanted = asked.get("listen")
    ports = [number for number in map(answers.number_of, wanted) if number] if isinstance(wanted, list) else []
    refused = _mapping(started.get("refused"))
    if stopped.get("was_running") is False:
        return not_tried | dict.fromkeys(ports, ENDED)
    if not started.get("process") and not refused:
        why = excerpt(answers.text_of(started.get("msg"))) or "no listener was started"
        return not_tried | dict.fromkeys(ports, why)
    return not_tried | {port: answers.text_of(refused[str(port)]) for port in ports if str(port) in refused}


def _is_port(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value) is not None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


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

"""A deployment is a gang: decides from all members' states whether it must be started, and how a start has ended.

MindIE's leader waits for its followers for ever, a follower gives up after 120 s, and neither notices when the other
dies later (mindie-llm grpc_communicator.cpp), so nobody but us can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mindie_deploy.mindie.container import LABEL_DIGEST

STARTED_LINE = "Daemon start success!"


@dataclass(frozen=True)
class GangPlan:
    """What a start has to do: nothing, or start all members (again), and why."""

    start: bool
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        return {"start": self.start, "reasons": list(self.reasons)}


def plan(containers: Mapping[str, Mapping[str, Any] | None], digest: str, *, restart: bool = False) -> GangPlan:
    """Returns the plan for a gang whose members' containers are as given (None: no container).

    One member that is missing, stopped or made from other files than the wanted ones means that all are started
    again: ranks of two different starts cannot share one HCCL communicator.
    """
    reasons = ["a restart was asked for"] if restart else []
    for host, container in containers.items():
        if container is None:
            reasons.append(f"{host}: there is no container yet")
        elif not container.get("running"):
            reasons.append(f"{host}: its container is not running (status {container.get('exit_code')})")
        elif (container.get("labels") or {}).get(LABEL_DIGEST) != digest:
            reasons.append(f"{host}: it runs with other files, settings or image than the wanted ones")
    return GangPlan(bool(reasons), tuple(reasons))


@dataclass(frozen=True)
class Member:
    """What is known of one member while the gang starts.

    `state` is one of: starting (no sign yet), started (its daemon says so), listening (the API is there), ready (a chat
    was answered), dead (its container ended), lost (its host does not answer).
    """

    host: str
    state: str
    message: str = ""
    exit_status: int | None = None
    log_tail: str = ""
    answer: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Member:
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})


@dataclass(frozen=True)
class GangVerdict:
    """How a start has ended: ready, dead, lost or timeout; `host` is the member that decided it."""

    state: str
    host: str


def verdict(members: Mapping[str, Member], hosts: Sequence[str], *, over: bool) -> GangVerdict | None:
    """Returns how the start has ended, or None while it is still going on.

    hosts are in rank order, the leader first. The first dead member in rank order decides when several died; `over`
    says that the deadline has passed.
    """
    for state in ("dead", "lost"):
        for host in hosts:
            member = members.get(host)
            if member is not None and member.state == state:
                return GangVerdict(state, host)
    leader = members.get(hosts[0])
    if leader is not None and leader.state == "ready" and all(host in members for host in hosts):
        return GangVerdict("ready", hosts[0])
    if over:
        order = {"starting": 0, "started": 1, "listening": 2, "ready": 3}
        slowest = min(hosts, key=lambda host: order.get(members[host].state, 0) if host in members else -1)
        return GangVerdict("timeout", slowest)
    return None


def member_from_observation(host: str, observation: Mapping[str, Any]) -> Member:
    """Returns the member's state from what mindie_observe saw."""
    tail = str(observation.get("log_tail") or "")
    message = next((line.strip() for line in reversed(tail.splitlines()) if line.strip()), "")[:200]
    if not observation.get("exists"):
        return Member(host, "dead", "its container is gone", None, tail)
    if not observation.get("running"):
        status = observation.get("exit_code")
        return Member(host, "dead", f"its daemon ended with status {status}", status, tail)
    if observation.get("answer") is not None:
        return Member(host, "ready", "a chat request was answered", None, tail, str(observation["answer"]))
    problem = str(observation.get("problem") or "")
    if observation.get("listening"):
        return Member(host, "listening", problem or message, None, tail)
    return Member(host, "started" if observation.get("line_seen") else "starting", problem or message, None, tail)

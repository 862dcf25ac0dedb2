"""Everything that one host answered, as Ansible hands it over, and the facts in it."""

from __future__ import annotations

from collections.abc import Mapping

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.answer import seconds_of
from mindie_deploy.hosts.facts import HostFacts
from mindie_deploy.hosts.read import read
from mindie_deploy.preflight.finding import Unreachable
from mindie_deploy.preflight.unreachable import why

Answers = Mapping[str, object]


def facts_of(
    name: str, collected: Answers, settings: Settings, reached: Answers | None = None
) -> HostFacts | Unreachable:
    """Returns the facts of a host, or why there are none.

    `collected` is what the task that asked for the facts returned, `reached` the second round trip (of with_listener).
    """
    collection = collected.get("collection")
    if not isinstance(collection, Mapping):
        return why(collected)
    return read(
        name,
        collection,
        settings,
        requested_at=seconds_of(collected.get("requested_at")),
        answered_at=seconds_of(collected.get("answered_at")),
        reached=reached,
    )


def with_listener(reached: Answers, started: Answers, stopped: Answers) -> Answers | None:
    """Returns what mindie_reach returned together with what mindie_listen did; None where nothing was asked."""
    if not reached or reached.get("skipped"):
        return None
    reason = {} if "collection" in reached else {"msg": why(reached).reason}
    return {**reached, **reason, "started": started, "stopped": stopped}

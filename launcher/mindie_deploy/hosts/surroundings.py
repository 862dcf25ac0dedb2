"""What surrounds a container on its host, read from the items of items_surroundings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from mindie_deploy.hosts import answer as answers
from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.engine_limits import limits, proxies
from mindie_deploy.hosts.facts import Reading, SharedMemoryFacts, Surroundings, Unknown
from mindie_deploy.hosts.firewall import firewall
from mindie_deploy.hosts.items_surroundings import SHARED_MEMORY
from mindie_deploy.hosts.kernel import installed_kernels, kernel
from mindie_deploy.hosts.paths import disk, only_state, path_states
from mindie_deploy.hosts.text import lines_of

T = TypeVar("T")
DIGEST = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<path>/\S+)")


def surroundings(collection: Mapping[str, object]) -> Surroundings:
    """Reads everything; each part is unknown for itself."""

    def parsed(key: str, parser: Callable[[Answer], Reading[T]]) -> Reading[T]:
        answer = answers.command(collection, key)
        return answer if isinstance(answer, Unknown) else parser(answer)

    return Surroundings(
        kernel=kernel(
            answers.command(collection, "kernel"),
            answers.file_text(collection, "cgroups"),
            answers.file_text(collection, "locale"),
        ),
        installed_kernels=parsed("kernels", installed_kernels),
        firewall=parsed("firewall", firewall),
        shared_memory=_shared_memory(collection),
        own_name=parsed("own-name", own_name),
        engine_limits=parsed("engine/limits", limits),
        proxies=parsed("engine/proxies", proxies),
        digests=parsed("weights/digests", digests),
        weight_links=parsed("weights/links", links),
        state_paths=path_states(collection, "state"),
        lock=only_state(collection, "lock"),
    )


def own_name(answer: Answer) -> Reading[tuple[str, ...]]:
    """Reads `getent ahosts`: each line begins with an address. None of them where the name is not known."""
    if answer.status == 2:  # the name is in no database
        return ()
    if answer.status != 0:
        return answer.failure("getent ahosts")
    found = [line.split()[0].split("%")[0] for line in lines_of(answer.stdout) if line.strip()]
    try:
        return tuple(dict.fromkeys(str(ipaddress.ip_address(text)) for text in found))
    except ValueError:
        return Unknown("getent ahosts: a line without an address")


def digests(answer: Answer) -> Reading[dict[str, str]]:
    """Reads `sha256sum`: digests by file name. Files that do not exist make its status 1, and are left out."""
    if answer.status not in (0, 1) or answer.truncated:
        return answer.failure("sha256sum")
    found = (DIGEST.fullmatch(line) for line in lines_of(answer.stdout))
    return {match["path"].rsplit("/", 1)[-1]: match["digest"] for match in found if match}


def links(answer: Answer) -> Reading[dict[str, str]]:
    """Reads lines of a name, a tab and the absolute path that the link leads to."""
    if answer.status != 0 or answer.truncated:
        return answer.failure("looking for links")
    rows = (line.partition("\t") for line in lines_of(answer.stdout))
    return {name: target for name, tab, target in rows if tab and name and target.startswith("/")}


def _shared_memory(collection: Mapping[str, object]) -> Reading[SharedMemoryFacts]:
    """Returns /dev/shm and the files of MindIE in it."""
    states = path_states(collection, "shm")
    if isinstance(states, Unknown):
        return states
    own = next((state for state in states if state.path == SHARED_MEMORY), None)
    if own is None:
        return Unknown(f"{SHARED_MEMORY} was not looked at")
    files = tuple(state for state in states if state is not own and state.exists)
    return SharedMemoryFacts(own, disk(collection, "disk/shm", SHARED_MEMORY), files)

"""The host's shared memory, which MindIE uses when the container shares the host's IPC namespace."""

from __future__ import annotations

from collections.abc import Iterator

from mindie_deploy.cluster.parallel import SHARED_MEMORY_PER_GROUP, parallel_sizes
from mindie_deploy.hosts.facts import HostFacts, SharedMemoryFacts, Unknown
from mindie_deploy.preflight.context import Context, is_ours_running
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check
from mindie_deploy.preflight.sizes import size_text

NEEDS = ("surroundings.shared_memory",)
NAMED = 3  # files that are named


@check(
    "os.shm",
    title="the host's shared memory is too small for MindIE",
    severity="block",
    command="stat and df of /dev/shm",
    needs=NEEDS,
    unknown="info",
    why="With mindie_ipc: host the host's /dev/shm counts. MindIE asks for 656 MiB for each dp group of a host, and "
    "ends at once where they are not free; it must be a directory, no link.",
    remedy="ls -l /dev/shm shows what takes it. mount -o remount,size=64g /dev/shm makes it larger; to keep it, the "
    "same in /etc/fstab. Or mindie_ipc: private with mindie_shm_size.",
    source="MindIE-LLM, llm_daemon.cpp: SharedMemorySizeCheck",
)
def size(host: HostFacts, context: Context) -> Iterator[Problem]:
    memory, settings = host.surroundings.shared_memory, context.settings
    if isinstance(memory, Unknown) or settings.ipc != "host" or is_ours_running(host, settings):
        return
    if not memory.state.exists or memory.state.kind != "directory":
        says = f"it is a {memory.state.kind}" if memory.state.exists else "it does not exist"
        yield Problem(host.name, says, title="the host's /dev/shm is no directory")
        return
    hosts = context.size
    sizes = parallel_sizes(settings, hosts * settings.npus_per_host)
    needed = max(sizes.dp // hosts, 1) * SHARED_MEMORY_PER_GROUP
    if isinstance(memory.space, Unknown):
        yield Problem(host.name, memory.space.reason, kind="unknown")
    elif memory.space.available_bytes < needed:
        free, total = size_text(memory.space.available_bytes), size_text(memory.space.total_bytes)
        yield Problem(host.name, f"{free} free of {total} at /dev/shm, needed {size_text(needed)}")


@check(
    "os.shm-left",
    title="an earlier MindIE left files in the host's shared memory",
    severity="warn",
    command="ls /dev/shm/*llm_backend_* /dev/shm/llm_tokenizer_shared_memory_*",
    needs=NEEDS,
    unknown="info",
    why="A MindIE that was killed leaves them; the next one with the host's IPC namespace may hang or end over them.",
    remedy="Make sure that no MindIE runs on the host (docker ps; pgrep -a mindie), then rm /dev/shm/*llm_backend_* "
    "/dev/shm/llm_tokenizer_shared_memory_*",
    source="MindIE-LLM, prefill_decode_mixed_deployment.md",
    fix="shared-memory",
)
def left(host: HostFacts, context: Context) -> Iterator[Problem]:
    """A running MindIE, ours or another's (which is a conflict of its own), has its files there."""
    memory, settings = host.surroundings.shared_memory, context.settings
    if not isinstance(memory, SharedMemoryFacts) or not memory.files or settings.ipc != "host":
        return
    if is_ours_running(host, settings) or (not isinstance(host.engine, Unknown) and _someone_runs(host)):
        return
    names = ", ".join(state.path.rsplit("/", 1)[-1] for state in memory.files[:NAMED])
    more = f" and {len(memory.files) - NAMED} more" if len(memory.files) > NAMED else ""
    owners = sorted({state.owner for state in memory.files if state.owner})
    says = f"{names}{more}" + (f", of {', '.join(owners)}" if owners else "")
    # A privileged container, which monitoring often is, may be a MindIE as well.
    containers = () if isinstance(host.engine, Unknown) else host.engine.containers
    privileged = [one.name or one.id[:12] for one in containers if one.running and one.privileged]
    if privileged:
        says = f"{says}; the privileged container {privileged[0]} may use them"
        yield Problem(host.name, says, severity="info")
    else:
        yield Problem(host.name, says)


def _someone_runs(host: HostFacts) -> bool:
    """Whether a running container holds NPUs, whose files these may be."""
    return not isinstance(host.engine, Unknown) and any(
        container.running and container.devices for container in host.engine.containers
    )

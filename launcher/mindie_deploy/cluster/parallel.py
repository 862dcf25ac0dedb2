"""Parallel sizes against the number of hosts and NPUs.

W is the number of all NPUs, N of hosts, L = W / N of NPUs a host. MindIE checks these sizes in its workers, minutes
after the start; here they are checked before anything is touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from mindie_deploy.cluster.cross_rules import cross_problems
from mindie_deploy.cluster.host_settings import size_bytes
from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.image_archive import host_of
from mindie_deploy.cluster.problems import SettingProblem, SettingsError
from mindie_deploy.cluster.schema import PREFIX
from mindie_deploy.cluster.serving_settings import LARGEST_WORLD, UNSET
from mindie_deploy.cluster.settings import Settings

MAPPING = "MindIE-LLM, mapping.py: Mapping.validate"
ENGINE = "MindIE-LLM, llm_manager_impl.cpp: executors per host = dp / hosts"
RANK_TABLE = "MindIE-LLM, ranktable_config.cpp"
SHARED_MEMORY = "MindIE-LLM, llm_daemon.cpp: SharedMemorySizeCheck"
MOST_HOSTS = 60
SHARED_MEMORY_PER_GROUP = 656 * 1024**2 + 1024  # bytes of /dev/shm for each dp group of a host


@dataclass(frozen=True)
class ParallelSizes:
    """The sizes as MindIE will see them, unset ones resolved."""

    dp: int
    tp: int
    pp: int
    cp: int
    sp: int
    moe_tp: int
    moe_ep: int


def parallel_sizes(settings: Settings, world_size: int) -> ParallelSizes:
    """Resolves unset (-1) sizes: tp and moe_tp to all NPUs (tp with pp: all NPUs of a stage), others to 1.

    moe_tp takes GPUStack's rule, not MindIE's (which takes tp), because we always write it.
    """
    pp = max(settings.pipeline_parallel_size, 1)
    tp = settings.tensor_parallel_size
    moe_tp = settings.moe_tensor_parallel_size
    return ParallelSizes(
        dp=max(settings.data_parallel_size, 1),
        tp=max(world_size // pp, 1) if tp == UNSET else tp,
        pp=pp,
        cp=max(settings.context_parallel_size, 1),
        sp=max(settings.sequence_parallel_size, 1),
        moe_tp=world_size if moe_tp == UNSET else moe_tp,
        moe_ep=max(settings.moe_expert_parallel_size, 1),
    )


def parallel_problems(settings: Settings, host_count: int) -> list[SettingProblem]:
    """Returns every rule that the sizes break on this number of hosts."""
    return list(_problems(settings, host_count))


def validate(settings: Settings, hosts: Sequence[Host]) -> None:
    """Checks all rules between settings, those that need the hosts included. Raises SettingsError with all problems."""
    problems = [
        *cross_problems(settings),
        *parallel_problems(settings, len(hosts)),
        *_hub_problems(settings, [host.name for host in hosts]),
    ]
    if problems:
        raise SettingsError(problems)


def require_sources(settings: Settings, inventory: Collection[str]) -> None:
    """Checks that the hosts that weights or image come from are in the inventory; they need not be in the group.

    A host that is not there would make Ansible ask the resolver for a machine of that name. Raises SettingsError.
    """
    kind, _, rest = settings.weights_source.partition(":")
    named = {
        f"{PREFIX}weights_source": (settings.weights_source, rest.partition(":")[0] if kind == "host" else ""),
        f"{PREFIX}image_archive": (settings.image_archive, host_of(settings.image_archive)),
    }
    rule = f"is no host of the inventory; its hosts are {', '.join(inventory)}"
    problems = [
        SettingProblem(setting, value, f"{name} {rule}")
        for setting, (value, name) in named.items()
        if name and name not in inventory
    ]
    if problems:
        raise SettingsError(problems)


def _hub_problems(settings: Settings, names: Sequence[str]) -> Iterator[SettingProblem]:
    unknown = [one for one in settings.weights_hub_hosts if one not in names]
    if unknown:
        rule = f"{', '.join(unknown)}: no host of this deployment; its hosts are {', '.join(names)}"
        yield SettingProblem(f"{PREFIX}weights_hub_hosts", settings.weights_hub_hosts, rule)


def _problems(settings: Settings, hosts: int) -> Iterator[SettingProblem]:
    local = settings.npus_per_host
    world = hosts * local
    sizes = parallel_sizes(settings, world)
    cluster = f"{hosts} host{'' if hosts == 1 else 's'} x {local} NPUs = {world}"

    def problem(name: str, rule: str, source: str) -> SettingProblem:
        return SettingProblem(PREFIX + name, getattr(settings, name), f"{rule} ({source})")

    if hosts < 1:
        yield problem("npus_per_host", "there are no hosts", "the inventory's group `mindie`")
        return
    if hosts > MOST_HOSTS or world > LARGEST_WORLD:
        rule = f"{cluster}, but a rank table holds at most {MOST_HOSTS} hosts and {LARGEST_WORLD} NPUs"
        yield problem("npus_per_host", rule, RANK_TABLE)

    if sizes.pp > 1 and sizes.dp > 1:
        rule = f"{sizes.pp} excludes {PREFIX}data_parallel_size above 1, which is {sizes.dp}"
        yield problem("pipeline_parallel_size", rule, MAPPING)
    elif sizes.cp > 1 and sizes.dp > 1:
        rule = f"{sizes.cp} excludes {PREFIX}data_parallel_size above 1, which is {sizes.dp}"
        yield problem("context_parallel_size", rule, MAPPING)
    elif sizes.pp > 1 and sizes.cp > 1:
        rule = f"{sizes.cp} excludes {PREFIX}pipeline_parallel_size above 1, which is {sizes.pp}"
        yield problem("context_parallel_size", rule, MAPPING)
    elif sizes.pp > 1:
        if sizes.tp * sizes.pp != world:
            rule = f"tp x pp must be the number of NPUs: {sizes.tp} x {sizes.pp} = {sizes.tp * sizes.pp}, but {cluster}"
            yield problem("tensor_parallel_size", rule, MAPPING)
    elif sizes.cp > 1:
        if sizes.tp * sizes.cp != world:
            rule = f"tp x cp must be the number of NPUs: {sizes.tp} x {sizes.cp} = {sizes.tp * sizes.cp}, but {cluster}"
            yield problem("tensor_parallel_size", rule, MAPPING)
    elif sizes.dp * sizes.tp != world:
        rule = (
            f"dp x tp ({PREFIX}data_parallel_size x {PREFIX}tensor_parallel_size) must be the number of NPUs: "
            f"{sizes.dp} x {sizes.tp} = {sizes.dp * sizes.tp}, but {cluster}"
        )
        yield problem("data_parallel_size", rule, MAPPING)

    if sizes.pp == 1 and sizes.tp > local and sizes.tp != world:
        rule = f"{sizes.tp} must be at most the {local} NPUs of a host, or all {world}"
        yield problem("tensor_parallel_size", rule, MAPPING)
    if sizes.dp > 1 and sizes.dp % hosts:
        rule = f"{sizes.dp} must be 1 or a multiple of the {hosts} hosts"
        yield problem("data_parallel_size", rule, ENGINE)
    if sizes.sp > 1 and sizes.sp != sizes.tp:
        rule = f"{sizes.sp} must equal {PREFIX}tensor_parallel_size, which is {sizes.tp}"
        yield problem("sequence_parallel_size", rule, MAPPING)

    experts = sizes.moe_tp * sizes.moe_ep
    if experts != world:
        names = f"{PREFIX}moe_tensor_parallel_size x {PREFIX}moe_expert_parallel_size"
        rule = (
            f"moe_tp x moe_ep ({names}) must be the number of NPUs: "
            f"{sizes.moe_tp} x {sizes.moe_ep} = {experts}, but {cluster}"
        )
        unset = settings.moe_tensor_parallel_size == UNSET
        yield problem("moe_tensor_parallel_size" if unset else "moe_expert_parallel_size", rule, MAPPING)
    if sizes.moe_ep > 1 and sizes.moe_tp > local and sizes.moe_tp != world:
        rule = f"{sizes.moe_tp} must be at most the {local} NPUs of a host, or all {world}"
        yield problem("moe_tensor_parallel_size", rule, MAPPING)

    needed = max(sizes.dp // hosts, 1) * SHARED_MEMORY_PER_GROUP
    if settings.ipc != "host" and size_bytes(settings.shm_size) < needed:
        rule = f"must be at least {-(-needed // 1024**2)}m: MindIE asks for 656 MiB for each dp group of a host"
        yield problem("shm_size", rule, SHARED_MEMORY)

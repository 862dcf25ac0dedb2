"""The environment of the daemon on one host: a table of variables, each with its reason.

It is written as an env file (KEY=VALUE, taken literally) and read twice: by the engine when the container is made, and
by launch.sh after the image's set_env.sh files, which set some of these variables again (the log level, for one).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.mindie.versions import Version

FOUR_KIB_PAGES = 4096


@dataclass(frozen=True)
class Situation:
    """What the variables of one host depend on. `interface` is the NIC that has the host's address, if known."""

    settings: Settings
    host: Host
    leader: Host
    host_count: int
    config_path: str
    rank_table_path: str
    version: Version
    interface: str | None = None
    page_size: int | None = None

    @property
    def several(self) -> bool:
        """Whether this is a deployment over several hosts."""
        return self.host_count > 1


Value = Callable[[Situation], str | None]


@dataclass(frozen=True)
class Variable:
    """One variable: `value` gives its text, or None where it stays unset; `why` the reason and source."""

    name: str
    value: Value
    why: str


def _always(text: str) -> Value:
    return lambda _: text


def _across_hosts(text: str) -> Value:
    return lambda situation: text if situation.several else None


def _eager(normal: str) -> Value:
    """A switch of asynchronous execution: off with enforce_eager."""
    return lambda situation: "0" if situation.settings.enforce_eager else normal


def _async_scheduling(situation: Situation) -> str:
    settings = situation.settings
    off = settings.enforce_eager or settings.enable_split or settings.max_batch_size <= 50
    return "0" if off else "1"


def _world_size(situation: Situation) -> str | None:
    return str(situation.host_count * situation.settings.npus_per_host) if situation.several else None


def _direct_post(situation: Situation) -> str | None:
    return "TRUE" if situation.page_size not in (None, FOUR_KIB_PAGES) else None


def _switch(name: str) -> Value:
    return lambda situation: "1" if getattr(situation.settings, name) else "0"


def _number(name: str) -> Value:
    return lambda situation: str(getattr(situation.settings, name))


def _interface(situation: Situation) -> str | None:
    return situation.interface if situation.several else None


VARIABLES: tuple[Variable, ...] = (
    Variable("MIES_CONFIG_JSON_PATH", lambda s: s.config_path, "config.json outside of the image"),
    Variable(
        "MIES_CONTAINER_IP",
        lambda s: s.host.address,
        "which entry of the rank table this host is; without it MindIE resolves its own host name, which may stall",
    ),
    Variable(
        "WORLD_SIZE", _world_size, "README of DeepSeek-R1: all NPUs, although worldSize in config.json is a host's"
    ),
    Variable(
        "MASTER_IP", lambda s: s.leader.address if s.several else None, "torch's process group (torch, or pp > 1)"
    ),
    Variable(
        "MASTER_PORT",
        lambda s: str(s.settings.master_port) if s.several else None,
        "torch's process group (torch, or pp > 1)",
    ),
    Variable("GLOO_SOCKET_IFNAME", _interface, "else gloo may take 127.0.0.1 and is refused (MindIE FAQ)"),
    Variable("HCCL_SOCKET_IFNAME", _interface, "the NIC for HCCL's control traffic; a wrong one is EI0001 or EI0006"),
    Variable("ATB_LLM_HCCL_ENABLE", _across_hosts("1"), "README of DeepSeek-R1: HCCL between hosts"),
    Variable("ATB_LLM_COMM_BACKEND", _across_hosts("hccl"), "README of DeepSeek-R1: HCCL between hosts"),
    Variable("HCCL_CONNECT_TIMEOUT", _number("hccl_connect_timeout"), "ranks load at different speeds"),
    Variable("HCCL_EXEC_TIMEOUT", _number("hccl_exec_timeout"), "README of DeepSeek-R1"),
    Variable(
        "HCCL_DETERMINISTIC",
        lambda s: "true" if s.settings.hccl_deterministic else "false",
        "README of DeepSeek-R1 true, other recipes false for speed",
    ),
    Variable("HCCL_OP_EXPANSION_MODE", _always("AIV"), "msprechecker asks for it on A2"),
    Variable(
        "HCCL_RDMA_PCIE_DIRECT_POST_NOSTRICT",
        _direct_post,
        "only where memory pages are not 4 KiB: RDMA is slow there without it (msprechecker)",
    ),
    Variable("NPU_MEMORY_FRACTION", _number("npu_memory_fraction"), "the share of NPU memory"),
    Variable(
        "PYTORCH_NPU_ALLOC_CONF", _always("expandable_segments:True"), "README of DeepSeek-R1: less fragmentation"
    ),
    Variable("ATB_WORKSPACE_MEM_ALLOC_ALG_TYPE", _always("3"), "msprechecker: workspace is reused"),
    Variable("ATB_WORKSPACE_MEM_ALLOC_GLOBAL", _always("1"), "msprechecker: workspace is reused"),
    Variable("ATB_LAYER_INTERNAL_TENSOR_REUSE", _always("1"), "msprechecker: tensors are reused"),
    Variable("ATB_LLM_ENABLE_AUTO_TRANSPOSE", _always("0"), "msprechecker reports an error otherwise"),
    Variable("ATB_OPERATION_EXECUTE_ASYNC", _eager("1"), "host and NPU work at the same time"),
    Variable("TASK_QUEUE_ENABLE", _eager("2"), "host and NPU work at the same time (msprechecker)"),
    Variable("ASCEND_LAUNCH_BLOCKING", lambda s: "1" if s.settings.enforce_eager else None, "only to find faults"),
    Variable(
        "MINDIE_ASYNC_SCHEDULING_ENABLE", _async_scheduling, "not with split fuse, nor batches up to 50 (GPUStack)"
    ),
    Variable("OMP_NUM_THREADS", _number("omp_num_threads"), "README of DeepSeek-R1: loading takes hours otherwise"),
    Variable("MIES_SERVICE_MONITOR_MODE", _switch("metrics"), "/metrics answers 500 without"),
    Variable("MINDIE_LOG_LEVEL", _number("log_level"), "shows the stages of loading"),
    Variable("MINDIE_LOG_TO_STDOUT", _always("1"), "the engine keeps the log, so that it outlives the daemon"),
    Variable("MINDIE_LOG_TO_FILE", _always("0"), "one log, not two"),
    Variable("ASCEND_GLOBAL_LOG_LEVEL", _always("3"), "CANN: errors only"),
    Variable("ASCEND_SLOG_PRINT_TO_STDOUT", _always("0"), "CANN's log stays in ~/ascend/log"),
    Variable(
        "HOME", lambda s: "/root" if s.settings.container_user.split(":")[0] == "0" else None, "log paths need it"
    ),
    Variable("LANG", _always("C.UTF-8"), "'ascii' codec errors otherwise (MindIE FAQ)"),
    Variable("PYTHONIOENCODING", _always("utf-8"), "'ascii' codec errors otherwise (MindIE FAQ)"),
)


def environment(situation: Situation) -> dict[str, str]:
    """Returns the variables of one host, the user's own last, which win."""
    result: dict[str, str] = {}
    if situation.several:
        # On one host the model library would read a table that the daemon ignores, so there it is unset.
        for name in situation.version.rank_table_variables:
            result[name] = situation.rank_table_path
    for variable in VARIABLES:
        value = variable.value(situation)
        if value is not None:
            result[variable.name] = value
    for name, text in situation.settings.environment.items():
        result[name] = str(text)
    return result


def environment_text(variables: dict[str, str]) -> str:
    """Returns the env file: a line KEY=VALUE each, sorted, so that a difference shows the change and nothing else."""
    return "".join(f"{name}={value}\n" for name, value in sorted(variables.items()))

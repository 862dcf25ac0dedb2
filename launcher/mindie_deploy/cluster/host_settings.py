"""Settings: the hosts' hardware, the container, and what is written into it."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from mindie_deploy.cluster.paths import PATH_LETTERS, host_path
from mindie_deploy.cluster.schema import SettingGroup, setting
from mindie_deploy.cluster.secret_names import is_secret_name

SIZE = re.compile(r"(?P<number>[1-9][0-9]{0,5})(?P<unit>[kmgKMG])[bB]?")
UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}
ULIMIT = re.compile(r"(-1|[0-9]+)(:(-1|[0-9]+))?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Variables with one right value, which follows from the inventory, the facts or another setting.
OWNED_VARIABLES = {
    "MIES_CONTAINER_IP": "differs on every host and follows from the inventory",
    "HOST_IP": "would let a host find itself in the rank table by another way than MIES_CONTAINER_IP",
    "RANK_TABLE_FILE": "is the rank table made from the running NPUs",
    "RANKTABLEFILE": "is the rank table made from the running NPUs",
    "MIES_CONFIG_JSON_PATH": "is the rendered config.json",
    "WORLD_SIZE": "is the number of all NPUs",
    "RANK": "is set by MindIE for its workers",
    "LOCAL_RANK": "is set by MindIE for its workers",
    "MASTER_IP": "is the leader's address",
    "MASTER_PORT": "is set by mindie_master_port",
    "NPU_MEMORY_FRACTION": "is set by mindie_npu_memory_fraction",
    "MIES_SERVICE_MONITOR_MODE": "is set by mindie_metrics",
    "MINDIE_LOG_LEVEL": "is set by mindie_log_level",
    "OMP_NUM_THREADS": "is set by mindie_omp_num_threads",
    "HCCL_CONNECT_TIMEOUT": "is set by mindie_hccl_connect_timeout",
    "HCCL_EXEC_TIMEOUT": "is set by mindie_hccl_exec_timeout",
    "HCCL_DETERMINISTIC": "is set by mindie_hccl_deterministic",
    "CPU_BINDING_NUM": "always fails MindIE's own type check when it comes from the environment",
    "ASCEND_RT_VISIBLE_DEVICES": "must be unset: the rank table names every NPU of the host",
    "NPU_VISIBLE_DEVICES": "must be unset: the rank table names every NPU of the host",
    "NPU_DEVICE_IDS": "must be unset: the rank table names every NPU of the host",
    "PATH": "is built up by the image's set_env.sh files; replacing it hides MindIE's programs",
    "LD_LIBRARY_PATH": "is built up by the image's set_env.sh files; replacing it hides MindIE's libraries",
    "PYTHONPATH": "is built up by the image's set_env.sh files; replacing it hides MindIE's packages",
}
# Variables whose values MindIE's workers check, minutes after the start (MindIE-LLM, env.py).
CHECKED_VARIABLES = {
    "HCCL_BUFFSIZE": (re.compile(r"[1-9][0-9]{0,5}"), "a whole number of MB, such as 512"),
    "RESERVED_MEMORY_GB": (re.compile(r"[0-9]|[1-5][0-9]|6[0-3]"), "a whole number from 0 to 63"),
    "TOKENIZER_ENCODE_TIMEOUT": (re.compile(r"[5-9]|[1-9][0-9]|[12][0-9]{2}|300"), "a whole number from 5 to 300"),
    "BIND_CPU": (re.compile(r"[01]"), "0 or 1"),
    "INF_NAN_MODE_ENABLE": (re.compile(r"[01]"), "0 or 1"),
    "MINDIE_ASYNC_SCHEDULING_ENABLE": (re.compile(r"[01]"), "0 or 1"),
}
PROXY_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
LONGEST_VALUE = 256  # MindIE takes a longer value of its own variables for unset (MindIE-LLM, env_util.cpp)


class HardwareSettings(SettingGroup):
    """What every host should have."""

    TITLE: ClassVar[str] = "Hosts"

    npus_per_host: int = setting(
        8, "NPUs of every host, all of them used.", ge=1, le=16, why="Atlas 800T A2 and 800I A2 have eight"
    )
    npu_chip: str = setting("910B3", "Name of the chip as npu-smi shows it.", why="Atlas 800T A2")
    hbm_total_mib: int = setting(65536, "Memory of one NPU as npu-smi shows it.", unit="MiB", ge=1024, le=1048576)
    npu_smi_path: str = setting(
        "",
        "Where npu-smi is on the hosts; empty: looked for in /usr/local/bin and /usr/local/sbin.",
        accepts='"" or an absolute path',
        example="/opt/ascend/npu-smi",
    )
    hccn_tool_path: str = setting(
        "",
        "Where hccn_tool is on the hosts; empty: the driver's tools directory, /usr/bin, the PATH.",
        accepts='"" or an absolute path',
        example="/opt/ascend/hccn_tool",
    )

    @field_validator("npu_chip")
    @classmethod
    def _npu_chip(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_ -]{1,32}", value):
            raise ValueError('must be a chip name such as "910B3"')
        return value

    @field_validator("npu_smi_path", "hccn_tool_path")
    @classmethod
    def _tool_path(cls, value: str) -> str:
        return host_path(value) if value else value


class ContainerSettings(SettingGroup):
    """How the container is run."""

    TITLE: ClassVar[str] = "Container"

    shm_size: str = setting(
        "1g",
        "Size of /dev/shm in the container; without effect while ipc is host, where the host's own counts.",
        why="GPUStack's tutorial. MindIE asks for 656 MiB per local dp group",
        accepts="a size such as 512m, 1g or 64g",
    )
    ipc: Literal["host", "private", "shareable"] = setting("host", "IPC namespace.", why="GPUStack's tutorial")
    privileged: bool = setting(
        False,
        "Give the container all devices and rights.",
        why="not needed: the NPUs' devices are given one by one (GPUStack's tutorial does so too)",
    )
    mounts: list[str] = setting(
        [],
        "Further mounts.",
        accepts='a list of "source:destination" or "source:destination:ro", absolute paths',
        example='["/data/cache:/data/cache"]',
    )
    ulimits: dict[str, str] = setting(
        {},
        "Limits of the container's processes.",
        why="the engine's own; raise nofile to 65536 where HCCL reports socket time-outs",
        accepts='a dictionary of name and "soft:hard"',
        example='{"nofile": "65536:65536", "memlock": "-1:-1"}',
    )
    log_options: dict[str, str] = setting(
        {},
        "Options of the engine's log driver.",
        why="the engine's own, because options depend on its driver",
        accepts="a dictionary of texts",
        example='{"max-size": "100m", "max-file": "5"}',
    )

    @field_validator("shm_size")
    @classmethod
    def _shm_size(cls, value: str) -> str:
        if not SIZE.fullmatch(value):
            raise ValueError("must be a size such as 512m, 1g or 64g")
        return value

    @field_validator("mounts")
    @classmethod
    def _mounts(cls, value: list[str]) -> list[str]:
        for mount in value:
            parts = mount.split(":")
            if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
                raise ValueError(f'"{mount}" must be "source:destination", ":ro" or ":rw" behind it')
            for part in parts[:2]:
                if not part.startswith("/") or not PATH_LETTERS.fullmatch(part) or ".." in part.split("/"):
                    raise ValueError(f'"{part}" in "{mount}" must be an absolute path of letters, digits and _ . / -')
        return value

    @field_validator("ulimits")
    @classmethod
    def _ulimits(cls, value: dict[str, str]) -> dict[str, str]:
        for name, limit in value.items():
            if not re.fullmatch(r"[a-z]+", name) or not ULIMIT.fullmatch(limit):
                raise ValueError(f'"{name}: {limit}" must be a name and numbers, such as nofile: "65536:65536"')
        return value


class EnvironmentSettings(SettingGroup):
    """Environment of the daemon, and overrides of config.json."""

    TITLE: ClassVar[str] = "Environment and overrides"

    omp_num_threads: int = setting(
        1,
        "OMP_NUM_THREADS.",
        ge=1,
        le=1024,
        why="README of DeepSeek-R1: with more, threads fight and loading takes hours; other recipes use 10",
    )
    hccl_connect_timeout: int = setting(
        7200, "How long ranks wait for each other.", unit="s", ge=120, le=7200, why="README of DeepSeek-R1"
    )
    hccl_exec_timeout: int = setting(
        0,
        "Time limit of one collective operation; 0: none.",
        unit="s",
        ge=0,
        le=2147483647,
        why="README of DeepSeek-R1; hosts are watched from outside instead",
    )
    hccl_deterministic: bool = setting(
        False, "Same sums in the same order: repeatable answers.", why="slower; documents advise it for comparisons"
    )
    environment: dict[str, str | int] = setting(
        {},
        "Further variables; they win over the rendered ones. Never put a secret here: it is written to the hosts.",
        accepts="a dictionary of names and texts or whole numbers",
        example='{"HCCL_BUFFSIZE": "512"}',
    )
    config_overrides: dict[str, Any] = setting(
        {},
        "Merged into config.json last, key by key; null removes a key. The result is checked against MindIE's rules.",
        accepts="a dictionary in the form of config.json",
        example='{"ServerConfig": {"fullTextEnabled": true}}',
    )

    @field_validator("environment")
    @classmethod
    def _environment(cls, value: dict[str, str | int]) -> dict[str, str | int]:
        for name, text in value.items():
            if not VARIABLE.fullmatch(name):
                raise ValueError(f'"{name}" is not a name of a variable')
            if name in OWNED_VARIABLES:
                raise ValueError(f"{name} {OWNED_VARIABLES[name]}")
            if name.lower() in PROXY_VARIABLES:
                raise ValueError(f"{name}: a proxy has no effect, MindIE is started without any")
            if is_secret_name(name):
                raise ValueError(f"{name} looks like a secret: this file is written to every host in plain text")
            if isinstance(text, str) and not (text.isprintable() and text.isascii()):
                raise ValueError(f"{name} must be one line of printable ASCII")
            if isinstance(text, bool):
                raise ValueError(f'{name} must be text: write "1" or "0", "true" or "false" with quotes')
            pattern, words = CHECKED_VARIABLES.get(name, (None, ""))
            if pattern is not None and not pattern.fullmatch(str(text)):
                raise ValueError(f"{name} must be {words}")
            if name.startswith(("MIES_", "MINDIE_")) and len(str(text)) > LONGEST_VALUE:
                raise ValueError(f"{name} is longer than {LONGEST_VALUE} characters, which MindIE takes for unset")
        return value


def size_bytes(size: str) -> int:
    """Returns the bytes of a checked size such as "1g" (powers of 1024)."""
    found = SIZE.fullmatch(size)
    if not found:
        raise ValueError(f"not a size: {size!r}")
    return int(found["number"]) * UNITS[found["unit"].lower()]

"""BackendConfig (source 1.4): devices, multi-node switch and port, TLS between hosts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import checks, files
from .checks import Field, RefusedError, Say

FIELDS = (
    Field("backendName", "string"),
    Field("modelInstanceNumber", "uint32", low=1, high=10),
    Field("npuDeviceIds", "array"),
    Field("tokenizerProcessNumber", "uint32", low=1, high=32),
    # Listed as optional, in fact required (source 1.4): both switches.
    Field("multiNodesInferEnabled", "bool"),
    Field("multiNodesInferPort", "int32", required=False, default=1120, low=1024, high=65535),
    Field("interNodeTLSEnabled", "bool"),
    Field("ScheduleConfig", "object"),
    Field("ModelDeployConfig", "object"),
    Field("kvPoolConfig", "object", required=False),
)
TLS_FIELDS = (
    Field("interNodeTlsCaPath", "string"),
    Field("interNodeTlsCaFiles", "array"),
    Field("interNodeTlsCert", "string"),
    Field("interNodeTlsPk", "string"),
    Field("interNodeTlsCrlPath", "string"),
    Field("interNodeTlsCrlFiles", "array"),
)
KV_POOLS = ("", "unifiedcache", "mooncake", "memcache")
PROBLEM = "Failed to initialize BackendConfig from JSON."


@dataclass(frozen=True)
class BackendConfig:
    """The engine side as config.json states it; `device_ids` are those of a single node."""

    multi_node: bool
    port: int
    tls: bool
    tokenizers: int
    device_ids: tuple[int, ...]


def parse(data: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Types, required keys, and that npuDeviceIds agrees with worldSize, which is looked at before the rank table."""
    values = checks.read("BackendConfig", data, FIELDS, say)
    sets = values["npuDeviceIds"]
    for members in sets:
        if not isinstance(members, list):
            say(f"The type of param in each npuDeviceIds set should be array, but is {checks.type_name(members)}")
            raise RefusedError(PROBLEM)
        for member in members:
            if not checks.of_kind(member, "int32") or member < 0:
                say(f"The values of npu_ids should not be less than 0, but got {member}")
                raise RefusedError(PROBLEM)
    if values["interNodeTLSEnabled"]:
        values.update(checks.read("BackendConfig", data, TLS_FIELDS, say))
    if len(sets) != values["modelInstanceNumber"]:
        say("The size of npuDeviceIds does not equal to modelInstanceNumber")
        raise RefusedError(PROBLEM)
    for size in _world_sizes(values["ModelDeployConfig"]):
        # Source 0, point 3: they are replaced in multi-node, yet must agree with each other before that.
        if any(len(members) != size for members in sets):
            say("The size of npuDeviceIds (subset) does not equal to worldSize")
            raise RefusedError(PROBLEM)
    return values


def check(values: dict[str, Any], local_ids: Sequence[int] | None, home: Path, say: Say) -> BackendConfig | None:
    """Ranges, names, repeated device ids, TLS files. `local_ids` are the rank table's in multi-node, else None."""
    sound = checks.in_range(values, FIELDS, say)
    if len(values["backendName"]) > 50 or not values["backendName"]:
        say("The length of backendName exceeds 50.")
        sound = False
    elif not re.fullmatch(r"[a-z]+(?:_[a-z]+)*", values["backendName"]):
        say("The pattern of backendName is invalid.")
        sound = False
    pool = values["kvPoolConfig"] or {}
    if pool.get("backend", "") not in KV_POOLS:
        say("Unknow kv pool backend. And only [`unifiedcache`, `mooncake`, `memcache`, ``] is available!")
        sound = False
    if len(str(pool.get("configPath", ""))) > 500:
        say("The length of kvPool Config Path exceeds 500.")
        sound = False
    if values["multiNodesInferEnabled"] and values["modelInstanceNumber"] != 1:
        say("Parameter modelInstanceNumber should be 1 when multiNodesInferEnabled is true.")
        sound = False
    device_ids = tuple(local_ids) if local_ids is not None else tuple(values["npuDeviceIds"][0])
    # Source 0, point 2: a host that finds no entry of its own has an empty list, and this is the line that tells of it.
    # Two equal ids of one host leave a set smaller than the count (source 2), with the same line.
    if not device_ids or len(set(device_ids)) != len(device_ids):
        say("npuDeviceID does not allow repetitive element")
        sound = False
    if values["interNodeTLSEnabled"] and not _tls_sound(values, home, say):
        say("Backend inter tls config is invalid")
        sound = False
    if not sound:
        return None
    return BackendConfig(
        multi_node=values["multiNodesInferEnabled"],
        port=values["multiNodesInferPort"],
        tls=values["interNodeTLSEnabled"],
        tokenizers=values["tokenizerProcessNumber"],
        device_ids=device_ids,
    )


def _world_sizes(deploy: Mapping[str, Any]) -> list[int]:
    """worldSize of every entry that has a usable one; the others are complained of by the model's own checks."""
    entries = deploy.get("ModelConfig")
    if not isinstance(entries, list):
        return []
    sizes = [entry.get("worldSize") for entry in entries if isinstance(entry, dict)]
    return [size for size in sizes if isinstance(size, int) and not isinstance(size, bool)]


def _tls_sound(values: Mapping[str, Any], home: Path, say: Say) -> bool:
    authorities, revoked = values["interNodeTlsCaFiles"], values["interNodeTlsCrlFiles"]
    if not 1 <= len(authorities) <= 3:
        say("interNodeTlsCaFiles size is invalid")
        return False
    if len(revoked) > 3:
        say("interNodeTlsCrlFiles size is invalid")
        return False
    wanted = [home / values["interNodeTlsCert"], home / values["interNodeTlsPk"]]
    wanted += [home / values["interNodeTlsCaPath"] / str(name) for name in authorities]
    sound = all(files.own_file(str(path), say) for path in wanted)
    directory = values["interNodeTlsCrlPath"]
    # Source 1.4: the directory is held against 640 as if it were a file, so every ordinary one is refused.
    if directory and (home / directory).is_dir() and (home / directory).stat().st_mode & 0o137:
        say(f"Check path: {directory} failed, by: the mode is wider than 640.")
        sound = False
    return sound

"""config.json and the rank table together: what the daemon takes on, or why it refuses (source 4.1 step 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import backend_config, checks, files, model_config, rank_table, schedule_config, server_config
from .checks import RefusedError, Say

CHECK_FAILED = "[ConfigManager] Checking Config Failed"


@dataclass(frozen=True)
class Configuration:
    """Everything that was accepted. `table` is None on a single node."""

    server: server_config.ServerConfig
    backend: backend_config.BackendConfig
    model: model_config.ModelConfig
    schedule: dict[str, Any]
    table: rank_table.RankTable | None

    @property
    def leads(self) -> bool:
        """Whether this host serves HTTP: a single node, or the host of rank 0."""
        return self.table is None or (self.table.local is not None and self.table.local.leads)


def load(path: str, home: Path, environ: Mapping[str, str], say: Say) -> Configuration:
    """Raises RefusedError after its complaints, and rank_table.SegmentationFaultError where the real one crashes."""
    if not files.own_file(path, say):
        say("ConfigManager: Get config path failed.")
        raise RefusedError("invalid config path")
    say(f"ConfigManager: Load Config from {path}.")
    try:
        return _load(path, home, environ, say)
    except RefusedError as error:
        say(f"ConfigManager init exception: {error}")
        raise


def _load(path: str, home: Path, environ: Mapping[str, str], say: Say) -> Configuration:
    try:
        data = checks.parse_json(Path(path).read_text(encoding="utf-8-sig"))
    except ValueError as error:
        say("Json file is invalid. Please check json format! ")
        raise RefusedError(f"JSON error in ConfigManager: {error}") from error
    if not isinstance(data, dict):
        raise RefusedError("JSON error in ConfigManager: an object is expected")
    server_values = server_config.parse(_section(data, "ServerConfig", say), say)
    backend_values = backend_config.parse(_section(data, "BackendConfig", say), say)
    schedule_values = schedule_config.parse(backend_values["ScheduleConfig"], say)
    model_values = model_config.parse(backend_values["ModelDeployConfig"], say)
    table: rank_table.RankTable | None = None
    # Source 0, point 1: only this key switches multi-node on, never the environment.
    if backend_values["multiNodesInferEnabled"] or schedule_values["distributedEnable"]:
        table = rank_table.load(environ, say)
        if backend_values["multiNodesInferEnabled"]:
            say("Update worldSize and npuDeviceIds of backend config successfully for Multi Nodes Inference.")
    if not backend_values["multiNodesInferEnabled"]:
        table = None  # read, then left aside
    if "EnableDynamicAdjustTimeoutConfig" not in data:
        say("The configName EnableDynamicAdjustTimeoutConfig is not found, using default value false.")
    # Said before the ranges are looked at: the real one checks them once its manager stands.
    say("[ConfigManager::InitConfigManager] Successfully init config manager")
    local_ids = None
    if table is not None:
        # In the order of a set, that is sorted (source 2); two equal ids are one too few.
        ids = [device.device_id for device in table.local.devices] if table.local else []
        local_ids = sorted(ids)
    server = server_config.check(server_values, environ, home, say)
    backend = backend_config.check(backend_values, local_ids, home, say)
    schedule_sound = schedule_config.check(schedule_values, say)
    model = model_config.check(model_values, schedule_values, say)
    if server is None or backend is None or model is None or not schedule_sound:
        raise RefusedError(CHECK_FAILED)
    # The only rule between ports at load (source 1.3).
    if server.port == backend.port:
        say("Endpoint port cannot be equal to multiNodesInferPort.")
        raise RefusedError(CHECK_FAILED)
    return Configuration(server, backend, model, schedule_values, table)


def _section(data: Mapping[str, Any], name: str, say: Say) -> dict[str, Any]:
    section = data.get(name)
    if not isinstance(section, dict):
        say(f"The type of param {name} should be object, but got {checks.type_name(section)}")
        raise RefusedError(f"Failed to initialize {name} from JSON.")
    return section

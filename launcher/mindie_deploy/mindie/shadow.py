"""The shadow of the model directory: links to its files, and our own copies of the small ones that a setting changes.

The user's weights are never edited. MindIE is pointed at the shadow only where a setting needs it, as GPUStack does
it (gpustack 0.7.1, ascend_mindie.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindie_deploy.cluster.settings import Settings

CONFIGURATION = "config.json"
GENERATION = "generation_config.json"
# GPUStack's short names for what the weights' config.json calls torch_dtype.
TORCH_TYPES = {"half": "float16", "float": "float32"}


def shadow_directory(settings: Settings) -> str:
    """Returns where the shadow is, on every host and inside the container."""
    return f"{settings.state_directory}/{settings.deployment}/model"


def shadow_changes(settings: Settings) -> dict[str, dict[str, Any]]:
    """Returns the values to set in the model's small files, by file; empty when no setting asks for any."""
    configuration: dict[str, Any] = {}
    if settings.dtype != "auto":
        configuration["torch_dtype"] = TORCH_TYPES.get(settings.dtype, settings.dtype)
    if settings.rope_scaling:
        configuration["rope_scaling"] = settings.rope_scaling
    if settings.rope_theta:
        configuration["rope_theta"] = settings.rope_theta
    changes: Mapping[str, dict[str, Any]] = {
        CONFIGURATION: configuration,
        GENERATION: settings.override_generation_config,
    }
    return {name: values for name, values in changes.items() if values}


def weights_path(settings: Settings) -> str:
    """Returns the directory that MindIE loads: the model itself, or its shadow where a setting changes a file of it."""
    return shadow_directory(settings) if shadow_changes(settings) else settings.model_path

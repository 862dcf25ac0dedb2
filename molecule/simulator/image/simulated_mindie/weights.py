"""What the daemon itself looks at in the weights directory (source 1.2): its path, and the JSON files in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import checks, files
from .checks import Say


def directory(path: str, say: Say) -> str | None:
    """The resolved weights directory with a readable config.json, or None when the daemon refuses it."""
    real = files.weights_directory(path, say)
    if real is None:
        return None
    if read_config(real, say) is None:
        # The line that users meet (fault 49).
        say("Failed check model config.json!")
        return None
    generation = Path(real) / "generation_config.json"
    if not generation.is_file():
        # Only a warning (source 1.2).
        say("[WARN] generation_config.json is missing in the weights; sampling defaults of MindIE are used.")
    elif not files.weights_json(generation, say):
        return None
    return real


def read_config(directory_path: str, say: Say) -> dict[str, Any] | None:
    """The weights' config.json as an object, or None when it is missing, not allowed or no JSON object."""
    path = Path(directory_path) / "config.json"
    if not files.weights_json(path, say):
        return None
    try:
        data = checks.parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        say(f"ERR: model config.json file is invalid. Please check it! {error}")
        return None
    if not isinstance(data, dict):
        say("ERR: model config.json file is invalid. Please check it!")
        return None
    return data

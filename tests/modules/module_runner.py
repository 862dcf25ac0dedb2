"""Runs a module of ours in this process, the way Ansible would on a host, and returns what it printed."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.module_utils.testing import patch_module_args

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
MODULES, UTILITIES = PLUGINS / "modules", PLUGINS / "module_utils"
# Ansible sends a module with the utilities that it imports; here they are found where they stand.
ansible.module_utils.__path__.append(str(UTILITIES))


def load(name: str) -> Any:
    """Imports a module of plugins/modules under its own name."""
    specification = importlib.util.spec_from_file_location(name, MODULES / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(module_name: str, /, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """Returns the JSON result of one run; `failed` is in it when the module failed."""
    module = load(module_name)
    out = io.StringIO()
    values = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
    with (
        patch_module_args(values),
        contextlib.redirect_stdout(out),
        contextlib.chdir("."),  # a module may leave the directory
        contextlib.suppress(SystemExit),
    ):
        module.main()
    result: dict[str, Any] = json.loads(out.getvalue())
    return result

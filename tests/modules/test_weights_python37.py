"""The modules of the weights run on hosts with Python 3.7 and nothing else."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.modules.module_runner import MODULES, UTILITIES
from tests.modules.weights_world import World

NAMES = ("mindie_weights_scan", "mindie_weights_serve", "mindie_weights_fetch")
# Just enough of ansible.module_utils.basic for a module to run without Ansible, which no longer supports 3.7 itself.
STAND_IN = """
import json, sys
class AnsibleModule(object):
    def __init__(self, argument_spec, supports_check_mode):
        given = json.load(sys.stdin)
        self.params = {name: given.get(name, spec.get("default")) for name, spec in argument_spec.items()}
        self.check_mode = False
    def exit_json(self, **result):
        print(json.dumps(result))
        sys.exit(0)
    def fail_json(self, **result):
        print(json.dumps(dict(result, failed=True)))
        sys.exit(1)
"""


@pytest.mark.parametrize("name", NAMES)
def test_they_import_nothing_but_the_standard_library_and_basic(name: str) -> None:
    tree = ast.parse((MODULES / f"{name}.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "ansible.module_utils.basic" in imported
    assert not {module for module in imported if module and module.split(".")[0] in ("mindie_deploy", "plugins")}


def python37() -> list[str] | None:
    """Returns a command that is Python 3.7, where this machine has one."""
    found = shutil.which("python3.7")
    if found is None:
        return None
    command = ["env", "PYENV_VERSION=3.7", found]
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    return command if said.returncode == 0 and "3.7" in said.stdout else None


@pytest.mark.skipif(python37() is None, reason="no Python 3.7 here")
def test_scan_serve_and_fetch_run_on_it(tmp_path: Path) -> None:
    world = World(tmp_path / "world", {"model-00001-of-00001.safetensors": 2_000_000, "config.json": 10})
    package = tmp_path / "ansible" / "module_utils"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    for path in UTILITIES.glob("*.py"):
        shutil.copy(path, package)
    (package / "basic.py").write_text(STAND_IN)

    def run(name: str, **arguments: object) -> dict[str, object]:
        command = [*(python37() or ()), str(MODULES / f"{name}.py")]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        said = subprocess.run(
            command, input=json.dumps(arguments), capture_output=True, text=True, check=False, env=environment
        )
        result: dict[str, object] = json.loads(said.stdout)
        assert not result.get("failed"), said.stdout + said.stderr
        return result

    state = {"state_directory": str(world.state)}
    secret = {"secret_file": str(world.secret)}
    scanned = run("mindie_weights_scan", directory=str(world.source), mode="remembered", **state)
    assert scanned["files"] == world.manifest["files"] or scanned["hashed"] == 2
    served = run(
        "mindie_weights_serve",
        state="started",
        directory=str(world.source),
        files=list(world.contents),
        address="127.0.0.1",
        port=18413,
        lifetime=30,
        **state,
        **secret,
    )
    try:
        run("mindie_weights_fetch", **world.arguments(source={"kind": "http", "url": served["url"], **secret}))
    finally:
        run("mindie_weights_serve", state="stopped", **state, **secret)
    assert world.at_final() == world.contents

"""The modules of the weights run on hosts with Python 3.7 and nothing else."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.modules.module_runner import MODULES, UTILITIES
from tests.modules.weights_world import AGENT, World, exchange_of, free_port, whole

NAMES = ("mindie_weights_scan", "mindie_weights_exchange", "mindie_weights_place")
# Just enough of ansible.module_utils.basic for a module to run without Ansible, which no longer supports 3.7 itself.
STAND_IN = """
import json, sys
class AnsibleModule(object):
    def __init__(self, argument_spec, supports_check_mode, required_if=()):
        given = json.load(sys.stdin)
        self.params = {name: given.get(name, spec.get("default")) for name, spec in argument_spec.items()}
        self.check_mode = False
        self._diff = False
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
def test_a_model_goes_from_one_host_to_another_with_it(tmp_path: Path) -> None:
    sizes = {"model-00001-of-00001.safetensors": 2_000_000, "config.json": 10}
    giver, taker = World(tmp_path / "giver", sizes), World(tmp_path / "taker", sizes)
    package = tmp_path / "ansible" / "module_utils"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    for path in UTILITIES.glob("*.py"):
        shutil.copy(path, package)
    (package / "basic.py").write_text(STAND_IN)

    def run(name: str, **arguments: Any) -> dict[str, Any]:
        command = [*(python37() or ()), str(MODULES / f"{name}.py")]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        said = subprocess.run(
            command, input=json.dumps(arguments), capture_output=True, text=True, check=False, env=environment
        )
        result: dict[str, Any] = json.loads(said.stdout)
        assert not result.get("failed"), said.stdout + said.stderr
        return result

    def agent(world: World, state: str, **more: Any) -> dict[str, Any]:
        where = {"state_directory": str(world.state), "status_file": str(world.status_file)}
        return run("mindie_weights_exchange", state=state, **where, **more)

    for name, content in giver.contents.items():
        giver.final.mkdir(parents=True, exist_ok=True)
        (giver.final / name).write_bytes(content)
    state = {"state_directory": str(giver.state)}
    scanned = run("mindie_weights_scan", directory=str(giver.final), mode="remembered", **state)
    assert scanned["files"] == sorted(giver.manifest["files"], key=lambda row: str(row["name"]))
    run("mindie_weights_place", **taker.arguments("prepared"))
    exchange = exchange_of(free_port(), {"giver": giver}, {"taker": taker})
    try:
        for name, world in (("giver", giver), ("taker", taker)):
            started = agent(world, "started", agent=AGENT, plan=json.dumps(exchange.plan(name)))
            assert "3.7" in os.path.realpath(f"/proc/{started['status']['pid']}/exe")
        until = time.monotonic() + 60
        while not whole(agent(taker, "status")["status"]):
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        logs = [agent(world, "stopped")["log"] for world in (giver, taker)]
    assert logs == ["", ""]
    placed = run("mindie_weights_place", **taker.arguments("published"))["placed"]
    assert placed == sorted(sizes)
    assert taker.at_final() == taker.contents

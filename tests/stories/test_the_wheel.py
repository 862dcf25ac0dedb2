"""What `pip install` gives is all that an operator needs: from any directory, without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from tests.stories.conftest import HOSTS, ROOT, SimulatedCluster


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    return subprocess.run(
        command, cwd=cwd, env={**clean, **environment}, capture_output=True, text=True, timeout=600, check=False
    )


def test_the_installed_wheel_deploys_from_any_directory(cluster: SimulatedCluster, tmp_path: Path) -> None:
    built = run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT), cwd=ROOT
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("mindie_deploy-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    installed = run(python, "-m", "pip", "install", "--quiet", str(wheel), cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = str(tmp_path / "venv" / "bin" / "mindie-deploy")
    where = run(python, "-c", "from mindie_deploy.content import *; print(content_directory())", cwd=elsewhere)
    content = Path(where.stdout.strip())
    assert content.is_relative_to(tmp_path / "venv"), where.stdout + where.stderr
    before = {path for path in content.rglob("*") if "__pycache__" not in path.parts}

    arguments = ("--yes", "--inventory", str(cluster.inventory))
    up = run(command, "up", *arguments, cwd=elsewhere, XDG_STATE_HOME=str(tmp_path / "state"))
    assert up.returncode == 0, up.stdout + up.stderr
    assert cluster.running() == list(HOSTS)
    down = run(command, "down", *arguments, cwd=elsewhere, XDG_STATE_HOME=str(tmp_path / "state"))
    assert down.returncode == 0, down.stdout + down.stderr
    assert cluster.running() == []
    assert {path for path in content.rglob("*") if "__pycache__" not in path.parts} == before
    assert list(elsewhere.iterdir()) == []

"""Other Python versions: what runs on hosts must run with the oldest and with new ones, where this machine has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest


@cache
def interpreter(version: str) -> str | None:
    """Returns the path of an interpreter such as "3.7": from PYTHON37, from PATH, or one that pyenv has installed."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    installed = sorted(str(path) for path in pyenv.glob(f"{version}.*/bin/python"))
    named = os.environ.get("PYTHON" + version.replace(".", ""))
    for path in (named, shutil.which(f"python{version}"), *installed):
        if path and subprocess.run([path, "-c", "pass"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def runs_with(version: str) -> pytest.MarkDecorator:
    """Skips a test where there is no such interpreter."""
    return pytest.mark.skipif(interpreter(version) is None, reason=f"no Python {version} here")


# For agents: the tests' own interpreter, the oldest that hosts may have, and a newer one.
PYTHONS = [
    pytest.param(sys.executable, id="this"),
    *(pytest.param(interpreter(version), id=version, marks=runs_with(version)) for version in ("3.7", "3.12")),
]

"""Makes the simulated tools importable, and gives each test a small cluster of state files of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SIMULATOR = Path(__file__).parents[3] / "molecule" / "simulator"
sys.path.insert(0, str(SIMULATOR))

from tools import state  # noqa: E402


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of four healthy hosts; this process is host1."""
    folder = tmp_path / "hosts"
    folder.mkdir()
    for index in range(4):
        state.write(folder / f"host{index + 1}.yml", state.healthy_host(index))
    monkeypatch.setenv(state.ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setenv(state.RUN_VARIABLE, str(tmp_path / "run"))
    monkeypatch.setenv(state.NAME_VARIABLE, "host1")
    return folder

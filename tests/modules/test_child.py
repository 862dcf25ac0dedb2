"""mindie_child: a program starts the same, whether as a copy of us or without one."""

from __future__ import annotations

import importlib
import os
import signal
import time
from pathlib import Path
from types import ModuleType

import pytest

from tests.modules import module_runner  # noqa: F401  # it shows where the utilities stand

SURROUNDINGS = """cat
cut -d" " -f6 /proc/$$/stat | grep -cx $$
pwd
ls -l /proc/self/fd | grep -c /ours
kill -INT $$
echo survived
"""


@pytest.fixture(params=["without a copy", "as a copy", "as a copy, for the directory is another"])
def child(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module, on an interpreter and in a directory where programs start in one of the ways."""
    monkeypatch.chdir(tmp_path if "another" in request.param else "/")
    if request.param == "as a copy":
        monkeypatch.delattr(os, "posix_spawn")
    return importlib.import_module("ansible.module_utils.mindie_child")


def ended(module: ModuleType, path: str, *words: str) -> tuple[int, str, str]:
    """Status, output and error output of a program."""
    child = module.Child(module.Program(path, list(words), {"PATH": "/usr/bin:/bin"}), 10, 1 << 20)
    while not child.finished(time.monotonic()):
        module.wait_for([child], 0.05)
    return child.status, child.text(0).decode(), child.text(1).decode()


def test_a_program_has_a_session_of_its_own_no_input_no_file_of_ours_and_usual_signals(
    child: ModuleType, tmp_path: Path
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with (tmp_path / "ours").open("w"):
            status, output, errors = ended(child, "/bin/sh", "sh", "-c", SURROUNDINGS)
    finally:
        signal.signal(signal.SIGINT, before)
    assert output.split() == ["1", "/", "0"], (output, errors)
    assert status == 128 + signal.SIGINT


def test_why_a_program_cannot_start_is_told(child: ModuleType, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_bytes(b"\x00\x01")
    nonsense.chmod(0o755)
    status, output, errors = ended(child, str(nonsense), "nonsense")
    assert (status, output) == (127, "") and "OSError" in errors and "format" in errors
    assert "FileNotFoundError" in ended(child, str(tmp_path / "none"), "none")[2]

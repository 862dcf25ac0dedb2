"""mindie_files: what a host has afterwards, and what it says when nothing is to do."""

from __future__ import annotations

import os
from pathlib import Path

from tests.modules.module_runner import run


def wanted(directory: Path, content: str = '{"a": 1}\n', mode: str = "0640") -> dict[str, object]:
    return {
        "directory": str(directory),
        "files": [{"path": str(directory / "config.json"), "content": content, "mode": mode}],
        "owner": os.geteuid(),
        "group": os.getegid(),
    }


def test_files_appear_with_mode_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "state" / "deepseek"
    first = run("mindie_files", **wanted(directory))
    assert first["changed"]
    assert (directory / "config.json").read_text() == '{"a": 1}\n'
    assert oct((directory / "config.json").stat().st_mode & 0o777) == "0o640"
    assert oct(directory.stat().st_mode & 0o777) == "0o750"
    assert not run("mindie_files", **wanted(directory))["changed"]


def test_check_mode_shows_the_difference_and_writes_nothing(tmp_path: Path) -> None:
    run("mindie_files", **wanted(tmp_path))
    shown = run("mindie_files", check=True, **wanted(tmp_path, '{"a": 2}\n'))
    assert shown["changed"]
    assert shown["diff"][0]["before"] == '{"a": 1}\n'
    assert shown["diff"][0]["after"] == '{"a": 2}\n'
    assert (tmp_path / "config.json").read_text() == '{"a": 1}\n'


def test_check_mode_before_the_first_run_does_not_fail(tmp_path: Path) -> None:
    shown = run("mindie_files", check=True, **wanted(tmp_path / "not" / "yet"))
    assert shown["changed"]
    assert not (tmp_path / "not").exists()


def test_a_wrong_mode_alone_is_a_change(tmp_path: Path) -> None:
    run("mindie_files", **wanted(tmp_path))
    (tmp_path / "config.json").chmod(0o644)
    again = run("mindie_files", **wanted(tmp_path))
    assert again["changed"]
    assert "mode 0644" in again["diff"][0]["before"]
    assert oct((tmp_path / "config.json").stat().st_mode & 0o777) == "0o640"


def test_a_link_at_the_path_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to("/etc/passwd")
    refused = run("mindie_files", **wanted(tmp_path))
    assert refused["failed"]
    assert "config.json is not a regular file" in refused["msg"]


def test_a_file_outside_the_directory_is_refused(tmp_path: Path) -> None:
    arguments = wanted(tmp_path / "inside")
    arguments["files"] = [{"path": str(tmp_path / "outside"), "content": "x"}]
    refused = run("mindie_files", **arguments)
    assert refused["failed"]
    assert not (tmp_path / "outside").exists()


def test_nothing_is_left_beside_the_files(tmp_path: Path) -> None:
    run("mindie_files", **wanted(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json"]

"""Files that a user asks for are written whole, and what is no file is never replaced."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from mindie_deploy.runs.whole_file import can_be_written, write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    write_whole(path, b"new", 0o640)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    target, link = tmp_path / "kept" / "report.html", tmp_path / "latest.html"
    target.parent.mkdir()
    link.symlink_to(target)
    write_whole(link, b"new", 0o644)
    assert link.is_symlink() and target.read_bytes() == b"new"


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"text", 0o644)
    reader.join(10)
    assert read == [b"text"] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_devices_are_never_replaced() -> None:
    assert can_be_written(Path("/dev/null"))
    write_whole(Path("/dev/null"), b"text", 0o644)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(OSError, match="No space left"):
        write_whole(Path("/dev/full"), b"text", 0o644)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    assert can_be_written(tmp_path / "new")
    assert not can_be_written(tmp_path)
    assert not can_be_written(tmp_path / "none" / "new")


def test_nothing_is_left_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        write_whole(tmp_path / "new", b"text", 0o644)
    assert list(tmp_path.iterdir()) == []

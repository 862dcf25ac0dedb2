"""host_fault.py: what the system's programs and the kernel's files tell is changed, and is what it was afterwards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tools import host_fault


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two directories of programs; `speak` in the second one prints its words and ends with 3."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    (second / "speak").write_text('#!/bin/sh\necho "kernel 5.10 $*"\necho oops >&2\nexit 3\n')
    (second / "speak").chmod(0o755)
    monkeypatch.setattr(host_fault, "FIRST", str(first))
    monkeypatch.setattr(host_fault, "SEARCHED", (str(first), str(second)))
    monkeypatch.setattr(host_fault, "KEPT", str(tmp_path / "kept"))
    return tmp_path


def test_an_altered_program_keeps_its_errors_and_status(places: Path) -> None:
    assert host_fault.main(["alter", "speak", "s/5[.]10/4.19/"]) == 0
    done = subprocess.run([places / "first" / "speak", "a", "b c"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("kernel 4.19 a b c\n", "oops\n", 3)
    assert host_fault.main(["alter", "speak", "s/kernel/core/"]) == 0, "another alteration takes its place"
    assert host_fault.main(["unalter", "speak"]) == 0
    assert not (places / "first" / "speak").exists()
    assert host_fault.main(["unalter", "speak"]) == 0


def test_a_program_that_is_not_ours_is_left(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = places / "first" / "speak"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert host_fault.main(["alter", "speak", "s/a/b/"]) == 1
    assert "stands there already" in capsys.readouterr().err
    assert host_fault.main(["unalter", "speak"]) == 0
    assert own.read_text() == "#!/bin/sh\n"


def test_a_hidden_program_is_nowhere_and_comes_back(places: Path) -> None:
    content = (places / "second" / "speak").read_bytes()
    assert host_fault.main(["hide", "speak"]) == 0
    assert not list(places.glob("*/speak"))
    assert host_fault.main(["unhide", "speak"]) == 0
    assert (places / "second" / "speak").read_bytes() == content
    assert not list((places / "kept").iterdir())


def test_a_file_is_mounted_over_another(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(host_fault.subprocess, "run", lambda argv, check: calls.append(argv))
    file = places / "meminfo"
    file.write_text("true\n")
    assert host_fault.main(["show", str(file), "MemFree: 1 kB\n"]) == 0
    kept = calls[0][2]
    assert calls == [["mount", "--bind", kept, str(file)]]
    assert Path(kept).read_text() == "MemFree: 1 kB\n"
    assert host_fault.main(["restore", str(file)]) == 0
    assert calls[1:] == [["umount", str(file)]]
    assert host_fault.main(["restore", str(file)]) == 0
    assert len(calls) == 2


def test_what_is_not_there(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert host_fault.main(["show", str(places / "none"), "text"]) == 1
    assert host_fault.main(["offer", str(places / "none"), "text"]) == 0
    assert host_fault.main(["alter", "none", "s/a/b/"]) == 1
    assert host_fault.main(["show", "only-one-word"]) == 2
    assert "show PATH TEXT" in capsys.readouterr().err

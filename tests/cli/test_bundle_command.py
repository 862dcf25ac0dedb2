"""mindie-deploy bundle: where it cannot be written no host is asked; what is written holds no secret."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from mindie_deploy.cli.application import run
from tests.cli import reports
from tests.runs.stub_content import StubContent


@pytest.fixture
def asked(content: StubContent, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The inventory as words of a command, with hosts that answer what is good."""
    content.answer({"mindie_judge": {"*": {"report": reports.good()}}})
    return ["-i", str(content.inventory(ansible_become_password="hf_9999"))]


def test_a_directory_that_cannot_be_written_is_told_before_hosts_are_asked(
    asked: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    # Root may write anywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != locked or mode != os.W_OK)

    assert run(["bundle", "-o", str(locked / "b.tar.gz"), *asked]) == 2
    assert "b.tar.gz cannot be written" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_the_archive_holds_the_report(asked: list[str], tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"

    assert run(["bundle", "-o", str(target), *asked]) == 0
    with tarfile.open(target) as found:
        assert {"report.json", "report.txt", "versions.json"} <= {name.rpartition("/")[2] for name in found.getnames()}


def test_a_host_that_gave_no_answer_is_named(
    content: StubContent, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    report = reports.good()
    first = next(iter(report["hosts"]))
    report["hosts"][first]["reachable"] = "no"
    content.answer({"mindie_judge": {"*": {"report": report}}})

    assert run(["bundle", "-o", str(tmp_path / "b.tar.gz"), "-i", str(content.inventory())]) == 0
    assert f"nothing of {first} is in it: no answer" in capsys.readouterr().err

from __future__ import annotations

from pathlib import Path

import pytest

from mindie_deploy.runs.records import RunRecord
from tests.runs.stub_content import StubContent


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StubContent:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_FORKS", "ANSIBLE_LIBRARY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return StubContent(tmp_path / "content", monkeypatch)


@pytest.fixture
def record(content: StubContent) -> RunRecord:
    return RunRecord.create("test")

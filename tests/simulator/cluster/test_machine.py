"""A machine that cannot carry hosts is told so, before anything is begun."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from simulated_cluster import machine
from simulated_cluster.engine import Engine

import cluster


@pytest.fixture
def plain_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No root, no engine, and nothing of this machine in reach."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(Engine, "answers", lambda self: False)
    monkeypatch.setattr(machine, "missing_packages", lambda programs: [])
    monkeypatch.setenv("MINDIE_DEPLOY_SIMULATOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)


@pytest.mark.usefixtures("plain_user")
def test_no_root_and_no_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cluster.main(["up", "--work", str(tmp_path / "work")]) == 2
    said = capsys.readouterr().err
    assert "no container engine answers here, and starting one takes root" in said
    assert "next: run the command as root, or start Docker" in said
    assert not (tmp_path / "work").exists()


@pytest.mark.usefixtures("plain_user")
def test_missing_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "missing_packages", lambda programs: ["iproute2"])
    assert cluster.main(["up", "--work", str(tmp_path / "work")]) == 2
    assert "apt-get install iproute2" in capsys.readouterr().err


@pytest.mark.usefixtures("plain_user")
def test_an_engine_of_another_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.7:2375")
    assert cluster.main(["up", "--work", str(tmp_path / "work")]) == 2
    assert "unset DOCKER_HOST" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "201"])
def test_an_impossible_number_of_hosts(count: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cluster.main(["up", f"--hosts={count}", "--work", str(tmp_path / "work")]) == 2
    assert "ask for 1 to 200" in capsys.readouterr().err


@pytest.mark.usefixtures("plain_user")
def test_down_without_a_cluster_is_no_error(tmp_path: Path) -> None:
    assert cluster.main(["down", "--work", str(tmp_path / "work")]) == 0


def test_a_host_is_asked_for_without_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cluster.main(["ssh", "--work", str(tmp_path), "host1"]) == 2
    assert "run `cluster.py up`" in capsys.readouterr().err

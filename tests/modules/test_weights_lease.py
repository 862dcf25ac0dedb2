"""A reading that nobody waits for any more ends itself."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.weights.progress import status_command
from tests.modules.module_runner import load, patch_module_args, run

scan = load("mindie_weights_scan")
LEASE_S = scan.LEASE_S


class Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 5.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setitem(scan.Lease.ended.__globals__, "time", clock)
    return clock


def touch(lease: Path) -> None:
    """Does what who waits does."""
    subprocess.run(["sh", "-c", status_command("/nowhere", str(lease))], check=False, stderr=subprocess.DEVNULL)


def test_it_lasts_while_it_is_touched_and_begins_with_the_first_touch(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "weights" / "a b.lease"
    touch(path)
    assert not path.exists(), "the job makes it"
    with scan.Lease(str(path)) as lease:
        clock.now += 10 * LEASE_S
        assert not lease.ended(), "nobody has waited yet"
        for _ in range(3):
            touch(path)
            assert not lease.ended()
            clock.now += LEASE_S - 1
            assert not lease.ended()
        clock.now += 2
        assert lease.ended()
    assert not path.exists()


def test_a_clock_that_is_set_back_does_not_matter(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "lease"
    with scan.Lease(str(path)) as lease:
        for when in (2_000_000_000, 1_000_000_000):
            os.utime(path, (when, when))
            clock.now += LEASE_S + 1
            assert not lease.ended()
        clock.now += LEASE_S + 1
        assert lease.ended()


def test_a_job_without_a_lease_runs_to_its_end(clock: Clock) -> None:
    with scan.Lease("") as lease:
        clock.now += 10 * LEASE_S
        assert not lease.ended()


def test_a_lease_that_somebody_removed_ends_as_one_that_is_not_touched(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "lease"
    with scan.Lease(str(path)) as lease:
        touch(path)
        assert not lease.ended()
        path.unlink()
        assert not lease.ended()
        clock.now += LEASE_S + 1
        assert lease.ended()


class EndedError(Exception):
    """The process would be gone."""


def test_a_reading_ends_itself_and_remembers_what_it_read(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("a.json", "b.json"):
        (model / name).write_text("{}")
    paths = {"directory": str(model), "state_directory": str(tmp_path / "state")}
    path = Path(run("mindie_weights_scan", **paths)["lease"])
    assert path != Path(run("mindie_weights_scan", **paths)["lease"])
    whole: Callable[..., Any] = scan.Reading.run

    def abandoned(self: Any, jobs: dict[str, Any], report: Callable[[Any], None]) -> Any:
        results = whole(self, {"a.json": jobs["a.json"]}, lambda _results: None)
        touch(path)
        report(results)
        clock.now += LEASE_S + 1
        report(results)
        return results

    def gone(status: int) -> None:
        raise EndedError(status)

    monkeypatch.setattr(scan.Reading, "run", abandoned)
    monkeypatch.setattr(scan.os, "_exit", gone)
    out = io.StringIO()
    arguments = {**paths, "mode": "remembered", "lease": str(path)}
    with patch_module_args(arguments), contextlib.redirect_stdout(out), pytest.raises(EndedError):
        scan.main()
    told = json.loads(out.getvalue())
    assert told["failed"]
    assert "nobody has waited for this reading for 5 min" in told["msg"]
    assert not path.exists()
    after = {row["name"]: row["sha256"] is not None for row in run("mindie_weights_scan", **paths)["files"]}
    assert after == {"a.json": True, "b.json": False}

"""mindie_lock: two controllers never both have it, and whoever is refused learns who has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.modules.module_runner import run


def take(path: Path, run_id: str, check: bool = False) -> dict[str, Any]:
    return run("mindie_lock", check=check, path=str(path), state="taken", run_id=run_id, owner="anna@c1", reason="up")


def test_a_second_run_is_refused_and_told_who_has_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    assert not take(path, "one").get("failed")
    refused = take(path, "two")
    assert refused["failed"]
    assert refused["locked"]
    assert refused["lock"]["run_id"] == "one"
    assert "anna@c1 holds the lock" in refused["msg"]
    assert "lock release" in refused["msg"]


def test_the_same_run_may_take_it_again(tmp_path: Path) -> None:
    take(tmp_path / "lock", "one")
    assert not take(tmp_path / "lock", "one").get("failed")


def test_only_the_holder_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    take(path, "one")
    run("mindie_lock", path=str(path), state="released", run_id="two")
    assert path.exists()
    run("mindie_lock", path=str(path), state="released", run_id="one")
    assert not path.exists()


def test_a_broken_lock_is_gone_whoever_had_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    take(path, "one")
    broken = run("mindie_lock", path=str(path), state="broken")
    assert broken["changed"]
    assert not path.exists()


def test_a_damaged_lock_still_locks(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_bytes(b"\xff\xfe not json")
    refused = take(path, "one")
    assert refused["failed"]
    assert "damaged" in refused["msg"]


def test_check_mode_takes_nothing_but_reports_another_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not take(path, "one", check=True).get("failed")
    assert not path.exists()
    take(path, "one")
    assert take(path, "two", check=True)["failed"]

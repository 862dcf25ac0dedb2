"""A cached thing is made once, whole or not at all, whoever asks."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from simulated_cluster.cache import SETTING, cache_directory, forget_others, key_of, key_of_tree, made_once


def test_many_at_once_make_it_once(tmp_path: Path) -> None:
    made: list[int] = []

    def make(path: Path) -> None:
        made.append(1)
        time.sleep(0.05)
        path.write_text("whole", encoding="utf-8")

    with ThreadPoolExecutor(max_workers=6) as pool:
        paths = list(pool.map(lambda _: made_once(tmp_path, "thing.tar", make), range(6)))
    assert made == [1]
    assert {path.read_text(encoding="utf-8") for path in paths} == {"whole"}


def test_a_failed_attempt_leaves_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise RuntimeError("no space")

    with pytest.raises(RuntimeError):
        made_once(tmp_path, "thing.tar", fail)
    assert [path.name for path in tmp_path.iterdir()] == [".thing.tar.lock"]
    assert made_once(tmp_path, "thing.tar", lambda path: path.mkdir()).is_dir()


def test_only_old_versions_are_forgotten(tmp_path: Path) -> None:
    now = time.time()
    for name, age_days in (("a-1.tar", 30), ("a-2.tar", 1), ("a-3.tar", 40), ("b-1.tar", 50)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now - age_days * 86400, now - age_days * 86400))
    forget_others(tmp_path, "a-*.tar", "a-3.tar", days=14, now=now)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-2.tar", "a-3.tar", "b-1.tar"]


def test_the_setting_names_the_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(SETTING, str(tmp_path / "cache"))
    assert cache_directory() == tmp_path / "cache"


def test_keys_follow_the_content(tmp_path: Path) -> None:
    assert key_of("a", "bc") != key_of("ab", "c")
    (tmp_path / "x.py").write_text("1", encoding="utf-8")
    first = key_of_tree(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("compiled", encoding="utf-8")
    assert key_of_tree(tmp_path) == first
    (tmp_path / "x.py").write_text("2", encoding="utf-8")
    assert key_of_tree(tmp_path) != first

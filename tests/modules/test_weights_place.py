"""mindie_weights_place: nothing wrong and nothing half ever stands at the final path, whatever happens on the way."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.modules.module_runner import run
from tests.modules.weights_world import World, identity, killed_at

SIZES = {
    "model-00001-of-00002.safetensors": 3_000_000,
    "model-00002-of-00002.safetensors": 2_000_001,
    "model.safetensors.index.json": 1000,
    "config.json": 10,
    "empty.txt": 0,
    "figures/a b.png": 77,
    "模型.md": 5,
}
SHARD = "model-00002-of-00002.safetensors"
STEPS = ("rename", "unlink", "rmdir", "chmod", "mkdir", "fsync")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away and mounts")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, SIZES)


@contextmanager
def mounted(directory: Path, size: str) -> Iterator[None]:
    directory.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", directory], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("this machine mounts nothing")
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


# the whole model


def test_a_model_appears_whole_with_its_modes(world: World) -> None:
    prepared = world.place("prepared")
    assert not prepared["changed"]
    assert prepared["incoming"] == str(world.incoming)
    assert prepared["missing"] == [{"name": name, "size": SIZES[name], "have": 0} for name in sorted(SIZES)]
    assert world.incoming.stat().st_mode & 0o7777 == 0o700
    world.deliver()
    assert not world.final.exists()
    published = world.place("published")
    assert published["changed"], published
    assert published["placed"] == sorted(SIZES)
    assert published["missing"] == []
    assert world.at_final() == world.contents
    assert not world.incoming.exists()
    assert world.final.stat().st_mode & 0o7777 == 0o750
    assert (world.final / "figures").stat().st_mode & 0o7777 == 0o750
    assert {path.name for path in world.final.iterdir() if path.name.startswith(".")} == set()


def test_it_appears_by_one_rename(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.place("prepared")
    world.deliver()
    moved: list[tuple[str, str]] = []
    rename = os.rename

    def seen(source: Any, target: Any) -> None:
        if str(world.state) not in str(target):
            moved.append((str(source), str(target)))
            assert not world.final.exists()
        rename(source, target)

    monkeypatch.setattr(os, "rename", seen)
    world.place("published")
    assert moved == [(str(world.incoming), str(world.final))]


def test_the_second_run_changes_nothing(world: World) -> None:
    world.bring()
    before = {path: identity(path.stat()) for path in world.final.rglob("*")}
    for state in ("prepared", "published", "noted"):
        again = world.place(state)
        assert not again["changed"], again
        assert again["missing"] == again["placed"] == []
    assert {path: identity(path.stat()) for path in world.final.rglob("*")} == before
    assert not world.incoming.exists()


def test_what_was_proven_on_the_way_the_scan_believes(world: World) -> None:
    world.bring()
    found = run("mindie_weights_scan", directory=str(world.final), state_directory=str(world.state), mode="remembered")
    assert found["hashed"] == 0
    assert found["manifest"] == world.manifest
    (world.final / "notes.txt").write_text("mine")
    (world.final / SHARD).unlink()
    world.bring()
    found = run("mindie_weights_scan", directory=str(world.final), state_directory=str(world.state), mode="remembered")
    assert found["hashed"] == 1, "a file that was renamed alone is proven too; only the foreign one is read"


@root_only
@pytest.mark.parametrize("there", [False, True])
def test_folders_belong_to_the_user_of_the_container(world: World, there: bool) -> None:
    if there:
        world.final.mkdir(parents=True)
        (world.final / "notes.txt").write_text("mine")
    world.bring(owner=1001, group=1002)
    made = [world.final / "figures"] + ([] if there else [world.final])
    assert {(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) for path in made} == {
        (1001, 1002, 0o750)
    }


# into a directory that is there


def test_only_what_is_wrong_or_missing_is_replaced_and_extra_files_stay(world: World) -> None:
    world.bring()
    (world.final / "notes.txt").write_text("mine")
    (world.final / SHARD).write_bytes(bytes(SIZES[SHARD]))
    (world.final / "config.json").unlink()
    untouched = identity((world.final / "模型.md").stat())
    result = world.bring()
    assert result["placed"] == ["config.json", SHARD]
    assert world.at_final() == {**world.contents, "notes.txt": b"mine"}
    assert identity((world.final / "模型.md").stat()) == untouched
    assert not world.incoming.exists()


def test_shards_come_first_then_index_and_configuration(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.final.mkdir(parents=True)
    (world.final / "notes.txt").write_text("mine")
    world.place("prepared")
    world.deliver()
    moved: list[str] = []
    rename = os.rename

    def seen(source: Any, target: Any) -> None:
        if str(target).startswith(f"{world.final}/"):
            moved.append(str(target).removeprefix(f"{world.final}/"))
        rename(source, target)

    monkeypatch.setattr(os, "rename", seen)
    assert world.place("published")["changed"]
    assert moved[:2] == ["model-00001-of-00002.safetensors", SHARD]
    assert moved[-2:] == ["model.safetensors.index.json", "config.json"]
    assert sorted(moved) == sorted(SIZES)


def test_an_empty_directory_behind_a_link_is_filled(world: World) -> None:
    elsewhere = world.base / "disk2" / "model"
    elsewhere.mkdir(parents=True)
    world.final.parent.mkdir()
    world.final.symlink_to(elsewhere)
    world.incoming = elsewhere.parent / ".model.incoming"
    assert world.bring()["changed"]
    assert world.final.is_symlink()
    assert world.at_final() == world.contents
    assert list(elsewhere.parent.iterdir()) == [elsewhere], "the hidden directory was beside what the link leads to"


def test_a_wrong_file_that_is_a_link_into_a_cache_is_replaced_and_the_cache_kept(world: World) -> None:
    world.final.mkdir(parents=True)
    blob = world.base / "blob"
    blob.write_bytes(b"other")
    (world.final / SHARD).symlink_to(blob)
    assert world.bring()["changed"]
    assert world.at_final() == world.contents
    assert blob.read_bytes() == b"other"


@root_only
def test_a_mount_point_is_filled_from_inside(world: World) -> None:
    with mounted(world.final, "40m"):
        world.incoming = world.final / ".model.incoming"
        assert world.bring()["changed"]
        assert world.at_final() == world.contents
        assert not world.place("published")["changed"]
        assert not world.incoming.exists()


@pytest.mark.parametrize("state", ["prepared", "published"])
def test_a_directory_where_a_file_should_be_is_told_before_anything_moves(world: World, state: str) -> None:
    (world.final / SHARD / "inside").mkdir(parents=True)
    for check in (True, False):
        result = world.place(state, check=check)
        assert result["failed"]
        assert f"{world.final}/{SHARD} on host2 is a directory where a file should be" in result["msg"]
    assert not world.incoming.exists()


def test_a_file_where_a_directory_should_be_is_told(world: World) -> None:
    world.final.mkdir(parents=True)
    (world.final / "figures").write_text("x")
    assert "figures on host2 is a file where a directory should be" in world.place("prepared")["msg"]
    (world.base / "other").write_text("x")
    assert "is not a directory" in world.place("prepared", directory=str(world.base / "other"))["msg"]


# what an earlier run left


def test_what_has_arrived_is_counted_by_the_journal_and_not_by_the_size(world: World) -> None:
    partial = world.arrive(SHARD, (0, 100_000), (50_000, 100_000), (1_000_000, 500_000))
    os.truncate(partial, SIZES[SHARD])
    result = world.place("prepared")
    assert {row["name"]: row["have"] for row in result["missing"]}[SHARD] == 150_000 + 500_000
    assert partial.read_bytes()[1_000_000:1_500_000] == world.contents[SHARD][1_000_000:1_500_000]
    assert (world.incoming / ".pieces.0").exists(), "the exchange goes on from it"


def test_what_does_not_belong_to_the_manifest_is_removed(world: World) -> None:
    keep = world.arrive("config.json", (0, 5))
    world.deliver(SHARD)
    victim = world.base / "victim"
    victim.mkdir()
    (victim / "precious").write_text("x")
    (world.incoming / "other-model.safetensors.partial").write_bytes(b"x")
    (world.incoming / "other.json").write_bytes(b"x")
    (world.incoming / "old" / "deep").mkdir(parents=True)
    (world.incoming / "old" / "deep" / "a.json").write_bytes(b"x")
    (world.incoming / "figures").symlink_to(victim)
    (world.incoming / "empty.txt.partial").symlink_to(victim / "precious")
    (world.incoming / "模型.md.partial").write_bytes(b"longer than it may be")
    world.place("prepared")
    left = {path.relative_to(world.incoming).as_posix() for path in world.incoming.rglob("*")}
    assert left == {".pieces.0", ".proven", SHARD, keep.name}
    assert (victim / "precious").read_text() == "x"
    world.bring()
    assert world.at_final() == world.contents
    assert not (world.final / "old").exists()


def test_a_directory_of_an_older_manifest_where_a_file_comes_now_gives_way(world: World) -> None:
    (world.incoming / "config.json").mkdir(parents=True)
    (world.incoming / "config.json" / "part").write_bytes(b"x")
    world.place("prepared")
    assert list(world.incoming.iterdir()) == []


def test_a_whole_file_whose_proof_is_lost_is_proven_again(world: World) -> None:
    world.deliver(SHARD, proof=False)
    world.deliver("config.json")
    result = world.place("prepared")
    assert SHARD in {row["name"] for row in result["missing"]}
    assert "config.json" not in {row["name"] for row in result["missing"]}
    assert (world.incoming / f"{SHARD}.partial").read_bytes() == world.contents[SHARD]
    assert not (world.incoming / SHARD).exists()


@pytest.mark.parametrize("damage", ["touched", "cut", "other", "binary"])
def test_a_proof_that_does_not_fit_is_none(world: World, damage: str) -> None:
    world.deliver(SHARD)
    notes = world.incoming / ".proven"
    if damage == "touched":
        content = bytearray(world.contents[SHARD])
        content[7] ^= 1
        time.sleep(0.02)  # within one tick of the clock of files a change leaves no trace
        (world.incoming / SHARD).write_bytes(content)
    elif damage == "cut":
        notes.write_bytes(notes.read_bytes()[:-1])
    elif damage == "other":
        notes.write_text(notes.read_text().replace(world.manifest["files"][1]["sha256"], "0" * 64))
        notes.write_text("\t".join([notes.read_text().split("\t")[0], "0" * 64, SHARD]) + "\n")
    else:
        notes.write_bytes(b"\xff\0\n" * 100)
    assert SHARD in {row["name"] for row in world.place("prepared")["missing"]}


def test_the_proof_outlives_the_notes_of_the_exchange(world: World) -> None:
    world.deliver(SHARD)
    world.place("prepared")
    (world.incoming / ".proven").unlink()
    assert SHARD not in {row["name"] for row in world.place("prepared")["missing"]}


def test_what_did_not_arrive_is_told_and_nothing_appears(world: World) -> None:
    world.place("prepared")
    world.deliver("config.json", "empty.txt")
    early = world.place("published")
    assert early["failed"]
    assert "5 files did not arrive on host2, such as model-00001-of-00002.safetensors" in early["msg"]
    assert not world.final.exists()
    world.deliver(*(set(SIZES) - {"config.json", "empty.txt"}))
    assert world.place("published")["changed"]
    assert world.at_final() == world.contents


def test_a_file_that_has_its_name_and_no_proof_yet_is_read_in_the_end(world: World) -> None:
    """An agent that is killed between the two, and started again, takes such a file for proven."""
    world.place("prepared")
    world.deliver(*(set(SIZES) - {SHARD}))
    world.deliver(SHARD, proof=False)
    content = bytearray(world.contents[SHARD])
    content[5] ^= 1
    (world.incoming / SHARD).write_bytes(content)
    assert f"1 files did not arrive on host2, such as {SHARD}" in world.place("published")["msg"]
    assert not world.final.exists()
    world.deliver(SHARD, proof=False)
    assert world.place("published")["changed"]
    assert world.at_final() == world.contents
    found = run("mindie_weights_scan", directory=str(world.final), state_directory=str(world.state), mode="remembered")
    assert found["hashed"] == 0


# kills


def test_kill_at_any_step_shows_nothing_half(world: World) -> None:
    steps = 0
    while True:
        steps += 1
        world.place("prepared")
        world.deliver(*(name for name in SIZES if not (world.incoming / name).exists()))
        if not killed_at(steps, STEPS, lambda: world.place("published")):
            break
        assert not world.final.exists() or world.at_final() == world.contents
        if world.final.exists():
            assert not world.place("published").get("failed")
            subprocess.run(["rm", "-r", world.final, world.state], check=True)
    assert steps > 5
    assert world.at_final() == world.contents


def test_kill_while_files_get_their_place_in_a_directory_that_is_there(world: World) -> None:
    world.bring()
    old = world.at_final()
    world.contents = {name: content[::-1] + b"!" for name, content in old.items()}
    steps = 0
    while True:
        steps += 1
        # As a sync does: what stands there without a proof is read first.
        run("mindie_weights_scan", directory=str(world.final), state_directory=str(world.state), mode="remembered")
        prepared = world.place("prepared")
        world.deliver(*(row["name"] for row in prepared["missing"]))
        if not killed_at(steps, STEPS, lambda: world.place("published")):
            break
        found = world.at_final()
        assert set(found) == set(SIZES)
        for name, content in found.items():
            assert content in (old[name], world.contents[name])
        if found["config.json"] == world.contents["config.json"]:
            assert found == world.contents, "config.json tells that everything else is there"
    assert steps > 10
    assert world.at_final() == world.contents
    assert not world.incoming.exists()


# more than one


def test_one_that_was_overtaken_finds_everything_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.place("prepared")
    world.deliver()
    rename = os.rename
    others: list[subprocess.Popen[bytes]] = []

    def late(source: Any, target: Any) -> None:
        if str(target) == str(world.final):
            other = world.start("published")
            others.append(other)
            until = time.monotonic() + 60
            while str(world.incoming) not in links_of(other.pid):
                assert time.monotonic() < until and other.poll() is None
                time.sleep(0.02)
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    assert world.place("published")["changed"]
    (other,) = others
    result = json.loads(other.communicate(timeout=60)[0])
    assert not result.get("failed"), result
    assert not result["changed"]
    assert world.at_final() == world.contents
    assert not world.incoming.exists()


def links_of(pid: int) -> set[str]:
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(os.readlink(path))  # noqa: PTH115
        except FileNotFoundError:
            continue
    return found


@pytest.mark.parametrize("state", ["prepared", "published"])
def test_one_that_waited_long_enough_is_told(world: World, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world.place("prepared")
    world.deliver()
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    with_lock = os.open(world.incoming, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(with_lock, fcntl.LOCK_EX)
    try:
        result = world.place(state)
        assert f"another transfer into {world.final} is running on host2" in result["msg"]
        assert not world.final.exists()
    finally:
        os.close(with_lock)
    assert not world.place(state).get("failed")


# the disk


@root_only
def test_a_disk_that_is_too_small_is_found_before_anything_is_copied(tmp_path: Path) -> None:
    world = World(tmp_path, SIZES)
    with mounted(world.final.parent, "4m"):
        result = world.place("prepared")
        assert result["failed"]
        assert "nothing was copied" in result["msg"]
        assert "host2" in result["msg"]
        assert str(sum(SIZES.values())) in result["msg"]
        assert list(world.final.parent.iterdir()) == []
        assert world.place("published", check=True)["failed"]


@root_only
def test_what_has_its_blocks_already_needs_no_more(tmp_path: Path) -> None:
    world = World(tmp_path, {"a.safetensors": 5_000_000, "b.safetensors": 2_000_000})
    with mounted(world.final.parent, "9m"):
        allocated = world.arrive("a.safetensors", (0, 10))
        with allocated.open("r+b") as out:
            os.posix_fallocate(out.fileno(), 0, 5_000_000)
        assert not world.place("prepared").get("failed"), "5 of 9 MB are taken, by what is to come"
        allocated.unlink()
        sparse = world.arrive("a.safetensors", (0, 10))
        os.truncate(sparse, 5_000_000)
        (world.final.parent / "other").write_bytes(bytes(4_000_000))
        result = world.place("prepared")
        assert "nothing was copied" in result["msg"], "a hole has a size and no blocks"


# what is asked for


def test_check_mode_says_what_would_change_and_touches_nothing(world: World) -> None:
    result = world.place("published", check=True)
    assert result["changed"]
    assert result["placed"] == sorted(SIZES)
    assert result["diff"]["before"] == ""
    assert result["diff"]["after"].splitlines() == [f"{name} {SIZES[name]} bytes" for name in sorted(SIZES)]
    assert result["diff"]["after_header"] == f"{world.final} on host2"
    assert list(world.base.iterdir()) == []
    world.bring()
    again = world.place("published", check=True)
    assert not again["changed"]
    assert "diff" not in again


def test_a_manifest_can_be_noted_alone(world: World) -> None:
    assert world.place("noted", check=True)["changed"]
    assert not world.state.exists()
    assert world.place("noted")["changed"]
    assert not world.place("noted")["changed"]
    assert not world.incoming.exists()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", ".x", "a/.x", "", "a//b", "a\\b", "a\0b", 7, None])
@pytest.mark.parametrize("state", ["prepared", "published", "noted"])
def test_hostile_names_are_refused(world: World, name: Any, state: str) -> None:
    manifest = {"files": [*world.manifest["files"], {"name": name, "size": 1, "sha256": "0" * 64}]}
    result = world.place(state, manifest=manifest)
    assert result["failed"]
    assert list(world.base.iterdir()) == []


@pytest.mark.parametrize(
    "rows",
    [
        None,
        [],
        [3],
        [{"name": "a", "size": -1, "sha256": "0" * 64}],
        [{"name": "a", "size": True, "sha256": "0" * 64}],
        [{"name": "a", "size": 1 << 51, "sha256": "0" * 64}],
        [{"name": "a", "size": 1, "sha256": "0" * 63}],
        [{"name": "a", "size": 1, "sha256": "0" * 64}] * 2,
        [{"name": name, "size": 1, "sha256": "0" * 64} for name in ("a", "a/b")],
    ],
)
def test_manifests_that_make_no_sense_are_refused(world: World, rows: Any) -> None:
    result = world.place("prepared", manifest={"files": rows})
    assert result["failed"]
    assert "the manifest" in result["msg"]


def clear(world: World, *names: str, check: bool = False, **changes: Any) -> dict[str, Any]:
    values = {"directory": str(world.final), "state_directory": str(world.state), "manifest": world.manifest}
    return run("mindie_weights_place", check=check, **{**values, "state": "cleared", "names": list(names), **changes})


def test_other_files_are_removed_when_they_are_named(tmp_path: Path) -> None:
    world = World(tmp_path / "world", {"config.json": 10})
    world.final.mkdir(parents=True)
    for name in ("old.safetensors", "left", "config.json"):
        (world.final / name).write_text("x")
    would = clear(world, "old.safetensors", check=True)
    assert would["changed"] and would["diff"]["before"] == "old.safetensors\n"
    assert (world.final / "old.safetensors").exists()
    assert clear(world, "old.safetensors")["changed"]
    assert sorted(path.name for path in world.final.iterdir()) == ["config.json", "left"]
    assert not clear(world, "old.safetensors")["changed"]


@pytest.mark.parametrize("name", ["config.json", "../secret", "a//b", "link/secret"])
def test_nothing_of_the_model_and_nothing_elsewhere_is_removed(tmp_path: Path, name: str) -> None:
    world = World(tmp_path / "world", {"config.json": 10})
    world.final.mkdir(parents=True)
    (world.final / "config.json").write_text("x")
    outside = world.final.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    (world.final / "link").symlink_to(outside)
    assert clear(world, name)["failed"]
    assert (outside / "secret").exists() and (world.final / "config.json").exists()

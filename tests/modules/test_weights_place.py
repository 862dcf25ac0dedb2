"""mindie_weights_fetch: nothing wrong and nothing half ever stands at the final path, whatever happens on the way."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.modules.module_runner import run
from tests.modules.weights_world import SECRET, World, serving

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


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, SIZES)


def test_a_model_appears_whole_with_its_modes(world: World) -> None:
    result = world.fetch()
    assert result["changed"], result
    assert world.at_final() == world.contents
    assert result["fetched"] == sorted(SIZES)
    assert not world.incoming.exists()
    assert world.final.stat().st_mode & 0o7777 == 0o750
    assert {path.stat().st_mode & 0o7777 for path in world.final.rglob("*") if path.is_file()} == {0o640}
    assert (world.final / "figures").stat().st_mode & 0o7777 == 0o750


def test_the_second_run_changes_nothing_and_needs_no_source(world: World) -> None:
    world.fetch()
    before = {path: path.stat() for path in world.final.rglob("*")}
    again = world.fetch(source={"kind": "directory", "path": "/nowhere"})
    assert not again["changed"], again
    assert {path: path.stat() for path in world.final.rglob("*")} == before


def test_what_it_proved_the_scan_believes(world: World) -> None:
    world.fetch()
    found = run("mindie_weights_scan", directory=str(world.final), state_directory=str(world.state), mode="remembered")
    assert found["hashed"] == 0
    assert found["manifest"] == world.manifest


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_belong_to_the_user_of_the_container(world: World) -> None:
    world.fetch(owner=1001, group=1002)
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in [world.final, *world.final.rglob("*")]}
    assert owners == {(1001, 1002)}


def test_check_mode_says_what_it_would_fetch_and_touches_nothing(world: World) -> None:
    result = world.fetch(check=True)
    assert result["changed"]
    assert result["fetched"] == sorted(SIZES)
    assert SHARD in result["diff"]["after"]
    assert not world.final.exists()
    assert not world.final.parent.exists()
    assert not world.state.exists()


def test_over_http_with_names_of_any_letters(world: World) -> None:
    with serving(world.source) as server:
        assert world.fetch(source=world.http(server.server_port))["changed"]
    assert world.at_final() == world.contents
    assert server.sent == sum(SIZES.values())


def test_only_what_is_wrong_or_missing_is_fetched_and_extra_files_stay(world: World) -> None:
    world.fetch()
    (world.final / "notes.txt").write_text("mine")
    (world.final / SHARD).write_bytes(bytes(SIZES[SHARD]))
    (world.final / "config.json").unlink()
    result = world.fetch()
    assert result["fetched"] == ["config.json", SHARD]
    assert world.at_final() == {**world.contents, "notes.txt": b"mine"}
    assert not world.incoming.exists()


def test_an_empty_directory_and_a_link_to_a_directory_are_filled(world: World) -> None:
    elsewhere = world.base / "disk2" / "model"
    elsewhere.mkdir(parents=True)
    world.final.parent.mkdir()
    world.final.symlink_to(elsewhere)
    assert world.fetch()["changed"]
    assert world.final.is_symlink()
    assert world.at_final() == world.contents


def test_a_wrong_file_that_is_a_link_into_a_cache_is_replaced_and_the_cache_kept(world: World) -> None:
    world.final.mkdir(parents=True)
    blob = world.base / "blob"
    blob.write_bytes(b"other")
    (world.final / SHARD).symlink_to(blob)
    assert world.fetch()["changed"]
    assert world.at_final() == world.contents
    assert blob.read_bytes() == b"other"


def test_a_transfer_goes_on_where_it_was_cut_off(world: World) -> None:
    world.incoming.mkdir(parents=True)
    (world.incoming / f"{SHARD}.partial").write_bytes(world.contents[SHARD][:1_500_000])
    with serving(world.source) as server:
        assert world.fetch(source=world.http(server.server_port))["changed"]
    assert server.sent == sum(SIZES.values()) - 1_500_000
    assert world.at_final() == world.contents


@pytest.mark.parametrize("left", [b"\0" * 1_000_000, b"x" * 3_000_000])
def test_a_wrong_rest_of_an_earlier_run_is_thrown_away(world: World, left: bytes) -> None:
    world.incoming.mkdir(parents=True)
    (world.incoming / f"{SHARD}.partial").write_bytes(left)
    (world.incoming / "of-another-model.safetensors.partial").write_bytes(b"x")
    assert world.fetch()["changed"]
    assert world.at_final() == world.contents


def test_a_whole_file_without_proof_is_read_again_and_not_sent(world: World) -> None:
    world.incoming.mkdir(parents=True)
    (world.incoming / SHARD).write_bytes(world.contents[SHARD])
    with serving(world.source) as server:
        assert world.fetch(source=world.http(server.server_port))["changed"]
    assert server.sent == sum(SIZES.values()) - SIZES[SHARD]


def test_kill_at_any_moment_loses_nothing_and_shows_nothing_half(world: World) -> None:
    dice = random.Random(3)
    with serving(world.source) as server:
        server.piece, server.pause = 100_000, 0.02
        for _ in range(7):
            process = world.start(source=world.http(server.server_port))
            until = server.sent + dice.randrange(1, 700_000)
            deadline = time.monotonic() + 30
            while server.sent < until and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            process.kill()
            process.communicate()
            assert not world.final.exists() or world.at_final() == world.contents
        server.pause = 0
        assert not world.fetch(source=world.http(server.server_port)).get("failed")
        # What was on its way when the process died is sent again: a few socket buffers for each of the four streams.
        assert server.sent < sum(SIZES.values()) + 8 * 4 * 1_000_000
    assert world.at_final() == world.contents
    assert not world.incoming.exists()


def test_kill_while_files_get_their_place_in_an_existing_directory(world: World) -> None:
    world.fetch()
    old = world.at_final()
    world.contents = {name: content[::-1] + b"!" for name, content in old.items()}
    for name, content in world.contents.items():
        (world.source / name).write_bytes(content)
    for moment in range(6):
        process = world.start(streams=2)
        time.sleep(0.1 + 0.1 * moment)
        process.kill()
        process.communicate()
        for name, content in world.at_final().items():
            assert content in (old[name], world.contents[name])
    assert not world.fetch().get("failed")
    assert world.at_final() == world.contents


def test_index_and_configuration_come_last(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.final.mkdir(parents=True)
    (world.final / "notes.txt").write_text("mine")
    moved: list[str] = []
    rename = os.rename

    def seen(source: str, target: str) -> None:
        if str(target).startswith(str(world.final) + "/"):
            moved.append(str(target).removeprefix(str(world.final) + "/"))
        rename(source, target)

    monkeypatch.setattr(os, "rename", seen)
    world.fetch()
    assert moved[:2] == ["model-00001-of-00002.safetensors", SHARD]
    assert moved[-2:] == ["model.safetensors.index.json", "config.json"]


def test_a_cut_connection_is_made_again(world: World) -> None:
    with serving(world.source) as server:
        server.cut_after = 900_000
        assert world.fetch(source=world.http(server.server_port))["changed"]
    assert world.at_final() == world.contents


def test_a_source_that_always_ends_too_early_is_given_up(world: World) -> None:
    with serving(world.source) as server:
        server.cut_after = 0
        result = world.fetch(source=world.http(server.server_port))
    assert result["failed"]
    assert "host2" in result["msg"]
    assert f"http://127.0.0.1:{server.server_port}/" in result["msg"]
    assert not world.final.exists()


def test_a_silent_source_is_given_up(world: World) -> None:
    with serving(world.source) as server:
        server.piece, server.pause = 1, 30.0
        result = world.fetch(source=world.http(server.server_port), timeout=1, retries=0, streams=1)
    assert result["failed"]
    assert "timed out" in result["msg"]


def test_one_flipped_byte_on_the_way_is_fetched_again(world: World) -> None:
    with serving(world.source) as server:
        server.flip, server.flips = SHARD, 1
        assert world.fetch(source=world.http(server.server_port))["changed"]
    assert world.at_final() == world.contents


def test_a_source_with_a_wrong_byte_is_named_with_file_and_host(world: World) -> None:
    with serving(world.source) as server:
        server.flip = SHARD
        result = world.fetch(source=world.http(server.server_port))
    assert result["failed"]
    for part in (SHARD, "host2", "sha256", f"127.0.0.1:{server.server_port}"):
        assert part in result["msg"]
    assert not world.final.exists()
    assert not (world.incoming / f"{SHARD}.partial").exists()


@pytest.mark.parametrize(
    ("misdeed", "said"),
    [
        ({"status": 404}, "does not have the file"),
        ({"wrong_length": True}, "the manifest says"),
        ({"status": 500}, "500"),
    ],
)
def test_answers_that_make_no_sense(world: World, misdeed: dict[str, Any], said: str) -> None:
    with serving(world.source) as server:
        vars(server).update(misdeed)
        result = world.fetch(source=world.http(server.server_port), retries=0)
    assert result["failed"]
    assert said in result["msg"]


def test_a_server_without_ranges_is_not_believed(world: World) -> None:
    world.incoming.mkdir(parents=True)
    (world.incoming / f"{SHARD}.partial").write_bytes(world.contents[SHARD][:1000])
    with serving(world.source) as server:
        server.ignore_range = True
        result = world.fetch(source=world.http(server.server_port), retries=0)
    assert result["failed"]
    assert not world.final.exists()


def test_a_wrong_secret_is_told(world: World) -> None:
    world.secret.write_text("x" * 64)
    with serving(world.source) as server:
        result = world.fetch(source=world.http(server.server_port))
    assert "refuses our secret" in result["msg"]
    assert SECRET not in json.dumps(result)


def test_no_server_at_all(world: World) -> None:
    with serving(world.source) as server:
        port = server.server_port
    result = world.fetch(source=world.http(port), retries=0)
    assert "refused" in result["msg"]


def test_a_source_directory_that_is_missing_or_shorter_is_told(world: World) -> None:
    assert "does not exist" in world.fetch(source={"kind": "directory", "path": "/nowhere"})["msg"]
    (world.source / SHARD).write_bytes(b"short")
    assert "has 5 bytes and the manifest says" in world.fetch()["msg"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", ".x", "a/.x", "", "a//b", "a\\b", "a\0b", 7, None])
def test_hostile_names_are_refused(world: World, name: Any) -> None:
    manifest = {"files": [*world.manifest["files"], {"name": name, "size": 1, "sha256": "0" * 64}]}
    result = world.fetch(manifest=manifest)
    assert result["failed"]
    assert not world.incoming.exists()


@pytest.mark.parametrize(
    "manifest", [{}, {"files": []}, {"files": [3]}, {"files": [{"name": "a", "size": -1, "sha256": "0" * 64}]}]
)
def test_manifests_that_make_no_sense_are_refused(world: World, manifest: dict[str, Any]) -> None:
    assert world.fetch(manifest=manifest)["failed"]


def test_two_at_once_bring_it_once(world: World) -> None:
    with serving(world.source) as server:
        server.piece, server.pause = 100_000, 0.01
        source = world.http(server.server_port)
        processes = [world.start(source=source) for _ in range(2)]
        results = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert not any(result.get("failed") for result in results)
    assert server.sent == sum(SIZES.values())
    assert world.at_final() == world.contents
    assert not world.incoming.exists()


def test_one_that_does_not_want_to_wait_is_told(world: World) -> None:
    with serving(world.source) as server:
        server.piece, server.pause = 10_000, 0.05
        process = world.start(source=world.http(server.server_port))
        while not server.sent:
            time.sleep(0.02)
        result = world.fetch(lock_wait=0)
        process.kill()
        process.communicate()
    assert "another transfer" in result["msg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a small file system")
def test_a_disk_that_is_too_small_is_found_before_anything_is_copied(tmp_path: Path) -> None:
    world = World(tmp_path, SIZES)
    world.final.parent.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", world.final.parent], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine mounts nothing")
    try:
        result = world.fetch()
        assert result["failed"]
        assert "nothing was copied" in result["msg"]
        assert "host2" in result["msg"]
        assert list(world.final.parent.iterdir()) == []
        assert world.fetch(check=True)["failed"]
    finally:
        subprocess.run(["umount", world.final.parent], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a small file system")
def test_a_mount_point_is_filled_from_inside(tmp_path: Path) -> None:
    world = World(tmp_path, SIZES)
    world.final.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "none", world.final], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine mounts nothing")
    try:
        assert world.fetch()["changed"]
        assert world.at_final() == world.contents
        assert not world.fetch()["changed"]
    finally:
        subprocess.run(["umount", world.final], check=True)


def test_a_file_that_cannot_be_written_ends_the_run(world: World) -> None:
    module = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    module += "resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000)); "
    module += "import sys, json; from tests.modules.module_runner import run; "
    module += "print(json.dumps(run('mindie_weights_fetch', **json.load(sys.stdin))))"
    limited = subprocess.run(
        [sys.executable, "-c", module],
        input=json.dumps(world.arguments(retries=0)).encode(),
        capture_output=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    result = json.loads(limited.stdout)
    assert result["failed"]
    assert not world.final.exists()


def test_prepared_and_received_as_the_controller_uses_them(world: World) -> None:
    prepared = world.fetch(state="prepared", source={"kind": "received"})
    assert prepared["incoming"] == str(world.incoming)
    assert {row["name"]: row["have"] for row in prepared["missing"]} == dict.fromkeys(SIZES, 0)
    half = dict(list(world.contents.items())[:2])
    for name, content in half.items():
        (world.incoming / f"{name}.partial").write_bytes(content)
    (world.incoming / "config.json.partial").write_bytes(b"0123456789")  # right size, wrong content
    verified = world.fetch(state="verified", source={"kind": "received"})
    assert verified["wrong"] == ["config.json"]
    assert set(half) <= set(verified["fetched"])
    early = world.fetch(source={"kind": "received"})
    assert "did not arrive" in early["msg"]
    assert not world.final.exists()
    for name, content in world.contents.items():
        if name not in half:
            (world.incoming / f"{name}.partial").parent.mkdir(exist_ok=True)
            (world.incoming / f"{name}.partial").write_bytes(content)
    assert world.fetch(source={"kind": "received"})["changed"]
    assert world.at_final() == world.contents


def test_a_manifest_can_be_noted_alone(world: World) -> None:
    assert world.fetch(state="noted", check=True)["changed"]
    assert world.fetch(state="noted")["changed"]
    assert not world.fetch(state="noted")["changed"]
    assert not world.incoming.exists()

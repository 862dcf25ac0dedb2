"""mindie_weights_scan: reads once what nobody touches, and sees every touch."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.modules.module_runner import run

SHARD = "model-00001-of-00001.safetensors"
INDEX = "model.safetensors.index.json"


def safetensors(*names: str, dtype: str = "BF16") -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for number, name in enumerate(names):
        header[name] = {"dtype": dtype, "shape": [2], "data_offsets": [4 * number, 4 * number + 4]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4 * len(names))


def with_header(header: dict[str, Any]) -> bytes:
    """Returns a shard with 4 bytes of tensors."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / SHARD).write_bytes(safetensors("a", "b"))
    (directory / INDEX).write_text(json.dumps({"weight_map": {"a": SHARD, "b": SHARD}}))
    (directory / "config.json").write_text('{"torch_dtype": "bfloat16"}')
    return directory


def scan(directory: Path, **arguments: Any) -> dict[str, Any]:
    state = directory.parent / "state"
    return run("mindie_weights_scan", directory=str(directory), state_directory=str(state), **arguments)


def digests(result: dict[str, Any]) -> dict[str, str | None]:
    return {row["name"]: row["sha256"] for row in result["files"]}


def proven(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_files_are_read_once_and_then_remembered(model: Path) -> None:
    assert set(digests(scan(model)).values()) == {None}
    first = scan(model, mode="remembered")
    assert digests(first) == proven(model)
    assert first["hashed"] == 3
    again = scan(model, mode="remembered")
    assert again["hashed"] == 0
    assert digests(again) == proven(model)
    assert digests(scan(model)) == proven(model)
    assert not again["changed"]


def test_a_touched_file_is_read_again_even_when_its_time_was_put_back(model: Path) -> None:
    scan(model, mode="remembered")
    before = (model / SHARD).stat()
    content = bytearray((model / SHARD).read_bytes())
    content[-1] ^= 1
    (model / SHARD).write_bytes(content)
    os.utime(model / SHARD, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digests(scan(model))[SHARD] is None
    again = scan(model, mode="remembered")
    assert again["hashed"] == 1
    assert digests(again) == proven(model)


def test_a_full_scan_reads_what_is_remembered(model: Path) -> None:
    scan(model, mode="remembered")
    assert scan(model, mode="full")["hashed"] == 3
    assert scan(model, mode="full", names=[SHARD])["hashed"] == 1


def test_a_full_scan_finds_rot_that_left_no_trace(model: Path) -> None:
    scan(model, mode="remembered")
    proof = next((model.parent / "state" / "weights").glob("*.proof.json"))
    value = json.loads(proof.read_text())
    key = next(key for key in value["files"] if key.startswith(f"{(model / SHARD).stat().st_ino}:"))
    value["files"][key] = "0" * 64  # what was remembered before a bit fell over
    proof.write_text(json.dumps(value))
    assert digests(scan(model, mode="remembered"))[SHARD] == "0" * 64
    assert digests(scan(model, mode="full")) == proven(model)


def test_a_damaged_proof_is_made_again(model: Path) -> None:
    scan(model, mode="remembered")
    for damage in ("", "[]", '{"files": 3, "model": []}', "\xff"):
        next((model.parent / "state" / "weights").glob("*.proof.json")).write_text(damage)
        assert digests(scan(model, mode="remembered")) == proven(model)


def test_check_mode_writes_nothing(model: Path) -> None:
    result = scan(model, mode="full", check=True)
    assert set(digests(result).values()) == {None}
    assert not (model.parent / "state").exists()


def test_an_absent_directory_is_no_error(tmp_path: Path) -> None:
    result = scan(tmp_path / "models" / "none")
    assert not result["present"]
    assert result["files"] == []
    assert result["disk"]["path"] == str(tmp_path)
    assert not (tmp_path / "state").exists()


def test_a_file_in_the_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("x")
    assert "is not a directory" in scan(tmp_path / "model")["msg"]


def test_the_headers_are_compared_with_the_index(model: Path) -> None:
    weight_map = {"a": SHARD, "b": SHARD, "c": SHARD, "d": "other.safetensors"}
    (model / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    facts = scan(model)["model"]
    assert facts["shards"][SHARD] == {
        "tensors": 2,
        "dtypes": {"BF16": 2},
        "absent": 1,
        "absent_names": ["c"],
        "foreign": 0,
        "foreign_names": [],
        "error": None,
    }
    assert facts["index_shards"] == [SHARD, "other.safetensors"]
    assert facts["configuration"] == {"torch_dtype": "bfloat16"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 1 << 62),
        struct.pack("<Q", 4) + b"nope",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 8) + b'{"a": 1}',
        safetensors("a")[:-1],
        safetensors("a") + b"x",
        with_header({"a": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 4]}}),
        with_header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}),
        with_header({"a": {"dtype": "BF16", "shape": [-1, -2], "data_offsets": [0, 4]}}),
        with_header({"a": {"dtype": "BF16", "shape": ["2"], "data_offsets": [0, 4]}}),
        with_header({"a": {"dtype": "X", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}}),
        with_header({"a": {"dtype": "BF16", "data_offsets": [0, 4]}}),
        with_header({name: {"dtype": "BF16", "shape": [1], "data_offsets": [2, 4]} for name in "ab"}),
    ],
)
def test_a_broken_shard_says_why(model: Path, content: bytes) -> None:
    (model / SHARD).write_bytes(content)
    assert scan(model)["model"]["shards"][SHARD]["error"]


def test_tensors_that_the_index_places_elsewhere_are_counted(model: Path) -> None:
    (model / INDEX).write_text(json.dumps({"weight_map": {"a": SHARD}}))
    shard = scan(model)["model"]["shards"][SHARD]
    assert (shard["foreign"], shard["foreign_names"], shard["error"]) == (1, ["b"], None)


def test_a_shape_of_a_dtype_of_less_than_a_byte_is_believed(model: Path) -> None:
    (model / SHARD).write_bytes(with_header({"a": {"dtype": "F4", "shape": [8], "data_offsets": [0, 4]}}))
    assert scan(model)["model"]["shards"][SHARD]["error"] is None


@pytest.mark.parametrize("content", ["", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 3}}', "\xff"])
def test_a_broken_index_and_configuration_say_why(model: Path, content: str) -> None:
    (model / INDEX).write_bytes(content.encode("latin-1"))
    (model / "config.json").write_bytes(content.encode("latin-1").replace(b"{", b"["))
    facts = scan(model)["model"]
    assert facts["index_error"]
    assert facts["configuration"] is None
    assert facts["configuration_error"]


def test_facts_of_the_model_follow_the_files(model: Path) -> None:
    scan(model, mode="remembered")
    (model / "config.json").write_text('{"torch_dtype": "float16"}')
    assert scan(model)["model"]["configuration"] == {"torch_dtype": "float16"}


def test_hidden_links_and_special_files(model: Path) -> None:
    blobs = model.parent / "blobs"
    blobs.mkdir()
    (blobs / "x").write_bytes(b"of a hub's cache")
    (model / "linked.json").symlink_to(blobs / "x")
    (model / "dangling").symlink_to(blobs / "gone")
    (model / "round").symlink_to(model)
    (model / ".git").mkdir()
    (model / ".git" / "config").write_text("x")
    (model / "figures").mkdir()
    (model / "figures" / "a b.png").write_bytes(b"png")
    os.mkfifo(model / "pipe")
    (model / "back\\slash").write_text("x")
    (model / os.fsdecode(b"latin-\xff")).write_text("x")
    result = scan(model, mode="remembered")
    found = digests(result)
    assert found["linked.json"] == hashlib.sha256(b"of a hub's cache").hexdigest()
    assert "figures/a b.png" in found
    assert not any(name.startswith(".") for name in found)
    assert set(result["skipped"]) == {"dangling", "round", "pipe", "back\\slash", "latin-\\xff"}


def test_an_unfinished_transfer_is_seen(model: Path) -> None:
    """What arrived is told by the journal: a partial file has its whole size and its blocks from the beginning."""
    incoming = model.parent / ".model.incoming"
    (incoming / "figures").mkdir(parents=True)
    with (incoming / "a.safetensors.partial").open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, 1_000_000)
    os.truncate(incoming / "a.safetensors.partial", 2_000_000)
    (incoming / "figures" / "b.png").write_bytes(b"123")
    (incoming / "c.safetensors.partial").write_bytes(b"nobody knows what this is")
    journal = "#boot x\na.safetensors\t0\t300\t00000000\na.safetensors\t200\t300\t00000000\n#synced\n"
    (incoming / ".pieces.0").write_text(journal + "a.safetensors\t1000\t50")
    (incoming / ".pieces").write_text(
        "a.safetensors\t900\t100\t00000000\ngone.safetensors\t0\t9\t00000000\n"
        "a.safetensors\t600\t100\t00000000\na.safetensors\t600\t100\tlost\n"
    )
    (incoming / ".pieces.new").write_text("a.safetensors\t1500\t100\t00000000\n")
    result = scan(model)
    assert result["incoming"] == {"a.safetensors": 500 + 100, "figures/b.png": 3}
    assert 1_000_000 <= result["reserved"]["a.safetensors"] < 1_100_000
    assert result["reserved"]["figures/b.png"] == 3
    assert set(result["reserved"]) == {"a.safetensors", "figures/b.png", "c.safetensors"}


def test_a_transfer_that_is_not_there_or_damaged_left_nothing(model: Path) -> None:
    assert scan(model)["incoming"] == scan(model)["reserved"] == {}
    incoming = model.parent / ".model.incoming"
    incoming.mkdir()
    (incoming / ".pieces.0").write_bytes(b"\xff\t0\t1\t0\nx\t-1\t5\t0\nx\ty\tz\t0\n\n")
    (incoming / ".pieces").symlink_to(model / "config.json")
    assert scan(model)["incoming"] == {}


def test_the_cores_of_the_host_are_told(model: Path) -> None:
    assert scan(model)["cores"] == os.cpu_count()


def test_checksums_and_the_manifest_of_earlier_are_returned(model: Path) -> None:
    (model / "SHA256SUMS").write_text("text")
    result = scan(model)
    assert result["checksums"] == "text"
    assert result["manifest"] is None
    Path(result["manifest_path"]).write_text('{"files": []}')
    assert scan(model)["manifest"] == {"files": []}

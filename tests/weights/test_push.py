"""What the controller sends over Ansible's connection, and how the host takes it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.weights.scans import manifest_of

PLUGIN = Path(__file__).resolve().parents[2] / "plugins" / "action" / "mindie_weights_push.py"
FILES = {"big.safetensors": bytes(range(256)) * 40, "config.json": b"{}", "empty.txt": b"", "figures/a.png": b"png"}


@pytest.fixture(scope="module")
def push() -> Any:
    specification = importlib.util.spec_from_file_location("mindie_weights_push", PLUGIN)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    for name, content in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    return directory


def receive(push: Any, incoming: Path, pieces: Any, content: bytes) -> dict[str, Any]:
    """Runs the receiver as the host would."""
    incoming.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", push.RECEIVER, str(incoming)],
        input=json.dumps(pieces).encode() + b"\n" + content,
        capture_output=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("largest", [1, 100, 4096, 1 << 20])
def test_all_bytes_arrive_in_pieces_of_any_size(push: Any, source: Path, tmp_path: Path, largest: int) -> None:
    if largest == 1:
        (source / "big.safetensors").write_bytes(b"123")
    files = {name: (source / name).read_bytes() for name in FILES}
    sending = push.Sending("host1", source, manifest_of(files))
    for pieces, content in sending.batches(dict.fromkeys(files, 0), largest):
        assert len(content) == sum(length for _name, _offset, length in pieces) <= largest
        assert receive(push, tmp_path / "incoming", pieces, content) == {"written": len(content)}
        sending.note(pieces)
    assert sending.sent == sum(map(len, files.values()))
    for name, content in files.items():
        if content:  # an empty file needs no bytes; the host makes it itself
            assert (tmp_path / "incoming" / f"{name}.partial").read_bytes() == content


def test_only_the_rest_is_sent(push: Any, source: Path, tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / "big.safetensors.partial").write_bytes(FILES["big.safetensors"][:1000])
    sending = push.Sending("host1", source, manifest_of(FILES))
    for pieces, content in sending.batches({"big.safetensors": 1000}, 4096):
        receive(push, incoming, pieces, content)
        sending.note(pieces)
    assert sending.sent == len(FILES["big.safetensors"]) - 1000
    assert (incoming / "big.safetensors.partial").read_bytes() == FILES["big.safetensors"]


def test_a_piece_that_was_sent_twice_does_no_harm(push: Any, tmp_path: Path) -> None:
    pieces = [["a", 0, 3], ["a", 3, 2]]
    for _ in range(2):
        receive(push, tmp_path / "incoming", pieces, b"abcde")
    assert (tmp_path / "incoming" / "a.partial").read_bytes() == b"abcde"


def test_a_connection_that_ends_too_early_is_told(push: Any, tmp_path: Path) -> None:
    said = receive(push, tmp_path / "incoming", [["a", 0, 5]], b"abc")
    assert "too early" in said["error"]


def test_a_link_in_the_place_of_a_partial_file_is_not_followed(push: Any, tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "a.partial").symlink_to(tmp_path / "victim")
    assert receive(push, tmp_path / "incoming", [["a", 0, 3]], b"abc")["errno"]
    assert not (tmp_path / "victim").exists()


def test_a_source_that_changed_since_it_was_read_is_told(push: Any, source: Path) -> None:
    sending = push.Sending("host1", source, manifest_of(FILES))
    (source / "config.json").write_bytes(b"longer")
    with pytest.raises(push.Failure, match=r"config\.json on the controller has 6 bytes"):
        list(sending.batches({"config.json": 0}, 4096))
    (source / "config.json").unlink()
    with pytest.raises(push.Failure, match="No such file"):
        list(sending.batches({"config.json": 0}, 4096))

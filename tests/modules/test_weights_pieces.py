"""mindie_weights_scan: where a file is broken, and what a look at some of its pieces tells."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.modules.module_runner import load, run

MIB = 1024 * 1024
PIECE = 8 * MIB
BIG = "big.bin"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / BIG).write_bytes(os.urandom(MIB) * 33)  # four pieces and a half
    (directory / "small.json").write_text("{}")
    (directory / "empty").write_bytes(b"")
    return directory


def scan(directory: Path, **arguments: Any) -> dict[str, Any]:
    state = directory.parent / "state"
    return run("mindie_weights_scan", directory=str(directory), state_directory=str(state), **arguments)


def rot(path: Path, *places: int) -> None:
    """Changes bytes of the file."""
    with path.open("r+b") as handle:
        for place in places:
            handle.seek(place)
            byte = handle.read(1)
            handle.seek(place)
            handle.write(bytes([byte[0] ^ 1]))


def rot_without_trace(model: Path, name: str, *places: int) -> None:
    """Changes bytes as a disk does: what is remembered of the file still fits it, though its times had to change."""
    before = (model / name).stat()
    rot(model / name, *places)
    after = (model / name).stat()
    proof = proof_file(model)
    keys = [f"{i.st_ino}:{i.st_size}:{i.st_mtime_ns}:{i.st_ctime_ns}" for i in (before, after)]
    proof.write_text(proof.read_text().replace(*keys))


def proof_file(model: Path) -> Path:
    return next((model.parent / "state" / "weights").glob("*.proof.json"))


def pieces_file(model: Path) -> Path:
    return next((model.parent / "state" / "weights").glob("*.pieces"))


def remember_manifest(model: Path) -> None:
    """Leaves what a sync leaves."""
    result = scan(model)
    Path(result["manifest_path"]).write_text(json.dumps({"files": result["files"]}))


def test_every_piece_is_remembered_with_the_proof(model: Path) -> None:
    scan(model, mode="remembered")
    rows = [line.split("\t") for line in pieces_file(model).read_text().splitlines()]
    sums = {digest: (int(size), int(piece), text) for digest, size, piece, text, _check in rows}
    content = (model / BIG).read_bytes()
    told = [f"{zlib.crc32(content[at : at + PIECE]):08x}" for at in range(0, len(content), PIECE)]
    assert sums[hashlib.sha256(content).hexdigest()] == (len(content), PIECE, "".join(told))
    assert sums[hashlib.sha256(b"").hexdigest()] == (0, PIECE, "")
    assert pieces_file(model).stat().st_mode & 0o777 == 0o600


def test_a_full_reading_names_the_pieces_that_changed_without_a_trace(model: Path) -> None:
    assert scan(model, mode="remembered")["broken"] == {}
    rot_without_trace(model, BIG, PIECE + 5, 2 * PIECE, 4 * PIECE + 1)
    assert scan(model)["broken"] == {}
    found = scan(model, mode="full")
    assert found["broken"] == {BIG: [[PIECE, 2 * PIECE], [4 * PIECE, MIB]]}


def test_with_a_manifest_it_is_told_as_long_as_it_is_so(model: Path) -> None:
    scan(model, mode="remembered")
    remember_manifest(model)
    rot(model / BIG, 3)
    assert scan(model)["broken"] == {}, "nobody has read it yet"
    told = {BIG: [[0, PIECE]]}
    assert scan(model, mode="remembered")["broken"] == told
    assert scan(model)["broken"] == told, "it is known without reading"
    assert scan(model, mode="full")["broken"] == told
    rot(model / BIG, 3)
    assert scan(model, mode="remembered")["broken"] == {}


def test_another_size_has_no_broken_pieces(model: Path) -> None:
    scan(model, mode="remembered")
    remember_manifest(model)
    (model / BIG).write_bytes(b"x")
    assert scan(model, mode="remembered")["broken"] == {}


def test_a_sample_reads_one_of_a_hundred_pieces_and_at_least_one(model: Path) -> None:
    scan(model, mode="remembered")
    found = scan(model, mode="sample")
    assert found["sampled"] == {BIG: 1, "small.json": 1, "empty": 0}
    assert (found["unsampled"], found["broken"]) == ([], {})
    assert found["hashed_bytes"] <= PIECE + 2
    assert scan(model, mode="sample", pieces=3, names=[BIG])["sampled"] == {BIG: 3}
    assert scan(model, mode="sample", pieces=99)["sampled"][BIG] == 5


def test_the_seed_decides_which_pieces(model: Path) -> None:
    pieces = load("mindie_weights_scan").Pieces("/none/x")
    assert pieces.contents == {}
    sums = load_sums(1000)
    assert sums.chosen(0, "a") == sums.chosen(0, "a") != sums.chosen(0, "b")
    assert len(sums.chosen(0, "a")) == 10
    scan(model, mode="remembered")
    assert scan(model, mode="sample")["seed"] != scan(model, mode="sample")["seed"]
    assert scan(model, mode="sample", seed="again")["seed"] == "again"


def load_sums(count: int) -> Any:
    from ansible.module_utils.mindie_weights_pieces import PieceSums  # found once a module was loaded

    return PieceSums(count * PIECE, PIECE, [0] * count)


def test_what_a_sample_finds_is_not_proven_any_more(model: Path) -> None:
    scan(model, mode="remembered")
    rot_without_trace(model, BIG, PIECE)
    found = scan(model, mode="sample", pieces=5)
    assert found["broken"] == {BIG: [[PIECE, PIECE]]}
    proven = {row["name"]: row["sha256"] for row in scan(model)["files"]}
    assert proven[BIG] is None
    assert proven["small.json"]


def test_files_of_which_no_pieces_are_remembered_are_named(model: Path) -> None:
    scan(model, mode="remembered")
    (model / "new").write_text("x")
    found = scan(model, mode="sample")
    assert found["unsampled"] == ["new"]
    pieces_file(model).unlink()
    assert scan(model, mode="sample")["unsampled"] == [BIG, "empty", "new", "small.json"]


def test_a_touched_file_is_sampled_by_the_manifest(model: Path) -> None:
    scan(model, mode="remembered")
    remember_manifest(model)
    rot(model / BIG, 0)
    found = scan(model, mode="sample", pieces=5)
    assert found["broken"] == {BIG: [[0, PIECE]]}
    assert found["unsampled"] == []


def test_damaged_lines_count_as_none(model: Path) -> None:
    scan(model, mode="remembered")
    path = pieces_file(model)
    lines = path.read_text().splitlines()
    big = next(number for number, line in enumerate(lines) if str(33 * MIB) in line)
    row = lines[big].split("\t")
    row[3] = "0" * len(row[3])
    lines[big] = "\t".join(row)
    path.write_text("\n".join([*lines, "nonsense", "\xff"]) + "\n")
    assert scan(model, mode="sample")["unsampled"] == [BIG]
    path.write_bytes(path.read_bytes()[:-20])
    assert BIG in scan(model, mode="sample")["unsampled"]
    scan(model, mode="full")
    assert scan(model, mode="sample")["unsampled"] == []


def test_a_symlink_in_the_place_of_the_pieces_is_not_followed(model: Path) -> None:
    scan(model, mode="remembered")
    path, elsewhere = pieces_file(model), model.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert len(scan(model, mode="sample")["unsampled"]) == 3
    scan(model, mode="full")
    assert elsewhere.read_bytes() == before
    assert not path.is_symlink()


def test_a_killed_full_reading_does_not_forget_what_it_has_not_disproved(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scan(model, mode="remembered")
    module = load("mindie_weights_scan")

    def killed(*_arguments: object) -> None:
        raise SystemExit(9)

    monkeypatch.setattr(module.Reading, "run", killed)
    scanning = Module(model, mode="full")
    with pytest.raises(SystemExit):
        module.scan(scanning)
    assert scan(model)["files"] == first["files"]


class Module:
    """What scan() needs of an AnsibleModule."""

    check_mode = False

    def __init__(self, model: Path, **arguments: Any) -> None:
        state = str(model.parent / "state")
        defaults = {"file": "", "names": [], "pieces": 0, "seed": "", "workers": 0, "lease": ""}
        self.params = {"directory": str(model), "state_directory": state, **defaults, **arguments}


def test_what_another_run_has_proven_meanwhile_stays(model: Path) -> None:
    module = load("mindie_weights_scan")
    directory = module.Directory(Module(model))
    scan(model, mode="remembered")
    (model / "new").write_text("x")
    directory.proof.note("1:2:3:4", "0" * 64)
    directory.now["other"] = "1:2:3:4"
    directory.save()
    stored = json.loads(proof_file(model).read_text())["files"]
    assert stored["1:2:3:4"] == "0" * 64
    assert len(stored) == 4


def test_check_mode_reads_and_writes_nothing(model: Path) -> None:
    found = scan(model, mode="sample", check=True)
    assert (found["sampled"], found["unsampled"]) == ({}, [])
    assert not (model.parent / "state").exists()

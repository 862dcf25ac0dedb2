"""What a proof costs is measured on what proves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.weights import proof
from benchmarks.weights.network import LabError
from benchmarks.weights.payload import make

MIB = 1 << 20


def test_all_ways_are_measured(tmp_path: Path) -> None:
    costs = proof.measure(make(tmp_path, "shards", 2 * MIB))
    assert [cost.what.split()[0] for cost in costs][:3] == ["look", "second", "full"]
    assert all(cost.seconds > 0 and cost.cpu_s > 0 and cost.size == 2 * MIB for cost in costs)
    assert len(proof.table(costs).splitlines()) == len(costs) + 2


def test_a_wrong_digest_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(tmp_path, "one", MIB)
    other = replace(made, files=[replace(made.files[0], sha256="0" * 64)])
    monkeypatch.setattr(proof, "read", lambda payload: None)
    with pytest.raises(LabError, match="the module's digests are not those of the payload"):
        proof.measure(other)


def test_a_payload_that_was_touched_is_not_used(tmp_path: Path) -> None:
    made = make(tmp_path, "one", MIB)
    (made.directory / made.files[0].name).write_bytes(b"other")
    with pytest.raises(ValueError, match=r"model.safetensors is not as it was made: remove"):
        proof.measure(made)

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


def test_a_wrong_digest_is_no_proof(tmp_path: Path) -> None:
    made = make(tmp_path, "one", MIB)
    other = replace(made, files=[replace(made.files[0], sha256="0" * 64)])
    with pytest.raises(LabError, match="the module's digests are not those of the payload"):
        proof.measure(other)

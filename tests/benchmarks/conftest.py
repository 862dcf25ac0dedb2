"""The lab of the weights exchange on small payloads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.weights.lab import Lab, lab
from benchmarks.weights.payload import make

MIB = 1 << 20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Lab]:
    """Three members, 4 MiB, links of 40 MB/s."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with lab(tmp_path, make(tmp_path, "shards", 4 * MIB), 3, [40e6] * 3) as made:
        yield made

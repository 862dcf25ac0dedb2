"""What a host says about its files is read strictly."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindie_deploy.weights.manifest import ManifestError
from mindie_deploy.weights.scan import Scan, ScanError, read_scan
from tests.weights.scans import good_files, manifest_of, result, scan


def test_a_proven_directory_gives_its_manifest() -> None:
    assert scan().manifest() == manifest_of(good_files())


def test_a_directory_that_was_not_read_has_no_manifest() -> None:
    with pytest.raises(ManifestError):
        scan(read=False).manifest()


def test_a_damaged_manifest_of_ours_counts_as_none() -> None:
    assert scan(manifest={"files": "?"}).remembered is None


@pytest.mark.parametrize("key", ["files", "model", "disk", "incoming", "directory", "unreadable", "manifest_path"])
@pytest.mark.parametrize("value", [None, 7, "x", [7], {"a": 7}])
def test_nonsense_is_refused(key: str, value: Any) -> None:
    if isinstance(value, str) and key in ("directory", "manifest_path"):
        return
    if key == "incoming" and value == {"a": 7}:
        return
    with pytest.raises(ScanError):
        read_scan({**result(), key: value})


@given(st.data())
def test_a_result_with_anything_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    value = copy.deepcopy(result())
    node: Any = value
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(node[key], (dict, list)) and node[key] and data.draw(st.booleans()):
            node = node[key]
            continue
        node[key] = data.draw(st.none() | st.integers() | st.text(max_size=9) | st.just([]) | st.just({}))
        break
    try:
        found = read_scan(value)
    except ScanError:
        return
    assert isinstance(found, Scan)


def test_what_a_reading_found_broken_and_what_a_sample_read() -> None:
    found = scan(broken={"a.safetensors": [[0, 8], [16, 3]]}, sampled={"a.safetensors": 2}, unsampled=["b"], seed="x")
    assert found.broken == {"a.safetensors": ((0, 8), (16, 3))}
    assert (found.sampled, found.unsampled, found.seed) == ({"a.safetensors": 2}, ("b",), "x")


@pytest.mark.parametrize("ranges", [3, [3], [[1]], [[1, 2, 3]], [[-1, 2]], [[1, "2"]], {"a": 1}])
def test_ranges_that_are_none_are_refused(ranges: Any) -> None:
    with pytest.raises(ScanError):
        scan(broken={"a.safetensors": ranges})


def test_what_nobody_has_read_has_no_findings() -> None:
    value = result()
    for key in ("broken", "sampled", "unsampled", "seed"):
        del value[key]
    assert read_scan(value) == scan()

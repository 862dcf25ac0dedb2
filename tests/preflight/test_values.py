"""Small parts: the order of versions, majorities, sizes, and how much of a model is there."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mindie_deploy.hosts.weights_listing import is_complete, missing_shards
from mindie_deploy.preflight.majority import split
from mindie_deploy.preflight.sizes import size_text
from mindie_deploy.preflight.version_order import is_older, parse_version
from mindie_deploy.preflight.weights_size import missing_bytes, model_bytes
from tests.preflight.builders import SHARDS, healthy_host, model_files, no_weights, settings, weights


def test_versions_are_ordered_as_they_were_released() -> None:
    released = ["23.0.5", "24.1.RC1", "24.1.rc3", "24.1.0", "24.1.0.3", "24.1.1", "25.0.rc1", "25.0.rc1.1", "25.2.0"]
    parsed = [parse_version(text) for text in released]

    for older, newer in pairwise(parsed):
        assert older is not None and newer is not None and is_older(older, newer)


def test_a_build_is_of_its_version() -> None:
    assert parse_version("24.1.rc1.b030") == parse_version("24.1.rc1")


@pytest.mark.parametrize("text", ["", "NA", "25.x", "25..1", "b030", "1.2.rc", "9" * 12])
def test_what_is_no_version_has_no_order(text: str) -> None:
    assert parse_version(text) is None


def test_the_majority_decides_and_a_tie_names_all() -> None:
    assert dict(split({"a": 1, "b": 1, "c": 2}).odd) == {"c": 2}
    assert dict(split({"a": 1, "b": 2}).odd) == {"a": 1, "b": 2}
    assert dict(split({"a": 1, "b": 1, "c": 2, "d": 2, "e": 3}).odd) == {"a": 1, "b": 1, "c": 2, "d": 2, "e": 3}
    assert dict(split({"a": 1}).odd) == {} and dict(split({}).odd) == {}


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_340_000_000_000, "1.34 TB"), (455_300_000_000, "455 GB")],
)
def test_sizes_have_three_digits(size: int, text: str) -> None:
    assert size_text(size) == text


def test_a_listing_tells_which_shards_are_missing() -> None:
    listed = weights(model_files(without=(SHARDS[0], SHARDS[162])))

    assert missing_shards(listed) == (2, [SHARDS[0], SHARDS[162]])
    assert not is_complete(listed)
    assert is_complete(weights()) and is_complete(weights({"model.safetensors": 5, "config.json": 1}))


def test_names_that_promise_a_million_shards_are_counted_not_listed() -> None:
    listed = weights({f"x{index}-00001-of-999999.safetensors": 1 for index in range(2000)})

    missing, names = missing_shards(listed)

    assert (missing, len(names)) == (2000 * 999998, 3)


def test_the_size_of_the_model_comes_from_the_best_source() -> None:
    full, empty = healthy_host(weights=weights()), healthy_host(weights=no_weights())

    assert model_bytes(settings(), [empty]) == 1_400_000_000_000
    assert model_bytes(settings(), [empty, full]) == sum(model_files().values())
    assert model_bytes(settings(weights_disk_bytes=7), [full]) == 7
    assert missing_bytes(no_weights(), 100) == 100
    assert missing_bytes(weights(), 10**15) == 0

"""What all hosts have together is a source."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mindie_deploy.errors import CheckFailedError
from mindie_deploy.weights.manifest import Manifest
from mindie_deploy.weights.scan import FoundFile, Scan
from mindie_deploy.weights.source import parse_source
from mindie_deploy.weights.sync import Situation, decide, survey
from mindie_deploy.weights.together import union
from tests.weights.scans import SHARDS
from tests.weights.scans import scan as whole_model


def part(scan: Scan, *names: str) -> Scan:
    """A host that has only some of the files."""
    return replace(scan, files={name: found for name, found in scan.files.items() if name in names})


def halves() -> dict[str, Scan]:
    whole = whole_model()
    small = [name for name in whole.files if name not in SHARDS]
    return {"host1": part(whole, SHARDS[0], *small), "host2": part(whole, *SHARDS[1:]), "host3": part(whole)}


def test_each_file_comes_from_whoever_has_it() -> None:
    scans = halves()
    situation = Situation(parse_source("hosts"), union(scans), scans)

    survey(situation)
    decisions = decide(situation)

    assert decisions["host1"].plan.fetch == tuple(SHARDS[1:])
    assert SHARDS[0] in decisions["host2"].plan.fetch and SHARDS[1] not in decisions["host2"].plan.fetch
    assert set(decisions["host3"].plan.fetch) == set(whole_model().files)
    assert not decisions["host1"].note_source


def test_hosts_that_differ_are_named_and_nothing_is_guessed() -> None:
    whole = whole_model()
    name = SHARDS[0]
    other = replace(whole, files={**whole.files, name: replace(whole.files[name], sha256="f" * 64)})
    with pytest.raises(CheckFailedError, match=rf"{name} \(host1, host2\)"):
        union({"host1": whole, "host2": other})


def test_what_an_earlier_sync_left_decides_between_hosts_that_differ() -> None:
    whole = whole_model()
    name = SHARDS[0]
    changed: FoundFile = replace(whole.files[name], sha256="f" * 64)
    manifest = Manifest.of({"name": one.name, "size": one.size, "sha256": one.sha256} for one in whole.files.values())
    wrong = replace(whole, files={**whole.files, name: changed}, remembered=manifest)
    assert union({"host1": wrong, "host2": whole}).files[name] == whole.files[name]


def test_a_file_that_somebody_has_not_read_yet_is_read_first() -> None:
    whole = whole_model()
    name = SHARDS[0]
    unread = replace(whole, files={**whole.files, name: replace(whole.files[name], sha256=None)})
    scans = {"host1": whole, "host2": unread}
    assert survey(Situation(parse_source("hosts"), union(scans), scans)).hosts == {"host1": (), "host2": (name,)}


def test_no_weights_anywhere() -> None:
    nothing = part(whole_model())
    with pytest.raises(CheckFailedError, match="no host has weights"):
        union({"host1": nothing, "host2": nothing})

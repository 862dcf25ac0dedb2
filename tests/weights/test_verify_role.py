"""The tasks that verify the weights, run by ansible-playbook on three hosts that are directories of this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.weights.test_role import HOSTS, SHARDS, Cluster, Outcome, flip, make_model


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


@contextmanager
def untraced(cluster: Cluster, host: str, name: str) -> Iterator[None]:
    """What is done to the file meanwhile leaves no trace, as when a disk loses bits."""

    def identity() -> str:
        info = (cluster.place(host) / name).stat()
        return f"{info.st_ino}:{info.st_size}:{info.st_mtime_ns}:{info.st_ctime_ns}"

    before = identity()
    yield
    proof = next((cluster.base / host / "state" / "weights").glob("*.proof.json"))
    proof.write_text(proof.read_text().replace(before, identity()))


def test_the_weights_are_verified_by_proofs_by_a_sample_and_by_all_bytes(cluster: Cluster) -> None:
    for host in HOSTS:
        make_model(cluster.place(host))
    synced = json.loads((cluster.base / "play.yml").read_text())
    verify = {"ansible.builtin.import_role": {"name": "weights", "tasks_from": "verify"}}
    play = [{**synced[0], "any_errors_fatal": False, "tasks": [*synced[0]["tasks"][:-1], verify]}]
    nobody_has_read = run(cluster, play)
    assert nobody_has_read.status != 0
    assert "[weights-no-manifest]" in nobody_has_read.text
    (cluster.base / "play.yml").write_text(json.dumps(synced))
    assert cluster.sync("").status == 0

    good = run(cluster, play)
    assert set(good.changed.values()) == {0}
    assert "OK: all 3 hosts have the weights, proven by size and remembered proofs" in good.text
    sampled = run(cluster, play, weights_check="sample", weights_sample_seed="s1")
    assert "OK: all 3 hosts have the weights, proven and some pieces of each were read (seed s1)" in sampled.text

    with untraced(cluster, "host2", SHARDS[1]):
        flip(cluster.place("host2") / SHARDS[1])
    assert run(cluster, play, weights_check="full", arguments=("--check",)).status == 0, "check mode reads nothing"
    assert run(cluster, play).status == 0
    size = (cluster.place("host2") / SHARDS[1]).stat().st_size
    told = (
        f"WRONG  host2: a file is not as it should be:  [weights-broken]\n        {SHARDS[1]}: bytes 0 to {size - 1} ("
    )
    found = run(cluster, play, weights_check="sample")
    assert (found.status, told in found.text) == (2, True), found.text
    found = run(cluster, play, weights_check="full")
    assert (found.status, told in found.text) == (2, True), found.text
    assert "no source is set, so that a sync copies nothing: with mindie_weights_source: hosts" in found.text

    (cluster.base / "play.yml").write_text(json.dumps(synced))
    mended = cluster.sync("hosts")
    assert mended.changed == {"host1": 0, "host2": 1, "host3": 0}, mended.text
    shutil.rmtree(cluster.place("host3"))
    absent = run(cluster, play, weights_check="full")
    assert "WRONG  host3: there are no weights at" in absent.text
    assert absent.counted(4) == {"host1": 1, "host2": 0, "host3": 0}, "it is told once"


def run(
    cluster: Cluster, play: list[dict[str, object]], *, arguments: tuple[str, ...] = (), **variables: str
) -> Outcome:
    (cluster.base / "play.yml").write_text(json.dumps(play))
    return cluster.sync("", *arguments, **variables)

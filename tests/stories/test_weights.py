"""Weights that are not what they should be."""

from __future__ import annotations

from pathlib import Path

from tests.stories.conftest import HOSTS, SimulatedCluster
from tests.weights.fake_hub import REPOSITORY, FakeHub, Faults, serving

MODEL = "/data/models/DeepSeek-R1-BF16"
SHARD = f"{MODEL}/model-00042-of-000163.safetensors"
OTHERS = tuple(f"{MODEL}/{name}" for name in ("model-00041-of-000163.safetensors", "config.json", "tokenizer.json"))


def test_fp8_weights_at_the_path_are_refused(idle: SimulatedCluster) -> None:
    with idle.fault("weights-fp8", "host2"):
        refused = idle.cli("up", "--yes")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "weights.dtype" in refused.stdout
    assert "host2" in refused.stdout
    assert idle.running() == []


def test_an_fp8_source_is_refused_before_a_byte_moves(idle: SimulatedCluster, tmp_path: Path) -> None:
    source = idle.work / "weights" / "DeepSeek-R1"
    other = idle.inventory_with(tmp_path, weights_source=f"controller:{source}", model_path="/data/models/other")
    refused = idle.cli("sync", "--yes", inventory=other)
    assert refused.returncode in (3, 5), refused.stdout + refused.stderr
    assert "FP8" in refused.stderr
    assert "other" not in idle.on("host1", "ls", "-a", "/data/models")


def test_a_changed_byte_is_found_and_mended(idle: SimulatedCluster) -> None:
    right = idle.on("host1", "sha256sum", SHARD).split()[0]
    with idle.fault("weights-shard", "host3"):
        wrong = idle.on("host3", "sha256sum", SHARD).split()[0]
        assert wrong != right
        others = idle.on("host3", "stat", "-c", "%i %Z", *OTHERS)
        done = idle.cli("sync", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        assert idle.on("host3", "sha256sum", SHARD).split()[0] == right
        assert idle.on("host3", "stat", "-c", "%i %Z", *OTHERS) == others, "only the broken shard was brought"


def test_all_hosts_get_the_same_weights_and_keep_no_agent(idle: SimulatedCluster, tmp_path: Path) -> None:
    other = idle.inventory_with(tmp_path, model_path="/data/models/again")
    try:
        done = idle.cli("sync", "--yes", inventory=other)
        assert done.returncode == 0, done.stdout + done.stderr
        sums = {idle.on(host, "sh", "-c", "cd /data/models/again && sha256sum *") for host in HOSTS}
        assert len(sums) == 1
        assert "model-00042-of-000163.safetensors" in sums.pop()
        for host in HOSTS:
            assert "exchange." not in idle.on(host, "ls", "/var/lib/mindie-deploy/weights").replace("exchange.log", "")
            assert idle.on(host, "ls", "-A", "/data/models").split() == ["DeepSeek-R1-BF16", "again"]
    finally:
        for host in HOSTS:
            idle.on(host, "rm", "-rf", "/data/models/again", "/data/models/.again.incoming")


def test_all_hosts_together_read_a_hub_once(idle: SimulatedCluster, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in (idle.work / "weights" / "DeepSeek-R1-BF16").iterdir()}
    router = idle.on("host1", "sh", "-c", "ip route show default | cut -d' ' -f3").strip()
    hub = FakeHub(files, page_size=100, faults=Faults(cut=2, too_many=1, broken=1))
    try:
        with serving(hub, address=router):
            other = idle.inventory_with(
                tmp_path,
                model_path="/data/models/hub",
                weights_source=f"huggingface:{REPOSITORY}",
                weights_hub_endpoint=hub.endpoint,
            )
            done = idle.cli("sync", "--yes", inventory=other)
        assert done.returncode == 0, done.stdout + done.stderr
        sums = {idle.on(host, "sh", "-c", "cd /data/models/hub && sha256sum *") for host in HOSTS}
        assert sums == {idle.on("host1", "sh", "-c", "cd /data/models/DeepSeek-R1-BF16 && sha256sum *")}
        # The controller, which is the hosts' router, reads headers and the index; the hosts read what they keep.
        kept = {(name, client): count for (name, client), count in hub.sent.items() if client != router}
        assert len({client for _, client in kept}) == len(HOSTS)
        # Files as small as these are read faster than hosts can tell what they have, so that some are read by two.
        assert sum(kept.values()) < 2 * sum(len(content) for content in files.values())
    finally:
        for host in HOSTS:
            idle.on(host, "rm", "-rf", "/data/models/hub", "/data/models/.hub.incoming")


def test_a_changed_byte_without_a_source_is_named(idle: SimulatedCluster, tmp_path: Path) -> None:
    alone = idle.inventory_with(tmp_path, weights_source="")
    with idle.fault("weights-shard", "host3"):
        refused = idle.cli("up", "--yes", inventory=alone)
    assert refused.returncode in (3, 5), refused.stdout + refused.stderr
    assert "model-00042-of-000163.safetensors" in refused.stderr
    assert "host3" in refused.stderr
    assert idle.running() == []

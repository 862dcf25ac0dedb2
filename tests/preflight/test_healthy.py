"""A healthy cluster is never blocked, in all its variations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mindie_deploy.hosts.facts import ListeningPort, NpuProcess, Unknown
from tests.preflight.builders import (
    GB,
    NPUS,
    board,
    cluster,
    configuration,
    container,
    devices,
    disks,
    driver,
    engine,
    firmware,
    healthy_host,
    image,
    judged,
    model_files,
    no_weights,
    npu,
    overview,
    own_container,
    ports,
    system,
    topology,
    weights,
)


def by_npu(**changes: Any) -> dict[str, Any]:
    """The same change of every NPU."""
    return {f"npu{index}": npu(index, **changes) for index in NPUS}


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_a_healthy_cluster_has_no_findings(count: int) -> None:
    report = judged(cluster(count))

    assert report.verdict == "ok"
    assert report.findings == () and report.hidden == ()
    assert all(row.verdict == "ok" and row.marked == () for row in report.hosts.values())


EVERYWHERE: dict[str, Any] = {
    "xlink": {"topology": dict.fromkeys(topology(), "XLink")},
    "one direction of the topology only": {"topology": {p: w for p, w in topology().items() if p[0] < p[1]}},
    "a newer driver": {"driver": driver("26.0.rc1"), "overview": replace(overview(), driver_version="26.0.RC1")},
    "firmware accepts the driver, not the other way": {"driver": driver(ranges=(("8.0.0", "8.9.9"),))},
    "boards do not tell": {"boards": {i: board(compatibility="NOT SUPPORT") for i in NPUS}},
    "no ranges, boards say OK": {"driver": driver(ranges=()), "firmware": firmware(ranges=())},
    "no firmware file, boards say OK": {"firmware": Unknown("version.info does not exist")},
    "a failed sensor of each NPU": {"overview": overview(**by_npu(temperature_c=None, power_w=None))},
    "health codes not readable": {"npu_error_codes": {}},
    "stopped container on the NPUs": {"engine": engine(container(running=False, status="exited"))},
    "privileged monitoring": {"engine": engine(container("npu-exporter", npus=(), privileged=True))},
    "old docker": {"engine": engine(version="18.09.0")},
    "root device nodes": {"devices": devices(davinci3={"mode": "0600"})},
    "no netmask of the gateway": {"hccn_configuration": configuration(0, gateway={})},
    "symlinked weights": {"weights": weights(real_path="/mnt/ssd/r1")},
    "float16 weights": {"weights": weights(configuration={"torch_dtype": "float16"})},
    "no dtype told": {"weights": weights(configuration={"model_type": "deepseek_v3"})},
    "notes beside the weights": {"weights": weights(model_files() | {"notes.json": 5, "README.md": 7})},
    "weights on nfs": {"disks": disks(filesystem="nfs4")},
    "full disk but complete weights": {"disks": disks(model_free=1 * GB)},
    "64 KiB pages": {"system": system(page_size=65536)},
    "no install status": {"install_info": {"Driver_Install_Path_Param": "/usr/local/Ascend/"}},
    "image without architecture": {"image": image(architecture=None)},
    "another port is taken": {"listening": (ListeningPort("0.0.0.0", 9100), ListeningPort("::", 22))},
}


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_healthy_variation_has_no_finding_above_info(name: str) -> None:
    changes = dict(EVERYWHERE[name])
    facts = {host: replace(healthy_host(host, rank), **_own(changes, rank)) for rank, host in enumerate(cluster())}

    report = judged(facts)

    assert report.verdict == "ok", report.to_text()


def _own(changes: dict[str, Any], rank: int) -> dict[str, Any]:
    """What differs between healthy hosts must differ in a variation too."""
    own = dict(changes)
    if "system" in own:
        own["system"] = replace(own["system"], hostname=f"node{rank + 1}", addresses=(f"10.0.0.{11 + rank}",))
    if "hccn_configuration" in own:
        own["hccn_configuration"] = configuration(rank, gateway={})
    return own


def test_a_network_per_host_with_gateways_is_healthy() -> None:
    facts = {}
    for rank, name in enumerate(cluster()):
        addresses = {i: f"29.{rank + 1}.0.{i + 11}" for i in NPUS}
        hccn = {i: replace(port, address=addresses[i], gateway=f"29.{rank + 1}.0.1") for i, port in ports(rank).items()}
        kept = configuration(rank, address=addresses, gateway=dict.fromkeys(NPUS, f"29.{rank + 1}.0.1"))
        facts[name] = healthy_host(name, rank, hccn=hccn, hccn_configuration=kept)

    assert judged(facts).verdict == "ok"


def test_our_own_running_deployment_is_no_conflict() -> None:
    """HBM, processes, AICore, heat, ports and memory are what a served model takes."""
    facts = {}
    for rank, name in enumerate(cluster()):
        busy = overview(
            processes=tuple(NpuProcess(i, 0, 5000 + i, "python3", 56470) for i in NPUS),
            **by_npu(hbm_used_mib=60100, aicore_percent=80, temperature_c=80, power_w=350.0),
        )
        facts[name] = healthy_host(
            name,
            rank,
            overview=busy,
            engine=engine(own_container()),
            listening=tuple(ListeningPort("::", port) for port in (22, 1025, 1026, 1027, 1120)),
            system=system(rank, memory_available_bytes=50 * GB),
        )

    report = judged(facts)

    assert report.verdict == "ok"
    assert report.findings == ()


def test_missing_weights_and_image_are_fine_where_a_source_is_set() -> None:
    facts = {name: healthy_host(name, rank, weights=no_weights(), image=None) for rank, name in enumerate(cluster())}

    report = judged(facts, weights_source="controller:/data/r1", image_archive="/data/mindie.tar")

    assert report.verdict == "ok"
    assert {one.check_id for one in report.findings} == {"weights.present", "docker.image"}
    assert all(one.severity == "info" for one in report.findings)


def test_incomplete_weights_are_fine_where_a_source_is_set() -> None:
    partial = weights(model_files(without=("model-00007-of-000163.safetensors",)))

    report = judged(cluster(host2=healthy_host("host2", 1, weights=partial)), weights_source="mount:/mnt/r1")

    assert report.verdict == "ok"
    assert [one.check_id for one in report.findings] == ["weights.index"]


def test_one_host_with_a_small_model_is_healthy() -> None:
    assert judged(cluster(1), weights_disk_bytes=100 * GB).verdict == "ok"

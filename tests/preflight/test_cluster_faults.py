"""Faults as an operator meets them: one cause is one visible finding, with the right host and NPUs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mindie_deploy.hosts.facts import ClockFacts, HccnDevice, HostFacts, ListeningPort, NpuProcess, PathState, Unknown
from mindie_deploy.preflight.finding import Unreachable, UnreachableKind
from tests.preflight.builders import (
    GB,
    MODEL,
    NPUS,
    OTHER_IMAGE_ID,
    STATE,
    UNKNOWN,
    boards,
    cluster,
    configuration,
    container,
    devices,
    disks,
    driver,
    engine,
    finding,
    firmware,
    healthy_host,
    ids,
    image,
    judged,
    model_files,
    no_weights,
    npu,
    only,
    overview,
    own_container,
    ports,
    system,
    weights,
)

NO_ANSWER = Unknown("hccn_tool -ip ended with status 4: The device is not exist!")


def silent_port(index: int, reason: Unknown = NO_ANSWER) -> HccnDevice:
    return HccnDevice(index, *([reason] * 9))


def everywhere(count: int = 4, **changes: Any) -> dict[str, HostFacts | Unreachable]:
    return {name: healthy_host(name, rank, **changes) for rank, name in enumerate(cluster(count))}


def test_a_link_that_is_down_is_one_finding_and_not_nine() -> None:
    dead = ports(2, 5, link_up=False, address=None, netmask=None, net_health="Fault", netdetect=None, gateway=None)
    dead[5] = replace(dead[5], speed_mbps=None, mtu=Unknown("Execute failed: Link status is down."))

    report = judged(cluster(host3=healthy_host("host3", 2, hccn=dead)))

    found = only(report)
    assert found.check_id == "hccn.link-up"
    assert found.where == "host3: NPU 5"
    assert {"hccn.ip-present", "hccn.net-health", "hccn.speed-200g"} <= set(found.hides)
    assert all(one.caused_by for one in report.hidden)
    assert report.hosts["host3"].cells["links"] == "7/8" and report.hosts["host3"].marked == ("links",)
    assert report.hosts["host3"].verdict == "block" and report.hosts["host1"].verdict == "ok"


def test_tls_on_one_host_names_that_host() -> None:
    found = only(judged(cluster(host2=healthy_host("host2", 1, hccn=ports(1, tls=True)))))

    assert (found.check_id, found.where) == ("hccn.tls-uniform", "host2: NPU 0-7")
    assert found.evidence[0].says == "TLS is on; off on host1, host3, host4: NPU 0-7"


def test_a_port_without_certificates_counts_as_tls_off() -> None:
    assert judged(cluster(host2=healthy_host("host2", 1, hccn=ports(1, tls=None)))).verdict == "ok"


def test_tls_on_two_of_four_hosts_names_both_sides() -> None:
    changed = {
        name: healthy_host(name, rank, hccn=ports(rank, tls=True)) for rank, name in [(0, "host1"), (1, "host2")]
    }

    found = only(judged(cluster(**changed)))

    assert found.hosts == ("host1", "host2", "host3", "host4")
    assert len(found.evidence) == 2


def test_tls_on_everywhere_is_only_mentioned() -> None:
    facts: dict[str, HostFacts | Unreachable] = {
        name: healthy_host(name, rank, hccn=ports(rank, tls=True)) for rank, name in enumerate(cluster())
    }

    report = judged(facts)

    assert (report.verdict, ids(report)) == ("ok", ["hccn.tls-off"])


def test_a_doubled_address_names_both_holders() -> None:
    double = ports(2, 5, address="29.1.5.11")  # host1's

    report = judged(cluster(host3=healthy_host("host3", 2, hccn=double)))

    found = only(report)
    assert (found.check_id, found.where) == ("hccn.ip-unique", "host1, host3: NPU 5")
    assert found.evidence[0].says == "29.1.5.11 is the address of host1 NPU 5 and host3 NPU 5"
    assert [one.check_id for one in report.hidden] == ["hccn.conf-live"]


def test_a_doubled_address_from_another_rail_is_still_one_finding() -> None:
    double = ports(2, 5, address="29.1.0.11")

    assert only(judged(cluster(host3=healthy_host("host3", 2, hccn=double)))).check_id == "hccn.ip-unique"


@pytest.mark.parametrize("topology", [Unknown("npu-smi info -t topo ended with status 191"), None])
def test_a_lost_npu_hides_everything_else_of_it(topology: Unknown | None) -> None:
    lost = healthy_host("host3", 2)
    pairs = lost.topology if isinstance(lost.topology, dict) else {}
    lost = replace(
        lost,
        overview=overview(lost=(5,)),
        boards=boards(5, Unknown("Invalid card id.")),
        npu_error_codes={i: Unknown("Invalid card id.") if i == 5 else () for i in NPUS},
        hccn={**ports(2), 5: silent_port(5)},
        hccn_configuration=configuration(2, address={i: f"29.1.{i}.13" for i in NPUS if i != 5}),
        devices=devices(without=("davinci5",)),
        topology=topology or {pair: word for pair, word in pairs.items() if 5 not in pair},
    )

    report = judged(cluster(host3=lost))

    found = only(report)
    assert (found.check_id, found.where) == ("npu.count", "host3: NPU 5")
    assert {one.check_id for one in report.hidden} >= {"hccn.tool-responds", "hccs.topology", "devices.davinci"}
    assert report.hosts["host3"].cells["npus"] == "7/8"


def test_a_dead_device_that_npu_smi_still_shows_is_one_finding() -> None:
    report = judged(cluster(host3=healthy_host("host3", 2, hccn={**ports(2), 5: silent_port(5)})))

    found = only(report)
    assert (found.check_id, found.where) == ("hccn.tool-responds", "host3: NPU 5")
    assert found.kind == "fail" and "not exist" in found.evidence[0].says


def test_npu_smi_missing_hides_all_that_comes_from_it() -> None:
    gone = Unknown("npu-smi was not found")
    host = healthy_host(
        "host3",
        2,
        npu_smi=PathState("/usr/local/bin/npu-smi", True, "directory"),
        overview=gone,
        topology=gone,
        boards=boards(value=gone),
        npu_error_codes=dict.fromkeys(NPUS, gone),
    )

    found = only(judged(cluster(host3=host)))

    assert (found.check_id, found.where) == ("npu.tool-present", "host3")
    assert "rmdir" in found.remedy


def test_npu_smi_that_hangs_is_one_finding() -> None:
    host = healthy_host("host3", 2, overview=UNKNOWN, topology=UNKNOWN, boards=boards(value=UNKNOWN))
    host = replace(host, npu_error_codes=dict.fromkeys(NPUS, UNKNOWN), system=system(2, modules=("ext4",)))

    found = only(judged(cluster(host3=host)))

    assert found.check_id == "npu.tool-responds"
    assert "no kernel module of the driver" in found.evidence[0].says


def test_hccn_tool_missing_is_one_finding() -> None:
    gone = Unknown("hccn_tool was not found")
    host = healthy_host(
        "host3",
        2,
        hccn_tool=PathState("/usr/local/Ascend/driver/tools/hccn_tool", False),
        hccn={index: silent_port(index, gone) for index in NPUS},
    )

    assert only(judged(cluster(host3=host))).check_id == "hccn.tool-present"


def test_a_stopped_engine_hides_what_comes_from_it() -> None:
    down = Unknown("docker info ended with status 1: Cannot connect to the Docker daemon")

    report = judged(cluster(host2=healthy_host("host2", 1, engine=down, image=down)))

    found = only(report)
    assert (found.check_id, found.where, found.kind) == ("docker.running", "host2", "fail")
    of_engine = ("conflict", "disk", "image", "image-arch", "image-same", "name-free", "version")
    of_engine += ("runtime", "stopped", "user-namespace")
    assert set(found.hides) == {f"docker.{name}" for name in of_engine}


def test_a_missing_image_names_its_host() -> None:
    found = only(judged(cluster(host4=healthy_host("host4", 3, image=None))))

    assert (found.check_id, found.where) == ("docker.image", "host4")


def test_images_two_against_two_name_both_sides() -> None:
    changed = {
        name: healthy_host(name, rank, image=image(id=OTHER_IMAGE_ID)) for rank, name in [(2, "host3"), (3, "host4")]
    }

    found = only(judged(cluster(**changed)))

    assert (found.check_id, found.hosts) == ("docker.image-same", ("host1", "host2", "host3", "host4"))


def test_fp8_weights_everywhere_are_one_finding() -> None:
    fp8 = weights(configuration={"torch_dtype": "bfloat16", "quantization_config": {"quant_method": "fp8"}})

    found = only(judged(everywhere(weights=fp8), weights_source="controller:/data/r1"))

    assert (found.check_id, found.where) == ("weights.dtype", "host1, host2, host3, host4")


def test_a_disk_that_is_too_small_names_its_host() -> None:
    facts = everywhere(weights=no_weights())
    facts["host3"] = healthy_host("host3", 2, weights=no_weights(), disks=disks(model_free=100 * GB))

    found = only(judged(facts, weights_source="controller:/data/r1"))

    assert (found.check_id, found.where) == ("weights.disk", "host3")
    assert found.evidence[0].says == "107 GB free at /data, needed 1.4 TB"


def test_what_is_there_already_needs_no_room() -> None:
    """Half of the shards are there: half of the room is enough."""
    half = weights(model_files(without=tuple(name for name in model_files() if name > "model-00080")))
    facts = cluster(host3=healthy_host("host3", 2, weights=half, disks=disks(model_free=750 * GB)))

    assert judged(facts, weights_source="controller:/data/r1").verdict == "ok"


def test_files_that_the_controller_lacks() -> None:
    from mindie_deploy.preflight.context import local_paths
    from mindie_deploy.preflight.judge import judge
    from tests.preflight.builders import hosts_of, settings

    configured = settings(weights_source="controller:/r1", image_archive="/mindie.tar")
    assert local_paths(configured) == ("/mindie.tar", "/r1")
    facts = cluster(host3=healthy_host("host3", 2, image=None))
    report = judge(hosts_of(facts), facts, configured, absent=local_paths(configured))

    found = {one.check_id: one for one in report.findings if one.severity == "block"}
    assert set(found) == {"docker.image", "weights.source"}
    assert "/mindie.tar" in found["docker.image"].evidence[0].says
    assert "/r1" in found["weights.source"].evidence[0].says
    assert judge(hosts_of(facts), facts, configured).verdict == "ok"


def test_an_archive_that_is_not_on_the_controller_is_not_looked_for_there() -> None:
    from mindie_deploy.preflight.context import local_paths
    from tests.preflight.builders import settings

    assert local_paths(settings(image_archive="controller:/mindie.tar")) == ("/mindie.tar",)
    for archive in ("host:storage:/mindie.tar", "mount:/mindie.tar"):
        assert local_paths(settings(image_archive=archive)) == ()
        (found,) = judged(cluster(host3=healthy_host("host3", 2, image=None)), image_archive=archive).findings
        assert (found.check_id, found.severity) == ("docker.image", "info")
        assert found.evidence[0].says.endswith(f"; it comes from {archive}")


def test_port_1025_taken_on_the_leader() -> None:
    report = judged(cluster(host1=healthy_host("host1", 0, listening=(ListeningPort("127.0.0.1", 1025),))))

    found = only(report)
    assert (found.check_id, found.where) == ("ports.free", "host1")
    assert "port 1025 (mindie_port)" in found.evidence[0].says


def test_the_torch_backend_needs_its_port_too() -> None:
    taken = cluster(host1=healthy_host("host1", 0, listening=(ListeningPort("::", 29500),)))

    assert judged(taken).verdict == "ok"
    assert only(judged(taken, backend_type="torch", environment={"HCCL_BUFFSIZE": "512"})).check_id == "ports.free"


def test_the_port_of_a_transfer_counts_only_where_something_is_copied() -> None:
    source = healthy_host("host2", 1, listening=(ListeningPort("0.0.0.0", 11200),))
    copying = cluster(host2=source, host3=healthy_host("host3", 2, weights=no_weights()))

    assert only(judged(copying, weights_source="host:host2:/data/r1")).where == "host2"
    assert judged(cluster(host2=source), weights_source="host:host2:/data/r1").verdict == "ok"
    assert only(judged(copying, weights_source="controller:/data/r1")).where == "host2"
    assert judged(copying, weights_source="").verdict != "ok"  # the weights are missing, not the port


def test_the_port_of_a_transfer_counts_on_hosts_that_lack_the_image() -> None:
    taken = (ListeningPort("0.0.0.0", 11200),)
    without = cluster(
        host2=healthy_host("host2", 1, listening=taken, image=None), host3=healthy_host("host3", 2, listening=taken)
    )
    for archive, hosts in {
        "/mindie.tar": ["host2"],
        "host:storage:/mindie.tar": ["host2"],
        "host:host3:/mindie.tar": ["host2", "host3"],
    }.items():
        (found,) = (one for one in judged(without, image_archive=archive).findings if one.check_id == "ports.weights")
        assert sorted(host for one in found.evidence for host in one.places) == hosts


@pytest.mark.parametrize(
    ("kind", "check_id"),
    [
        ("no-connection", "host.unreachable"),
        ("authentication", "host.authentication"),
        ("host-key", "host.key-changed"),
        ("other", "host.collection"),
    ],
)
def test_a_host_without_facts_is_one_finding(kind: UnreachableKind, check_id: str) -> None:
    report = judged(cluster(host3=Unreachable("ssh: no route to host", kind)))

    found = only(report)
    assert (found.check_id, found.where) == (check_id, "host3")
    assert found.evidence[0].says == "ssh: no route to host"
    assert report.hosts["host3"].cells["reachable"] == "no"
    assert {one.hosts for one in report.hidden} == {("host3",)}


def test_a_host_that_is_not_in_the_facts_was_not_collected() -> None:
    from mindie_deploy.preflight.judge import judge
    from tests.preflight.builders import hosts_of, settings

    facts = cluster()
    hosts = hosts_of(facts)
    del facts["host4"]

    assert only(judge(hosts, facts, settings())).check_id == "host.collection"


def test_a_faulty_card_with_all_its_signs_is_one_finding() -> None:
    host = healthy_host(
        "host3",
        2,
        overview=overview(npu5=npu(5, health="Critical")),
        npu_error_codes={i: ("80E18005",) if i == 5 else () for i in NPUS},
    )

    report = judged(cluster(host3=host))

    assert (only(report).check_id, only(report).where) == ("npu.health", "host3: NPU 5")
    assert "npu.health-codes" in only(report).hides


def test_a_foreign_container_explains_processes_memory_and_heat() -> None:
    busy = npu(5, hbm_used_mib=40000, aicore_percent=99, temperature_c=80)
    host = healthy_host(
        "host3",
        2,
        engine=engine(container("vllm", npus=(5,))),
        overview=overview(processes=(NpuProcess(5, 0, 99, "python3", 36000),), npu5=busy),
    )

    found = only(judged(cluster(host3=host)))

    assert (found.check_id, found.where) == ("docker.conflict", "host3: NPU 5")


def test_a_process_on_another_npu_than_the_container_is_a_second_cause() -> None:
    host = healthy_host(
        "host3",
        2,
        engine=engine(container("vllm", npus=(5,))),
        overview=overview(processes=(NpuProcess(5, 0, 99, "python3", 1), NpuProcess(6, 0, 98, "python3", 1))),
    )

    report = judged(cluster(host3=host))

    assert finding(report, "docker.conflict").where == "host3: NPU 5"
    assert finding(report, "npu.process-residual").where == "host3: NPU 6"


def test_our_own_stopped_container_does_not_excuse_a_process_that_stayed() -> None:
    host = healthy_host(
        "host3",
        2,
        engine=engine(own_container(running=False, status="exited")),
        overview=overview(processes=(NpuProcess(5, 0, 99, "python3", 36000),), npu5=npu(5, hbm_used_mib=40000)),
    )

    assert only(judged(cluster(host3=host))).check_id == "npu.process-residual"


def test_another_deployment_is_a_conflict() -> None:
    host = healthy_host("host3", 2, engine=engine(own_container()))

    found = only(judged(cluster(host3=host), deployment="qwen"))

    assert found.check_id == "docker.conflict"
    assert "of the deployment deepseek-r1" in found.evidence[0].says


def test_an_odd_driver_explains_firmware_and_banner() -> None:
    host = healthy_host(
        "host3",
        2,
        driver=driver("23.0.5", ranges=(("6.0.0", "6.9.9"),)),
        firmware=firmware(ranges=(("25.0.0", "25.9.9"),)),
        boards=boards(firmware_version="7.1.0.7.220", compatibility="NOK"),
    )

    report = judged(cluster(host3=host))

    assert [(one.check_id, one.severity) for one in report.findings] == [
        ("driver.uniform", "block"),
        ("driver.version", "warn"),  # older than advised: true whatever the others have
    ]


def test_an_old_driver_on_all_hosts_is_a_warning() -> None:
    old = everywhere(
        driver=driver("24.1.rc1.b030"), overview=replace(overview(), driver_version="24.1.rc1.b030"),
        firmware=firmware(ranges=(("23.0.0", "24.9.9"),)),
    )  # fmt: skip

    found = only(judged(old))

    assert (found.check_id, found.severity, len(found.hosts)) == ("driver.version", "warn", 4)


def test_clocks_are_compared_with_one_another_not_with_the_controller() -> None:
    late: dict[str, HostFacts | Unreachable] = {
        name: healthy_host(name, rank, clock=ClockFacts(7200.0 + 0.1 * rank, 0.2))
        for rank, name in enumerate(cluster())
    }

    assert judged(late).verdict == "ok"


def test_clocks_two_against_two_name_both_sides() -> None:
    changed = {name: healthy_host(name, rank, clock=ClockFacts(90, 0.1)) for rank, name in [(2, "host3"), (3, "host4")]}

    found = only(judged(cluster(**changed)))

    assert (found.check_id, found.severity, len(found.hosts)) == ("os.time-skew", "block", 4)


def test_a_slow_answer_is_no_wrong_clock() -> None:
    assert judged(cluster(host3=healthy_host("host3", 2, clock=ClockFacts(30.0, 31.0)))).verdict == "ok"


def test_two_hosts_of_one_name() -> None:
    report = judged(cluster(host3=healthy_host("host3", 2, system=system(2, hostname="node1"))))

    assert (only(report).check_id, only(report).where) == ("os.hostname-unique", "host1, host3")


def test_a_conversion_without_tokenizer_is_found() -> None:
    files = model_files(without=("tokenizer.json", "tokenizer_config.json"))

    assert only(judged(everywhere(weights=weights(files)))).check_id == "weights.tokenizer"
    files = model_files(without=("tokenizer_config.json",))
    assert only(judged(everywhere(weights=weights(files)))).check_id == "weights.tokenizer"


@pytest.mark.parametrize(
    "changes", [{"uid": 0}, {"uid": 1001, "mode": "0755"}, {"uid": 1001, "file_modes": {"config.json": "0644"}}]
)
def test_weights_that_the_containers_user_may_not_read(changes: dict[str, Any]) -> None:
    found = only(judged(everywhere(weights=weights(**changes)), container_user="1001:1001"))

    assert (found.check_id, found.severity) == ("weights.perm", "block")


def test_a_second_fault_elsewhere_is_not_hidden_by_the_first() -> None:
    report = judged(
        cluster(
            host2=healthy_host("host2", 1, hccn=ports(1, 3, link_up=False)),
            host3=healthy_host("host3", 2, hccn=ports(2, 3, address=None)),
            host4=Unreachable("timed out", "no-connection"),
        )
    )

    assert ids(report) == ["host.unreachable", "hccn.link-up", "hccn.ip-present"]


def test_one_cause_over_hosts_and_npus_is_one_finding() -> None:
    report = judged(
        cluster(
            host3=healthy_host("host3", 2, hccn=ports(2, 5, link_up=False)),
            host4=healthy_host("host4", 3, hccn=ports(3, link_up=False)),
        )
    )

    found = [one for one in report.findings if one.check_id == "hccn.link-up"]
    assert [one.where for one in found] == ["host4: NPU 0-7", "host3: NPU 5"]
    assert len(report.findings) == 2 and len(found[0].evidence) == 1


def test_a_state_directory_on_a_full_disk() -> None:
    full = {MODEL: disks()[MODEL], STATE: replace(disks()[STATE], available_bytes=0)}

    assert only(judged(cluster(host1=healthy_host("host1", 0, disks=full)))).check_id == "state.disk"


def test_a_lowered_cause_does_not_hide_a_graver_consequence() -> None:
    host = healthy_host("host3", 2, hccn=ports(2, 5, link_up=False, net_health="Fault"))

    report = judged(cluster(host3=host), checks_warn=["hccn.link-up"])

    assert report.verdict == "block"
    assert finding(report, "hccn.link-up").severity == "warn" and finding(report, "hccn.link-up").lowered
    assert finding(report, "hccn.net-health").severity == "block"


def test_missing_evidence_does_not_explain_a_known_fault() -> None:
    host = healthy_host("host3", 2, hccn=ports(2, 5, link_up=UNKNOWN, net_health="Fault"))

    report = judged(cluster(host3=host))

    assert {(one.check_id, one.kind) for one in report.findings} == {
        ("hccn.link-up", "unknown"),
        ("hccn.net-health", "fail"),
    }


def test_npu_smi_missing_does_not_hide_a_link_that_is_down() -> None:
    """hccn_tool answers for itself."""
    gone = Unknown("npu-smi was not found")
    host = healthy_host(
        "host3",
        2,
        npu_smi=PathState("/usr/local/bin/npu-smi", False),
        overview=gone,
        topology=gone,
        hccn=ports(2, 5, link_up=False, net_health="Fault"),
    )

    assert set(ids(judged(cluster(host3=host)))) == {"npu.tool-present", "hccn.link-up"}


def test_a_driver_that_is_not_loaded_is_one_finding() -> None:
    """No device nodes, no answer from either tool."""
    down = Unknown("npu-smi info ended with status 187: dcmi module initialize failed. ret is -8005")
    nodes = tuple(node.path.rsplit("/", 1)[1] for node in devices())
    host = healthy_host(
        "host3",
        2,
        overview=down,
        topology=down,
        boards=boards(value=down),
        npu_error_codes=dict.fromkeys(NPUS, down),
        hccn={index: silent_port(index) for index in NPUS},
        devices=devices(without=nodes),
    )

    found = only(judged(cluster(host3=host)))

    assert (found.check_id, found.where) == ("npu.tool-responds", "host3")
    assert "there is no device node of the driver" in found.evidence[0].says


def test_a_note_on_one_host_only_is_no_difference_of_the_model() -> None:
    noted = weights(model_files() | {"manifest.json": 77})

    assert judged(cluster(host1=healthy_host("host1", 0, weights=noted))).verdict == "ok"

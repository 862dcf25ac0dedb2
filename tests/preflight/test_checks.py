"""Every check that looks at facts, failing and unknown: on the third of four hosts, and nothing else is reported.

That they pass is seen in test_healthy.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from mindie_deploy.hosts.facts import Absent, ClockFacts, EccCounts, ListeningPort, NpuProcess, PathState, Unknown
from mindie_deploy.preflight.registry import all_checks
from tests.preflight.builders import (
    GB,
    INDEX,
    MODEL,
    NPUS,
    OTHER_IMAGE_ID,
    SHARDS,
    STATE,
    UNKNOWN,
    board,
    boards,
    configuration,
    container,
    devices,
    disks,
    driver,
    engine,
    firmware,
    image,
    judged_one,
    model_files,
    no_weights,
    npu,
    overview,
    ports,
    system,
    topology,
    weights,
)
from tests.preflight.test_surroundings import SURROUNDINGS


@dataclass(frozen=True)
class Case:
    """Changes of host3, and what must be found there."""

    check_id: str
    changes: dict[str, Any]
    npus: tuple[int, ...] = ()
    severity: str | None = None  # None: the check's own
    says: str = ""
    settings: dict[str, Any] | None = None


def hccn(npu: int | None = 5, **changes: Any) -> dict[str, Any]:
    return {"hccn": ports(2, npu, **changes)}


def on_npu5(**changes: Any) -> dict[str, Any]:
    return {"overview": overview(npu5=npu(5, **changes))}


def quantized(**values: Any) -> dict[str, Any]:
    return {"weights": weights(configuration={"torch_dtype": "bfloat16", **values})}


OTHERS = {"mindie-deploy.deployment": "qwen"}
OURS = {"mindie-deploy.deployment": "deepseek-r1"}
FAILING = [
    Case("npu.tool-present", {"npu_smi": PathState("/usr/local/bin/npu-smi", False)}, says="does not exist"),
    Case("npu.tool-present", {"npu_smi": PathState("/usr/local/bin/npu-smi", True, "directory")}, says="directory"),
    Case("npu.tool-present", {"npu_smi": PathState("/usr/local/bin/npu-smi", True, "file", "0644")}, says="0644"),
    Case("npu.tool-present", {"npu_smi": PathState("/usr/local/bin/npu-smi", True, None)}, says="link"),
    Case("npu.tool-present", {"npu_smi": PathState("/usr/local/bin/npu-smi", True, "socket")}, says="socket"),
    Case("npu.tool-responds", {"overview": UNKNOWN}, says="within 60 s"),
    Case("npu.count", {"overview": overview(lost=(5,))}, (5,), says="0-4, 6-7"),
    Case("npu.count", {"overview": replace(overview(), npus=(*overview().npus, npu(8)))}, (8,)),
    Case("npu.vnpu-off", {"overview": overview(npu5=npu(5, id=100))}, says="id 100"),
    Case("npu.chip-uniform", on_npu5(name="910B"), (5,), says="910B, expected 910B3"),
    Case("npu.health", on_npu5(health="Alarm"), (5,), says="Alarm"),
    Case("npu.health", on_npu5(health="Critical"), (5,)),
    Case("npu.health", on_npu5(health="UNKNOWN"), (5,)),
    Case("npu.health", on_npu5(health="Warning"), (5,), "warn"),
    Case("npu.health-codes", {"npu_error_codes": {i: ("80E18005",) if i == 5 else () for i in NPUS}}, (5,)),
    Case("npu.hbm-total", on_npu5(hbm_total_mib=32768), (5,), says="32768"),
    Case("npu.hbm-free", on_npu5(hbm_used_mib=4097), (5,), says="4097 of 65536"),
    Case("npu.process-residual", {"overview": overview(processes=(NpuProcess(5, 0, 77, "python3", 9),))}, (5,)),
    Case(
        "npu.process-residual", {"overview": overview(processes=(NpuProcess(5, 0, 77, "", 9),))}, (5,), says="no name"
    ),
    Case("npu.aicore-idle", on_npu5(aicore_percent=25), (5,), says="25 %"),
    Case("npu.temp", on_npu5(temperature_c=75), (5,), says="75 degrees"),
    Case("npu.power-idle", on_npu5(power_w=250.5), (5,), says="250.5 W"),
    Case("npu.hugepages", on_npu5(hugepages_used=12, hugepages_total=15), (5,), says="12 of 15"),
    Case("devices.manager", {"devices": devices(without=("davinci_manager",))}),
    Case("devices.davinci", {"devices": devices(without=("davinci5",))}, (5,), says="/dev/davinci5"),
    Case("devices.davinci", {"devices": devices(davinci5={"kind": "directory"})}, (5,), says="a directory"),
    Case("devices.svm-hdc", {"devices": devices(without=("hisi_hdc",))}, says="/dev/hisi_hdc"),
    Case("devices.svm-hdc", {"devices": devices()[:-1]}, says="/dev/hisi_hdc"),
    Case(
        "devices.svm-hdc",
        {"devices": devices(devmm_svm={"mode": "0600"}), "weights": weights(uid=1001)},
        settings={"container_user": "1001:1001", "weights_source": ""},
    ),
    Case("install-info", {"install_info": {}}),
    Case("install-info", {"install_info": Absent("/etc/ascend_install.info does not exist")}, says="does not exist"),
    Case("install-info", {"install_info": {"Driver_Install_Path_Param": "/opt/Ascend"}}, says="/opt/Ascend"),
    Case(
        "install-info",
        {"install_info": {"Driver_Install_Path_Param": "/usr/local/Ascend", "Driver_Install_Status": "failed"}},
        severity="warn",
    ),
    Case("docker.running", {"engine": UNKNOWN}),
    Case("docker.version", {"engine": engine(version="20.10.24")}),
    Case("docker.image", {"image": None}, says="there is no mindie:"),
    Case("docker.image", {"image": None}, severity="info", settings={"image_archive": "/data/mindie.tar"}),
    Case("docker.image-same", {"image": image(id=OTHER_IMAGE_ID)}, says="a1a1"),
    Case("docker.image-arch", {"image": image(architecture="amd64")}, says="amd64"),
    Case("docker.name-free", {"engine": engine(container("deepseek-r1-mindie"))}, says="deepseek-r1-mindie (vllm"),
    Case(
        "docker.name-free",
        {"engine": engine(container("deepseek-r1-mindie", npus=(), running=False, labels=OTHERS))},
    ),
    Case(
        "docker.stopped",
        {"engine": engine(container("deepseek-r1-mindie", running=False, status="exited", exit_code=137, labels=OURS))},
        severity="info",
        says="container deepseek-r1-mindie is exited (137)",
    ),
    Case("docker.conflict", {"engine": engine(container(npus=(4, 5)))}, (4, 5), says="other (vllm:0.9)"),
    Case("docker.conflict", {"engine": engine(container(npus=(), privileged=True))}, severity="info"),
    Case(
        "docker.conflict",
        {"engine": engine(container(npus=(5,), labels=OTHERS))},
        (5,),
        says="deployment qwen",
    ),
    Case("driver.uniform", {"driver": driver("25.0.rc1.1")}, says="25.0.rc1.1; 25.2.0 on host1, host2, host4"),
    Case("driver.uniform", {"driver": driver("25.5.0")}, says="still running 25.2.0: not rebooted since"),
    Case("driver.files-match", {"overview": replace(overview(), driver_version="25.0.rc1")}, says="running 25.0.rc1"),
    Case("firmware.version", {"boards": boards(5, firmware_version="7.5.0.1.129")}, (5,), says="7.5.0.1.129"),
    Case("firmware.version", {"boards": boards(5, firmware_version="7.7.0.9.220")}, (5,), severity="info"),
    Case("firmware.compat", {"boards": boards(5, compatibility="NOK")}, (5,)),
    Case(
        "firmware.compat",
        {
            "driver": driver(ranges=(("6.0.0", "6.9.9"),)),
            "firmware": firmware(ranges=(("23.0.0", "23.9.9"),)),
            "boards": boards(compatibility="UNKNOWN"),
        },
        says="not 7.7.0.6.236",
    ),
    Case(
        "firmware.compat",
        {"driver": driver(ranges=(("6.0.0", "6.9.9"),)), "firmware": firmware(ranges=(("23.0.0", "23.9.9"),))},
        severity="warn",
        says="every NPU says OK",
    ),
    Case("hccn.tool-present", {"hccn_tool": PathState("/usr/bin/hccn_tool", False)}),
    Case("hccn.link-up", hccn(link_up=False), (5,), says="DOWN"),
    Case("hccn.ip-present", hccn(address=None, netmask=None), (5,), says="no address"),
    Case("hccn.ip-present", hccn(address="-.-.-.-"), (5,), says="-.-.-.-"),
    Case("hccn.ip-present", hccn(address="0.0.0.0"), (5,)),
    Case("hccn.conf-present", {"hccn_configuration": Absent("/etc/hccn.conf does not exist")}, says="does not exist"),
    Case(
        "hccn.conf-present",
        {"hccn_configuration": configuration(2, address={i: f"29.1.{i}.13" for i in NPUS if i != 5})},
        (5,),
        "warn",
        "no address_5",
    ),
    Case(
        "hccn.conf-live",
        {"hccn_configuration": configuration(2, address={i: f"29.1.{i}.{99 if i == 5 else 13}" for i in NPUS})},
        (5,),
        says="the file has 29.1.5.99, the NPU 29.1.5.13",
    ),
    Case("hccn.subnet", hccn(netmask="255.255.0.0", gateway=None), (5,), says="29.1.0.0/16 on host3"),
    Case("hccn.gateway", hccn(gateway=None), (5,), says="no gateway"),
    Case("hccn.gateway", hccn(gateway="10.9.9.1"), (5,), says="10.9.9.1 is not in 29.1.5.0/24"),
    Case("hccn.netdetect", hccn(netdetect=None), (5,)),
    Case("hccn.net-health", hccn(net_health="Fault"), (5,), says="Fault"),
    Case("hccn.net-health", hccn(net_health="Receive timeout"), (5,)),
    Case("hccn.net-health", hccn(net_health="Init"), (5,), "warn"),
    Case("hccn.speed-200g", hccn(speed_mbps=100000), (5,), says="100000 Mb/s"),
    Case("hccn.mtu-uniform", hccn(mtu=9000), (5,), says="MTU 9000"),
    Case("hccn.tls-uniform", hccn(npu=None, tls=True), tuple(NPUS), says="TLS is on"),
    Case("hccn.not-host-net", {"system": system(2, addresses=("10.0.0.13", "29.1.5.200"))}, (5,), says="29.1.5.200"),
    Case("hccs.topology", {"topology": topology(pair_3_5="SYS")}, (3, 5), says="SYS to NPU 5"),
    Case(
        "hccs.topology",
        {"topology": topology(**{f"pair_{i}_5": "PHB" for i in NPUS if i != 5})},
        (5,),
        says="PHB to NPU 0-4, 6-7",
    ),
    Case("os.arch", {"system": system(2, architecture="x86_64")}, says="x86_64"),
    Case("os.release", {"system": system(2, os_version="20.03")}, says="20.03"),
    Case("os.kernel", {"system": system(2, kernel="4.19.90")}, says="4.19.90"),
    Case("os.page-size", {"system": system(2, page_size=65536)}, says="65536"),
    Case("os.time-skew", {"clock": ClockFacts(3.5, 0.1)}, severity="warn", says="3.5 s ahead of"),
    Case("os.time-skew", {"clock": ClockFacts(-3600.0, 0.1)}, severity="block", says="3600.0 s behind"),
    Case("os.memory", {"system": system(2, memory_available_bytes=100 * GB)}, says="107 GB available"),
    Case("state.disk", {"disks": disks(state_free=1000)}, says="1 kB"),
    Case("state.disk", {"disks": {**disks(), STATE: replace(disks()[STATE], read_only=True)}}, says="read-only"),
    Case("weights.present", {"weights": no_weights()}, says="does not exist"),
    Case("weights.present", {"weights": weights({})}, says="is empty"),
    Case("weights.present", {"weights": no_weights()}, severity="info", settings={"weights_source": "mount:/m"}),
    Case(
        "weights.index",
        {"weights": weights(model_files() | {SHARDS[6]: 0})},
        says=f"{SHARDS[6]} has 0 bytes",
        settings={"weights_source": ""},
    ),
    Case("weights.index", {"weights": weights(model_files(without=(SHARDS[6],)))}, says="00007-of-000163"),
    Case("weights.index", {"weights": weights(model_files(without=(INDEX,)))}, says="index.json"),
    Case("weights.index", {"weights": weights(model_files(without=("config.json",)))}, says="config.json"),
    Case("weights.index", {"weights": weights({"config.json": 9, "tokenizer.json": 9})}, says="no *.safetensors"),
    Case("weights.size", {"weights": weights(model_files() | {SHARDS[8]: 5})}, says=f"{SHARDS[8]}: 5 bytes"),
    Case("weights.size", {"weights": weights(model_files(without=("generation_config.json",)))}, says="missing"),
    Case("weights.dtype", quantized(quantization_config={"quant_method": "fp8"}), says="quant_method fp8"),
    Case("weights.dtype", quantized(torch_dtype="float8_e4m3fn"), says="float8_e4m3fn"),
    Case("weights.dtype", quantized(quantization_config="?"), says="?"),
    Case("weights.dtype", quantized(quantization_config={"quant_method": "awq"}), severity="warn"),
    Case("weights.dtype", quantized(torch_dtype="float32"), severity="warn"),
    Case(
        "weights.perm", {"weights": weights(file_modes={SHARDS[0]: "0666"})}, severity="warn", says="others may write"
    ),
    Case(
        "weights.disk",
        {"weights": no_weights(), "disks": disks(model_free=900 * GB)},
        severity="block",
        says="966 GB free at /data, needed 1.37 TB",
        settings={"weights_source": "controller:/m"},
    ),
    Case(
        "weights.disk",
        {"weights": no_weights(), "disks": disks(read_only=True)},
        severity="block",
        says="read-only",
        settings={"weights_source": "controller:/m"},
    ),
    Case("weights.path-same", {"weights": weights(real_path="/mnt/x")}, says="/mnt/x"),
    Case("weights.filesystem", {"disks": disks(filesystem="nfs4")}, says="nfs4"),
]


@pytest.mark.parametrize("case", FAILING, ids=lambda case: f"{case.check_id}: {case.says}")
def test_a_fault_is_one_finding_at_its_place(case: Case) -> None:
    report = judged_with(case)
    found = [one for one in report.findings if one.check_id == case.check_id]

    assert len(found) == 1, report.to_text()
    assert found[0].hosts == ("host3",)
    assert found[0].devices.get("host3", ()) == case.npus
    assert found[0].severity == (case.severity or all_checks()[case.check_id].severity)
    told = " ".join(evidence.says for evidence in found[0].evidence)
    assert case.says in told
    above_info = {one.check_id for one in report.findings if one.severity != "info"}
    assert above_info <= {case.check_id}, report.to_text()


def judged_with(case: Case) -> Any:
    from tests.preflight.builders import cluster, healthy_host, judged

    settings = dict(case.settings or {})
    everywhere = {"weights": weights(uid=1001)} if "container_user" in settings else {}
    facts = cluster(4)
    if everywhere:
        facts = {name: healthy_host(name, rank, **everywhere) for rank, name in enumerate(facts)}
    facts["host3"] = healthy_host("host3", 2, **{**everywhere, **case.changes})
    return judged(facts, **settings)


UNREADABLE = [
    Case("npu.tool-present", {"npu_smi": UNKNOWN}),
    Case("npu.count", {"overview": UNKNOWN}),
    Case("npu.vnpu-off", {"overview": UNKNOWN}),
    Case("npu.chip-uniform", on_npu5(name=""), (5,)),
    Case("npu.health", on_npu5(health="Fine"), (5,)),
    Case("npu.health-codes", {"npu_error_codes": {i: UNKNOWN if i == 5 else () for i in NPUS}}, (5,)),
    Case("npu.hbm-total", on_npu5(hbm_total_mib=None), (5,)),
    Case("npu.hbm-free", on_npu5(hbm_used_mib=None), (5,)),
    Case("npu.process-residual", {"overview": overview(processes=None)}),
    Case("npu.aicore-idle", {"overview": UNKNOWN}),
    Case("npu.temp", on_npu5(temperature_c=None), (5,)),
    Case("npu.power-idle", on_npu5(power_w=None), (5,)),
    Case("npu.hugepages", {"overview": UNKNOWN}),
    Case("devices.manager", {"devices": UNKNOWN}),
    Case("devices.davinci", {"devices": devices(without=("davinci5",), davinci5={"error": "Permission denied"})}, (5,)),
    Case("devices.svm-hdc", {"devices": UNKNOWN}),
    Case("install-info", {"install_info": UNKNOWN}),
    Case("docker.version", {"engine": UNKNOWN}),
    Case("docker.name-free", {"engine": UNKNOWN}),
    Case("docker.stopped", {"engine": UNKNOWN}),
    Case("docker.image", {"image": UNKNOWN}),
    Case("docker.image-same", {"image": UNKNOWN}),
    Case("docker.image-arch", {"image": image(architecture=None)}),
    Case("docker.conflict", {"engine": UNKNOWN}),
    Case("driver.version", {"driver": UNKNOWN}),
    Case("driver.version", {"driver": driver("not a version")}),
    Case("driver.uniform", {"driver": UNKNOWN}),
    Case("driver.files-match", {"overview": replace(overview(), driver_version="")}),
    Case("firmware.version", {"boards": boards(5, UNKNOWN)}, (5,)),
    Case(
        "firmware.compat",
        {"firmware": UNKNOWN, "boards": {i: board(compatibility=None) for i in NPUS}},
    ),
    Case("hccn.tool-present", {"hccn_tool": UNKNOWN}),
    Case("hccn.link-up", hccn(link_up=UNKNOWN), (5,)),
    Case("hccn.ip-present", hccn(address=UNKNOWN), (5,)),
    Case("hccn.ip-unique", hccn(address=UNKNOWN), (5,)),
    Case("hccn.conf-present", {"hccn_configuration": UNKNOWN}),
    Case("hccn.conf-live", {"hccn_configuration": UNKNOWN}),
    Case("hccn.subnet", hccn(netmask=UNKNOWN), (5,)),
    Case("hccn.gateway", hccn(gateway=UNKNOWN), (5,)),
    Case("hccn.netdetect", hccn(netdetect=UNKNOWN), (5,)),
    Case("hccn.net-health", hccn(net_health=UNKNOWN), (5,)),
    Case("hccn.net-health", hccn(net_health="Unknown"), (5,)),
    Case("hccn.net-health", hccn(net_health="Socket failed"), (5,)),
    Case("hccn.speed-200g", hccn(speed_mbps=UNKNOWN), (5,)),
    Case("hccn.speed-200g", hccn(speed_mbps=None), (5,)),
    Case("hccn.mtu-uniform", hccn(mtu=UNKNOWN), (5,)),
    Case("hccn.tls-uniform", hccn(tls=UNKNOWN), (5,)),
    Case("hccn.tls-off", hccn(tls=UNKNOWN), (5,)),
    Case("hccn.not-host-net", {"system": UNKNOWN}),
    Case("hccn.optical", hccn(optics=UNKNOWN), (5,)),
    Case("hccn.link-flap", hccn(link_history=UNKNOWN), (5,)),
    Case("hccn.error-counters", hccn(counters=UNKNOWN), (5,)),
    Case("hccn.pause-frames", hccn(counters_later=UNKNOWN), (5,)),
    Case("hccn.cfg", hccn(configuration_status=UNKNOWN), (5,)),
    Case("npu.board-uniform", {"boards": boards(5, UNKNOWN)}, (5,)),
    Case("driver.dcmi", {"management_library": UNKNOWN}),
    Case("hccn.lldp-rail", hccn(neighbour_switch=UNKNOWN), (5,)),
    Case("hccn.clock", hccn(link_history=UNKNOWN), (5,)),
    Case("npu.ecc", {"ecc": {i: UNKNOWN if i == 5 else EccCounts(0, 0) for i in NPUS}}, (5,)),
    Case("npu.ecc-single", {"ecc": {i: UNKNOWN if i == 5 else EccCounts(0, 0) for i in NPUS}}, (5,)),
    Case("npu.pci-count", {"bus": UNKNOWN}),
    Case("driver.module", {"system": UNKNOWN}),
    Case("hccs.topology", {"topology": UNKNOWN}),
    Case("hccs.topology", {"topology": topology(pair_3_5="NA")}, (3, 5)),
    Case("os.arch", {"system": UNKNOWN}),
    Case("os.release", {"system": UNKNOWN}),
    Case("os.kernel", {"system": UNKNOWN}),
    Case("os.page-size", {"system": UNKNOWN}),
    Case("os.hostname-unique", {"system": UNKNOWN}),
    Case("os.time-skew", {"clock": UNKNOWN}),
    Case("os.memory", {"system": system(2, memory_available_bytes=None)}),
    Case("ports.free", {"listening": UNKNOWN}),
    Case("ports.weights", {"listening": UNKNOWN}),
    Case("state.disk", {"disks": {}}),
    Case("weights.present", {"weights": UNKNOWN}),
    Case("weights.index", {"weights": UNKNOWN}),
    Case("weights.size", {"weights": UNKNOWN}),
    Case("weights.dtype", {"weights": weights(configuration=Unknown("config.json is no JSON"))}),
    Case("weights.tokenizer", {"weights": UNKNOWN}),
    Case("weights.perm", {"weights": UNKNOWN}),
    Case(
        "weights.disk",
        {"weights": no_weights(), "disks": {MODEL: UNKNOWN, STATE: disks()[STATE]}},
        settings={"weights_source": "mount:/m"},
    ),
    Case("weights.path-same", {"weights": UNKNOWN}),
    Case("weights.filesystem", {"weights": UNKNOWN}),
]


@pytest.mark.parametrize("case", UNREADABLE, ids=lambda case: case.check_id)
def test_missing_evidence_is_unknown_at_its_place_and_never_a_verdict(case: Case) -> None:
    """It may be hidden by the finding that explains why the evidence is missing, but it is in the report."""
    report = judged_with(case)
    found = [one for one in (*report.findings, *report.hidden) if one.check_id == case.check_id]

    assert found and all(one.kind == "unknown" for one in found), report.to_text()
    assert all(one.hosts == ("host3",) for one in found)
    assert found[0].devices.get("host3", ()) == case.npus
    assert found[0].evidence[0].says
    if all_checks()[case.check_id].unknown == "block":
        assert report.verdict == "block"


# Checks whose subject is the absence of an answer: they fail by it, and are never unknown.
JUDGE_ABSENCE = {"npu.tool-responds", "hccn.tool-responds", "docker.running"}
# Tested with more than one host changed, in test_cluster_faults.py.
ELSEWHERE = {
    "driver.version",
    "hccn.ip-unique",
    "hccn.tool-responds",
    "hccn.tls-off",
    "os.hostname-unique",
    "ports.free",
}
# Tested in test_pings.py and test_reach.py.
REACH = {"hccn.cross-ping-matrix", "net.host-route", "ports.hccl-reachable", "ports.reachable"}
ELSEWHERE |= REACH
# Tested in test_npu_depth.py.
ELSEWHERE |= {"npu.ecc", "npu.ecc-single", "npu.pci-count", "driver.module", "hccn.optical", "hccn.link-flap"}
ELSEWHERE |= {"hccn.error-counters", "hccn.pause-frames", "hccn.lldp-rail", "hccn.clock", "hccn.cfg"}
ELSEWHERE |= {"npu.board-uniform", "driver.dcmi"}
ELSEWHERE |= {"ports.weights", "settings.check-ids", "weights.source", "weights.tokenizer"}
# Tested in test_surroundings.py.
ELSEWHERE |= SURROUNDINGS
UNREACHABLE = {check.id for check in all_checks().values() if check.scope == "unreachable"}


def test_every_check_has_a_failing_and_an_unknown_case() -> None:
    checks = set(all_checks()) - UNREACHABLE
    assert checks - {case.check_id for case in FAILING} == ELSEWHERE
    assert checks - {case.check_id for case in UNREADABLE} == (
        JUDGE_ABSENCE | REACH | SURROUNDINGS | {"settings.check-ids", "weights.source"}
    )


def test_listening_ports_of_a_follower_are_only_mentioned() -> None:
    report = judged_one(listening=(ListeningPort("::", 1025),))

    assert report.verdict == "ok"
    assert [(one.check_id, one.severity) for one in report.findings] == [("ports.free", "info")]

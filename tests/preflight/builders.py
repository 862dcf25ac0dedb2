"""Facts of a healthy cluster, and changes to them: what is not named in a test is as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.facts import (
    ClockFacts,
    ContainerFacts,
    DiskFacts,
    EccCounts,
    EngineFacts,
    FirewallFacts,
    HccnConfiguration,
    HccnDevice,
    HostFacts,
    ImageFacts,
    InterfaceState,
    KernelFacts,
    LinkHistory,
    ListeningPort,
    Npu,
    NpuBoard,
    NpuOverview,
    NpuProcess,
    Optics,
    PathState,
    SharedMemoryFacts,
    Surroundings,
    SystemFacts,
    Unknown,
    VersionFile,
    WeightsFacts,
)
from mindie_deploy.preflight.finding import Finding, Unreachable
from mindie_deploy.preflight.judge import judge
from mindie_deploy.preflight.report import Report

NPUS = range(8)
MODEL = "/data/models/DeepSeek-R1-BF16"
STATE = "/var/lib/mindie-deploy"
ROOT = "/var/lib/docker"
SHARDS = [f"model-{number:05d}-of-000163.safetensors" for number in range(1, 164)]
SHARD_BYTES = 8_400_000_000
SMALL_FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
INDEX = "model.safetensors.index.json"
IMAGE_ID = "sha256:" + "3f" * 32
OTHER_IMAGE_ID = "sha256:" + "a1" * 32
BUSES = ("C1", "C2", "81", "82", "01", "02", "41", "42")
UNKNOWN = Unknown("it gave no answer within 60 s")
GB = 1024**3


def settings(**changes: object) -> Settings:
    """Settings of the reference cluster, with changes by attribute name."""
    return Settings.from_variables({f"mindie_{name}": value for name, value in changes.items()})


def healthy_host(name: str = "host1", index: int = 0, **changes: Any) -> HostFacts:
    """The `index`-th host of a healthy cluster. A change names an attribute of HostFacts."""
    return replace(_healthy(name, index), **changes)


def cluster(count: int = 4, /, **changed: HostFacts | Unreachable) -> dict[str, HostFacts | Unreachable]:
    """Facts of host1, host2 and so on; a keyword replaces the host of that name."""
    healthy: dict[str, HostFacts | Unreachable] = {
        f"host{index + 1}": healthy_host(f"host{index + 1}", index) for index in range(count)
    }
    return {**healthy, **changed}


def hosts_of(facts: Mapping[str, object]) -> list[Host]:
    return [Host(name, f"10.0.0.{11 + rank}", rank) for rank, name in enumerate(facts)]


def judged(facts: Mapping[str, HostFacts | Unreachable], **changes: object) -> Report:
    """The report over these facts with these settings."""
    return judge(hosts_of(facts), facts, settings(**changes))


def judged_one(**changes: Any) -> Report:
    """The report of a cluster of four whose third host has these changes."""
    return judged(cluster(host3=healthy_host("host3", 2, **changes)))


def only(report: Report) -> Finding:
    """The one finding above info; fails with all of them where there are others."""
    found = [finding for finding in report.findings if finding.severity != "info"]
    assert len(found) == 1, report.to_text()
    return found[0]


def finding(report: Report, check_id: str) -> Finding:
    """The finding of one check that is not hidden."""
    found = [one for one in report.findings if one.check_id == check_id]
    assert len(found) == 1, report.to_text()
    return found[0]


def ids(report: Report) -> list[str]:
    return [one.check_id for one in report.findings]


def overview(*, lost: tuple[int, ...] = (), processes: tuple[NpuProcess, ...] | None = (), **npus: Any) -> NpuOverview:
    """npu-smi's table; `npu5=npu(5, health="Alarm")` replaces an NPU."""
    shown = tuple(npus.get(f"npu{index}", npu(index)) for index in NPUS if index not in lost)
    return NpuOverview("25.2.0", "25.2.0", shown, processes)


def npu(index: int, **changes: Any) -> Npu:
    healthy = Npu(
        id=index,
        chip=0,
        name="910B3",
        health="OK",
        physical_id=None,
        bus_id=f"0000:{BUSES[index % 8]}:00.0",
        power_w=94.8,
        temperature_c=36,
        aicore_percent=0,
        hbm_used_mib=3400,
        hbm_total_mib=65536,
        hugepages_used=0,
        hugepages_total=0,
    )
    return replace(healthy, **changes)


def ports(host: int, npu: int | None = None, **changes: Any) -> dict[int, HccnDevice]:
    """The RoCE ports of a host; the changes are those of one NPU, or of all where none is named."""
    return {
        index: replace(_port(host, index), **changes) if npu in (None, index) else _port(host, index) for index in NPUS
    }


def board(**changes: Any) -> NpuBoard:
    return replace(NpuBoard("25.2.0", "7.7.0.6.236", "OK", "0xD802", subsystem_id="0x3005"), **changes)


def boards(npu: int | None = None, value: object = None, **changes: Any) -> dict[int, Any]:
    changed = board(**changes) if value is None else value
    return {index: changed if npu in (None, index) else board() for index in NPUS}


def engine(*containers: ContainerFacts, version: str = "27.3.1") -> EngineFacts:
    return EngineFacts(version, ROOT, "aarch64", containers, "runc", "2", ("apparmor", "seccomp"))


def container(name: str = "other", *, npus: range | tuple[int, ...] = NPUS, **changes: Any) -> ContainerFacts:
    healthy = ContainerFacts(
        id="0123456789abcdef",
        name=name,
        image="vllm:0.9",
        image_id=OTHER_IMAGE_ID,
        status="running",
        running=True,
        pid=4321,
        exit_code=0,
        started_at="2026-01-01T00:00:00Z",
        devices=(*(f"/dev/davinci{index}" for index in npus), "/dev/davinci_manager"),
        privileged=False,
        labels={},
    )
    return replace(healthy, **changes)


def own_container(**changes: Any) -> ContainerFacts:
    return container("deepseek-r1-mindie", labels={"mindie-deploy.deployment": "deepseek-r1"}, **changes)


def weights(files: Mapping[str, int] | None = None, **changes: Any) -> WeightsFacts:
    listed = dict(model_files() if files is None else files)
    healthy = WeightsFacts(
        path=MODEL,
        real_path=MODEL,
        exists=True,
        mode="0750",
        uid=0,
        files=listed,
        file_modes=dict.fromkeys(listed, "0640"),
        configuration={"model_type": "deepseek_v3", "torch_dtype": "bfloat16"},
        index_present=INDEX in listed,
    )
    return replace(healthy, **changes)


def no_weights() -> WeightsFacts:
    return WeightsFacts(MODEL, None, False, None, None, {}, {}, Unknown(f"{MODEL} does not exist"), False)


def model_files(without: tuple[str, ...] = (), **sizes: int) -> dict[str, int]:
    files = {**dict.fromkeys(SHARDS, SHARD_BYTES), INDEX: 8_900_000, **dict.fromkeys(SMALL_FILES, 2000)}
    return {name: size for name, size in files.items() if name not in without} | sizes


def disks(model_free: int = 3000 * GB, state_free: int = 100 * GB, **changes: Any) -> dict[str, Any]:
    return {
        MODEL: replace(DiskFacts(MODEL, "/data", 4000 * GB, model_free, "ext4"), **changes),
        STATE: DiskFacts(STATE, "/var/lib", 200 * GB, state_free, "ext4"),
        ROOT: DiskFacts(ROOT, ROOT, 500 * GB, 200 * GB, "ext4"),
    }


def devices(*, without: tuple[str, ...] = (), **states: Any) -> tuple[PathState, ...]:
    """The driver's nodes; `davinci3={"kind": "file"}` changes one."""
    names = [*(f"davinci{index}" for index in NPUS), "davinci_manager", "devmm_svm", "hisi_hdc"]
    return tuple(
        replace(PathState(f"/dev/{name}", name not in without, "char", "0660"), **states.get(name, {}))
        for name in names
    )


def system(index: int = 0, **changes: Any) -> SystemFacts:
    healthy = SystemFacts(
        hostname=f"node{index + 1}",
        kernel="5.10.0-216.0.0.115.oe2203sp4.aarch64",
        architecture="aarch64",
        os_id="openEuler",
        os_version="22.03",
        os_name="openEuler 22.03 (LTS-SP4)",
        python="3.9.9",
        memory_total_bytes=1536 * GB,
        memory_available_bytes=1400 * GB,
        page_size=4096,
        modules=("drv_pcie_host", "drv_davinci_intf_host", "ext4"),
        addresses=(f"10.0.0.{11 + index}",),
        interfaces={f"10.0.0.{11 + index}": "eth0"},
    )
    return replace(healthy, **changes)


def kernel(**changes: Any) -> KernelFacts:
    healthy = KernelFacts(
        transparent_huge_pages="always",
        governors={"performance": 192},
        selinux_enforcing=False,
        pid_max=4194304,
        threads_max=12000000,
        file_max=9223372036854775807,
        nr_open=1073741816,
        somaxconn=4096,
        conntrack_count=120,
        conntrack_max=262144,
        product="Atlas 800T A2",
        interfaces={"lo": InterfaceState(65536, "unknown"), "eth0": InterfaceState(1500, "up")},
        device_cgroup=True,
        locale="en_US.UTF-8",
        ephemeral_ports=((32768, 60999),),
        reserved_ports=((60000, 60031),),
    )
    return replace(healthy, **changes)


def surroundings(index: int = 0, /, **changes: Any) -> Surroundings:
    """What surrounds a container on a healthy host; a change names an attribute."""
    healthy = Surroundings(
        kernel=kernel(),
        installed_kernels={"5.10.0-216.0.0.115.oe2203sp4.aarch64": True},
        firewall=FirewallFacts(()),
        shared_memory=shared_memory(),
        own_name=(f"10.0.0.{11 + index}",),
        engine_limits={"nofile": (1048576, 1048576), "nproc": (-1, -1)},
        proxies={},
        digests={name: f"{number:064x}" for number, name in enumerate((*SMALL_FILES, INDEX))},
        weight_links={},
        state_paths=(PathState(STATE, True, "directory", "0750"), PathState(f"{STATE}/deepseek-r1", False)),
    )
    return replace(healthy, **changes)


def shared_memory(free: int = 700 * GB, *names: str, **state: Any) -> SharedMemoryFacts:
    own = replace(PathState("/dev/shm", True, "directory", "1777"), **state)
    files = tuple(PathState(f"/dev/shm/{name}", True, "file", "0600", "root") for name in names)
    return SharedMemoryFacts(own, DiskFacts("/dev/shm", "/dev/shm", 768 * GB, free, "tmpfs"), files)


def driver(version: str = "25.2.0", ranges: tuple[tuple[str, str], ...] = (("7.0.0", "7.7.99"),)) -> VersionFile:
    path = "/usr/local/Ascend/driver/version.info"
    return VersionFile(path, version, ranges[0] if len(ranges) == 1 else None, "firmware", ranges)


def firmware(
    version: str = "7.7.0.6.236", ranges: tuple[tuple[str, str], ...] = (("24.1.0", "25.2.99"),)
) -> VersionFile:
    path = "/usr/local/Ascend/firmware/version.info"
    return VersionFile(path, version, ranges[0] if len(ranges) == 1 else None, "driver", ranges)


def topology(**links: str) -> dict[tuple[int, int], str]:
    """All pairs HCCS; `pair_3_5="SYS"` changes both directions of a pair."""
    pairs = {(one, other): "HCCS" for one in NPUS for other in NPUS if one != other}
    for name, word in links.items():
        one, other = (int(part) for part in name.split("_")[1:])
        pairs[(one, other)] = pairs[(other, one)] = word
    return pairs


def _healthy(name: str, index: int) -> HostFacts:
    return HostFacts(
        name=name,
        system=system(index),
        clock=ClockFacts(0.01 * index, 0.02),
        npu_smi=PathState("/usr/local/bin/npu-smi", True, "file", "0755"),
        hccn_tool=PathState("/usr/local/Ascend/driver/tools/hccn_tool", True, "file", "0755"),
        overview=overview(),
        boards=boards(),
        npu_error_codes=dict.fromkeys(NPUS, ()),
        topology=topology(),
        hccn=ports(index),
        hccn_configuration=configuration(index),
        driver=driver(),
        firmware=firmware(),
        install_info={"Driver_Install_Path_Param": "/usr/local/Ascend", "Driver_Install_Status": "complete"},
        devices=devices(),
        engine=engine(),
        image=image(),
        disks=disks(),
        listening=(ListeningPort("0.0.0.0", 22),),
        weights=weights(),
        ecc=dict.fromkeys(NPUS, EccCounts(0, 0, 0, 0, 0)),
        bus={f"{bus.lower()}:00.0": "d802" for bus in BUSES},
        management_library=PathState("/usr/local/dcmi/libdcmi.so", True, "file", "0550"),
        collected_at=1795586400.0,  # 2026-11-25 06:00 UTC
        surroundings=surroundings(index),
    )


def image(**changes: Any) -> ImageFacts:
    return replace(ImageFacts("mindie:2.0.RC2", IMAGE_ID, "arm64", {}, 15 * GB), **changes)


def configuration(index: int, **changes: Any) -> HccnConfiguration:
    healthy = HccnConfiguration(
        address={npu: _address(index, npu) for npu in NPUS},
        netmask=dict.fromkeys(NPUS, "255.255.255.0"),
        netdetect={npu: f"29.1.{npu}.1" for npu in NPUS},
        gateway={npu: f"29.1.{npu}.1" for npu in NPUS},
    )
    return replace(healthy, **changes)


def optics(**changes: Any) -> Optics:
    """A module with light on four lanes, with its own limits."""
    healthy = Optics(
        present=True,
        temperature_c=40.0,
        rx_power=(0.9, 0.9, 0.9, 0.9),
        tx_power=(1.0, 1.0, 1.0, 1.0),
        unit="mW",
        rx_los=("0x0",),
        tx_los=("0x0",),
        rx_power_low=0.1905,
        rx_power_high=3.1623,
        tx_power_low=0.2512,
        tx_power_high=3.1623,
        temperature_high_c=70.0,
    )
    return replace(healthy, **changes)


def _address(host: int, npu: int) -> str:
    """Each index has a rail, a network of its own."""
    return f"29.1.{npu}.{11 + host}"


def _port(host: int, npu: int) -> HccnDevice:
    return HccnDevice(
        index=npu,
        address=_address(host, npu),
        netmask="255.255.255.0",
        link_up=True,
        net_health="Success",
        netdetect=f"29.1.{npu}.1",
        gateway=f"29.1.{npu}.1",
        tls=False,
        speed_mbps=200000,
        mtu=1500,
        optics=optics(),
        link_history=LinkHistory(1, 0, (("Mon Nov 16 06:00:00 2026", "UP"),), "Wed Nov 25 06:00:00 2026"),
        neighbour_port=f"400GE1/0/{host + 1}",
        neighbour_switch=f"00:00:5e:00:53:{npu:02x}",
        counters={"mac_rx_fcs_err_pkt_num": 3, "roce_rx_all_pkt_num": 1000, "mac_rx_pfc_pkt_num": 0},
        counters_later={"mac_rx_fcs_err_pkt_num": 3, "roce_rx_all_pkt_num": 2000, "mac_rx_pfc_pkt_num": 5},
        configuration_status="SUCCESS",
    )

"""From one collection of one host to its facts. Nothing that a host sends makes this raise: it becomes Unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from mindie_deploy.cluster.names import container_name
from mindie_deploy.hosts import answer as answers
from mindie_deploy.hosts import (
    engine,
    files,
    hccn_details,
    hccn_tool,
    npu_counters,
    npu_overview,
    npu_smi,
    npu_topology,
    paths,
    pci,
    ports,
)
from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.clock import clock
from mindie_deploy.hosts.facts import (
    DiskFacts,
    EccCounts,
    EngineFacts,
    HccnDevice,
    HostFacts,
    NpuBoard,
    NpuOverview,
    Reading,
    Unknown,
)
from mindie_deploy.hosts.reach import reach
from mindie_deploy.hosts.surroundings import surroundings
from mindie_deploy.hosts.system import system
from mindie_deploy.hosts.weights_directory import weights

if TYPE_CHECKING:
    from mindie_deploy.cluster.settings import Settings

T = TypeVar("T")


def read(
    name: str,
    collection: Mapping[str, object],
    settings: Settings,
    *,
    requested_at: float | None = None,
    answered_at: float | None = None,
    reached: Mapping[str, object] | None = None,
) -> HostFacts:
    """Returns the facts of the host `name` from what mindie_collect returned as `collection`.

    `requested_at` and `answered_at` are the controller's clock (seconds since 1970) around the round trip.
    `reached` is what reach.reach reads: the second round trip, None where there was none.
    """
    told = _Collected(collection if isinstance(collection, Mapping) else {})
    npus = range(settings.npus_per_host)
    the_engine = engine.engine(told.command("engine/info"), told.command("engine/containers"), container_name(settings))
    return HostFacts(
        name=name,
        system=system(told.collection),
        clock=clock(told.collection, requested_at, answered_at),
        npu_smi=paths.program(told.collection, "npu-smi"),
        hccn_tool=paths.program(told.collection, "hccn_tool"),
        overview=told.parsed("npu-smi/info", npu_overview.overview),
        boards={npu: _board(told, npu) for npu in npus},
        npu_error_codes={npu: told.parsed(f"npu-smi/health/{npu}", npu_smi.error_codes) for npu in npus},
        topology=told.parsed("npu-smi/topology", npu_topology.links),
        hccn={npu: _hccn_device(told, npu) for npu in npus},
        hccn_configuration=files.hccn_configuration(answers.file_text(told.collection, "hccn-configuration")),
        driver=files.version_file(answers.file_text(told.collection, "driver/version")),
        firmware=files.version_file(answers.file_text(told.collection, "firmware/version")),
        install_info=files.install_info(answers.file_text(told.collection, "install-info")),
        devices=paths.path_states(told.collection, "devices"),
        engine=the_engine,
        image=engine.image(told.command("engine/image"), settings.image),
        disks=_disks(told, settings, the_engine),
        listening=ports.listening(
            [answers.file_text(told.collection, key) for key in ("ports/4", "ports/6")],
            ports.listeners(told.command("listeners")),
        ),
        weights=weights(told.collection, settings.model_path),
        ecc={npu: _ecc(told, npu) for npu in npus},
        bus=told.parsed("bus", pci.bus),
        management_library=paths.only_state(told.collection, "management-library"),
        reach=None if reached is None else reach(reached),
        collected_at=_collected_at(told.collection),
        surroundings=surroundings(told.collection),
    )


def read_overview(collection: Mapping[str, object]) -> Reading[NpuOverview]:
    """Returns the table of npu-smi from any collection that asked for it."""
    return _Collected(collection).parsed("npu-smi/info", npu_overview.overview)


class _Collected:
    """A collection, asked by key."""

    def __init__(self, collection: Mapping[str, object]) -> None:
        self.collection = collection

    def command(self, key: str) -> Answer | Unknown:
        """Returns how a command ended, or why it did not."""
        return answers.command(self.collection, key)

    def parsed(self, key: str, parser: Callable[[Answer], Reading[T]]) -> Reading[T]:
        """Returns what a parser makes of a command's answer, or why there was none."""
        answer = self.command(key)
        return answer if isinstance(answer, Unknown) else parser(answer)


def _board(told: _Collected, npu: int) -> Reading[NpuBoard]:
    """Returns the board of one NPU."""
    return told.parsed(f"npu-smi/board/{npu}", lambda answer: npu_smi.board(answer, npu))


def _collected_at(collection: Mapping[str, object]) -> Reading[float]:
    """Returns the host's clock at the beginning of the collection."""
    started = answers.seconds_of(collection.get("started"))
    return Unknown("the collection has no times of the host") if started is None else started


def _ecc(told: _Collected, npu: int) -> Reading[EccCounts]:
    """Returns the bit errors of one NPU."""
    return told.parsed(f"npu-smi/ecc/{npu}", lambda answer: npu_counters.ecc(answer, npu))


def _hccn_device(told: _Collected, npu: int) -> HccnDevice:
    """Returns what hccn_tool said of one device."""
    key = f"hccn/{npu}"
    return HccnDevice(
        index=npu,
        address=told.parsed(f"{key}/ip", hccn_tool.address),
        netmask=told.parsed(f"{key}/ip", hccn_tool.netmask),
        link_up=told.parsed(f"{key}/link", hccn_tool.link_up),
        net_health=told.parsed(f"{key}/net_health", hccn_tool.net_health),
        netdetect=told.parsed(f"{key}/netdetect", hccn_tool.netdetect),
        gateway=told.parsed(f"{key}/gateway", hccn_tool.gateway),
        tls=told.parsed(f"{key}/tls", lambda answer: hccn_tool.tls(answer, npu)),
        speed_mbps=told.parsed(f"{key}/speed", hccn_tool.speed_mbps),
        mtu=told.parsed(f"{key}/mtu", hccn_tool.mtu),
        optics=told.parsed(f"{key}/optical", hccn_details.optics),
        link_history=told.parsed(f"{key}/link_stat", hccn_details.link_history),
        neighbour_port=told.parsed(f"{key}/lldp", hccn_details.neighbour_port),
        neighbour_switch=told.parsed(f"{key}/lldp", hccn_details.neighbour_switch),
        counters=told.parsed(f"{key}/stat", hccn_details.counters),
        counters_later=told.parsed(f"{key}/stat-later", hccn_details.counters),
        configuration_status=told.parsed(f"{key}/cfg", hccn_details.configuration_status),
    )


def _disks(told: _Collected, settings: Settings, the_engine: Reading[EngineFacts]) -> dict[str, Reading[DiskFacts]]:
    """Returns the disks by path: the model's, the state directory's, and the engine's where its root is known."""
    found = {
        settings.model_path: paths.disk(told.collection, "disk/model", settings.model_path),
        settings.state_directory: paths.disk(told.collection, "disk/state", settings.state_directory),
    }
    if not isinstance(the_engine, Unknown) and the_engine.root:
        found[the_engine.root] = paths.disk_of_table(told.command("disk/engine"), the_engine.root)
    return found

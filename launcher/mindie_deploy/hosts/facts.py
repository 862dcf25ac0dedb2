"""What a host said about itself, read from raw command output: plain frozen values, no judgement.

A value that could not be read is `Unknown` with the reason, never a default: a command that failed says nothing about
the hardware.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mindie_deploy.hosts.facts_host import ClockFacts as ClockFacts
from mindie_deploy.hosts.facts_host import ContainerFacts as ContainerFacts
from mindie_deploy.hosts.facts_host import DiskFacts as DiskFacts
from mindie_deploy.hosts.facts_host import EngineFacts as EngineFacts
from mindie_deploy.hosts.facts_host import ImageFacts as ImageFacts
from mindie_deploy.hosts.facts_host import ListeningPort as ListeningPort
from mindie_deploy.hosts.facts_host import PathState as PathState
from mindie_deploy.hosts.facts_host import SystemFacts as SystemFacts
from mindie_deploy.hosts.facts_host import WeightsFacts as WeightsFacts
from mindie_deploy.hosts.facts_npu import EccCounts as EccCounts
from mindie_deploy.hosts.facts_npu import HccnConfiguration as HccnConfiguration
from mindie_deploy.hosts.facts_npu import HccnDevice as HccnDevice
from mindie_deploy.hosts.facts_npu import LinkHistory as LinkHistory
from mindie_deploy.hosts.facts_npu import Npu as Npu
from mindie_deploy.hosts.facts_npu import NpuBoard as NpuBoard
from mindie_deploy.hosts.facts_npu import NpuOverview as NpuOverview
from mindie_deploy.hosts.facts_npu import NpuProcess as NpuProcess
from mindie_deploy.hosts.facts_npu import Optics as Optics
from mindie_deploy.hosts.facts_npu import VersionFile as VersionFile
from mindie_deploy.hosts.facts_reach import PeerPing as PeerPing
from mindie_deploy.hosts.facts_reach import PortProbe as PortProbe
from mindie_deploy.hosts.facts_reach import ReachFacts as ReachFacts
from mindie_deploy.hosts.facts_surroundings import FirewallFacts as FirewallFacts
from mindie_deploy.hosts.facts_surroundings import InterfaceState as InterfaceState
from mindie_deploy.hosts.facts_surroundings import KernelFacts as KernelFacts
from mindie_deploy.hosts.facts_surroundings import SharedMemoryFacts as SharedMemoryFacts
from mindie_deploy.hosts.facts_surroundings import Surroundings as Surroundings
from mindie_deploy.hosts.reading import NOT_COLLECTED as NOT_COLLECTED
from mindie_deploy.hosts.reading import Absent as Absent
from mindie_deploy.hosts.reading import Busy as Busy
from mindie_deploy.hosts.reading import Reading as Reading
from mindie_deploy.hosts.reading import Unknown as Unknown
from mindie_deploy.hosts.reading import UnknownForm as UnknownForm


@dataclass(frozen=True)
class HostFacts:
    """Everything one collection of one host says."""

    name: str
    system: Reading[SystemFacts]
    clock: Reading[ClockFacts]
    npu_smi: Reading[PathState]
    hccn_tool: Reading[PathState]
    overview: Reading[NpuOverview]
    boards: dict[int, Reading[NpuBoard]]
    npu_error_codes: dict[int, Reading[tuple[str, ...]]]
    topology: Reading[dict[tuple[int, int], str]]  # link word of every ordered pair of NPUs, e.g. "HCCS"
    hccn: dict[int, HccnDevice]
    hccn_configuration: Reading[HccnConfiguration]
    driver: Reading[VersionFile]
    firmware: Reading[VersionFile]
    install_info: Reading[dict[str, str]]
    devices: Reading[tuple[PathState, ...]]
    engine: Reading[EngineFacts]
    image: Reading[ImageFacts | None]  # None: the engine answered and has no such image
    disks: dict[str, Reading[DiskFacts]]
    listening: Reading[tuple[ListeningPort, ...]]
    weights: Reading[WeightsFacts]
    ecc: dict[int, Reading[EccCounts]] = field(default_factory=dict)
    collected_at: Reading[float] = NOT_COLLECTED  # the host's own clock when the collection began, seconds since 1970
    reach: Reading[ReachFacts] | None = None  # None: nothing was asked
    bus: Reading[dict[str, str]] = NOT_COLLECTED  # accelerators on the PCI bus: device id (d802) by address
    management_library: Reading[PathState] = NOT_COLLECTED  # libdcmi.so
    surroundings: Surroundings = field(default_factory=Surroundings)

"""What npu-smi, hccn_tool and the driver's files said: plain frozen values, no judgement."""

from __future__ import annotations

from dataclasses import dataclass

from mindie_deploy.hosts.reading import NOT_COLLECTED, Reading


@dataclass(frozen=True)
class Npu:
    """One NPU die as `npu-smi info` shows it. Memory in MiB, power in W, temperature in degrees Celsius.

    None is a value that is not printed, or printed as the 0 that a failed read leaves (power, temperature, HBM total,
    bus). The name is empty where its read failed. `memory_*` (DDR) is 0 of 0 on A2 and A3 and says nothing there.
    """

    id: int
    chip: int
    name: str
    health: str
    physical_id: int | None
    bus_id: str | None
    power_w: float | None
    temperature_c: int | None
    aicore_percent: int | None
    hbm_used_mib: int | None
    hbm_total_mib: int | None
    hugepages_used: int | None = None
    hugepages_total: int | None = None
    memory_used_mib: int | None = None
    memory_total_mib: int | None = None


@dataclass(frozen=True)
class NpuProcess:
    """One row of the process block of `npu-smi info`. The pid is the host's; the name has at most 15 characters."""

    npu: int
    chip: int
    pid: int
    name: str
    memory_mib: int


@dataclass(frozen=True)
class NpuOverview:
    """`npu-smi info` as a whole. `processes` is None where the block is missing (not: none).

    A device that the driver lost is simply not in `npus`: compare the ids, not the number. `warnings` are lines of the
    tool that are no table rows, and what does not fit. The versions are empty where there is no banner.
    """

    tool_version: str
    driver_version: str
    npus: tuple[Npu, ...]
    processes: tuple[NpuProcess, ...] | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class NpuBoard:
    """`npu-smi info -t board -i N`."""

    driver_version: str | None
    firmware_version: str | None
    compatibility: str | None
    pci_device_id: str | None
    product_name: str | None = None
    serial_number: str | None = None
    subsystem_id: str | None = None  # tells boards of one chip apart: training, inference


@dataclass(frozen=True)
class LinkHistory:
    """`-link_stat -g`: counts since the device started, and the changes, newest first, in the device's own clock."""

    up_count: int
    down_count: int | None  # not printed by older drivers
    records: tuple[tuple[str, str], ...]  # (time as printed, "UP" or "DOWN")
    now: str | None = None  # the device's own time, as printed


@dataclass(frozen=True)
class Optics:
    """`-optical -g`. Temperature in degrees Celsius, power per lane in mW, or in dBm in the second form.

    `present` is what the tool says; one capture says "not present" with full readings, so look at those too. None is
    a value that is not printed. A lost-signal flag is the register in hex in the first form, a word per lane in the
    second.
    """

    present: bool | None
    temperature_c: float | None
    rx_power: tuple[float, ...] | None
    tx_power: tuple[float, ...] | None
    unit: str | None
    rx_los: tuple[str, ...] | None
    tx_los: tuple[str, ...] | None
    rx_power_low: float | None = None  # the module's own limits, in the same units
    rx_power_high: float | None = None
    tx_power_low: float | None = None
    tx_power_high: float | None = None
    temperature_high_c: float | None = None


@dataclass(frozen=True)
class EccCounts:
    """Bit errors of an NPU's HBM, from `-t ecc`. None is a count that the tool does not print.

    Double bit errors cannot be corrected. Isolated pages are taken out of use; `next_isolated` waits for a reset.
    """

    single: int
    double: int
    single_isolated: int | None = None
    double_isolated: int | None = None
    double_next_isolated: int | None = None


@dataclass(frozen=True)
class HccnDevice:
    """One NPU's RoCE port as hccn_tool shows it, by device index (0..7).

    `address`, `netmask`, `gateway`, `netdetect` are None where the tool says that none is set. `tls` is the switch
    (True: on), None where the product has none or no certificate was ever set. Speed in Mbit/s.
    """

    index: int
    address: Reading[str | None]
    netmask: Reading[str | None]
    link_up: Reading[bool]
    net_health: Reading[str]
    netdetect: Reading[str | None]
    gateway: Reading[str | None]
    tls: Reading[bool | None]
    speed_mbps: Reading[int | None]
    mtu: Reading[int | None]
    optics: Reading[Optics] = NOT_COLLECTED
    link_history: Reading[LinkHistory] = NOT_COLLECTED
    neighbour_port: Reading[str | None] = NOT_COLLECTED  # the switch's, by LLDP; None: the switch sends none
    neighbour_switch: Reading[str | None] = NOT_COLLECTED  # its chassis address; None: not sent in that form
    counters: Reading[dict[str, int]] = NOT_COLLECTED
    counters_later: Reading[dict[str, int]] = NOT_COLLECTED  # the same counters, some seconds later
    configuration_status: Reading[str | None] = NOT_COLLECTED  # NONE, START, FAIL, SUCCESS; None: no such query


@dataclass(frozen=True)
class VersionFile:
    """A version.info file: its version and the closed ranges of partner versions that it declares, if any.

    `compatible` is the range where there is exactly one, `ranges` holds all of them: firmware files have up to six.
    """

    path: str
    version: str
    compatible: tuple[str, str] | None
    compatible_with: str | None = None  # "firmware" in the driver's file, "driver" in the firmware's
    ranges: tuple[tuple[str, str], ...] = ()

    def accepts(self, partner_version: str) -> bool | None:
        """Tells whether a partner's version lies in one of the ranges; None where none is declared.

        As the driver does it (dcmi_judge_compatibility): the version is cut to the length of the longer bound, then
        compared as text, so that "24.1.rc3" lies in [24.1,24.1.]. The pair fits if either file accepts the other.
        """
        if not self.ranges:
            return None
        return any(low <= partner_version[: max(len(low), len(high))] <= high for low, high in self.ranges)


@dataclass(frozen=True)
class HccnConfiguration:
    """/etc/hccn.conf: the persistent copy of what hccn_tool shows, per device index."""

    address: dict[int, str]
    netmask: dict[int, str]
    netdetect: dict[int, str]
    gateway: dict[int, str]

"""One NPU as npu-smi sees it now: the state file's values and the claims of running processes together."""

from __future__ import annotations

from .claims import Claim
from .light import Any, Iterable, NamedTuple

ROWS_PER_CHIP = 8  # more processes are not mentioned: N/npu_info_print.c, MAX_CHIP_PROCESS_NUM
NAME_LENGTH = 15


class Row(NamedTuple):
    """A row of the process table. Memory in MiB."""

    pid: int
    name: str
    mib: int


class Npu:
    """A usable NPU. A read that fails is printed as 0 or as nothing, never as NA (N/npu_info_print.c, 910B branch)."""

    def __init__(self, state: dict[str, Any], claims: Iterable[Claim]) -> None:
        self.state = state
        self.id: int = state["id"]
        mine = [claim for claim in claims if claim.npu == self.id]
        self._processes = [Row(row["pid"], row["name"], row["mib"]) for row in state["processes"]]
        self._processes += [Row(claim.pid, claim.name, claim.mib) for claim in mine]
        self._claimed_aicore = sum(claim.aicore for claim in mine)
        self._failed = frozenset(state["unreadable"])

    def __getitem__(self, key: str) -> Any:
        return self.state[key]

    @property
    def name(self) -> str:
        """Chip name, empty when it cannot be read."""
        return "" if "name" in self._failed else self.state["chip_name"]

    @property
    def power(self) -> float:
        """W."""
        return 0.0 if "power" in self._failed else self.state["power_w"]

    @property
    def temperature(self) -> int:
        """Degrees Celsius."""
        return 0 if "temperature" in self._failed else self.state["temperature_c"]

    @property
    def bus(self) -> str:
        """PCI address."""
        return "0000:00:00.0" if "bus" in self._failed else self.state["bus_id"]

    @property
    def hbm_total(self) -> int:
        """MiB."""
        return 0 if "hbm" in self._failed else self.state["hbm_total_mib"]

    @property
    def hbm_used(self) -> int:
        """MiB: the base and all processes, never more than there is."""
        used = self.state["hbm_used_mib"] + sum(process.mib for process in self._processes)
        return int(min(used, self.hbm_total))

    @property
    def hbm_percent(self) -> int:
        """Rate as a whole number, rounded down."""
        return self.hbm_used * 100 // self.hbm_total if self.hbm_total else 0

    @property
    def aicore(self) -> int:
        """AICore rate, percent."""
        return int(min(self.state["aicore_percent"] + self._claimed_aicore, 100))

    @property
    def utilization(self) -> int:
        """NPU rate, percent: at least what the claims cause."""
        return int(min(max(self.state["utilization_percent"], self._claimed_aicore), 100))

    @property
    def processes(self) -> list[Row]:
        """Rows as printed: names without colons and TABs, 15 characters (N/npu_chip_info.c, get_pid_name)."""
        return [
            Row(row.pid, row.name.replace(":", "").replace("\t", "")[:NAME_LENGTH], row.mib)
            for row in self._processes[:ROWS_PER_CHIP]
        ]


def usable(state: dict[str, Any], claims: Iterable[Claim] = ()) -> list[Npu]:
    """The NPUs that the driver library starts with, by id. None when the driver itself is not loaded."""
    if not state["driver"]["loaded"]:
        return []
    claims = list(claims)
    found = [Npu(npu, claims) for npu in state["npus"] if not npu["lost"]]
    return sorted(found, key=lambda npu: npu.id)


def lost_count(state: dict[str, Any]) -> int:
    """How many NPUs of the host do not answer."""
    return sum(1 for npu in state["npus"] if npu["lost"])

"""Names and addresses of one simulated cluster, derived from its work directory: several can share a machine."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

# Host number 1 has the address .11: far enough from the gateway (.1) to be told apart at a glance.
FIRST_ADDRESS = 10
MAXIMAL_HOSTS = 200
MAXIMAL_NPUS = 16
LABEL = "mindie-deploy.simulator"
SPECIFICATION_LABEL = "mindie-deploy.simulator.specification"


@dataclass(frozen=True)
class Names:
    """Everything that bears a name on the machine. `key` is 8 hexadecimal digits."""

    work: Path
    key: str

    @classmethod
    def of(cls, work: Path) -> Names:
        """Names of the cluster in this work directory.

        The root directory's inode is part of the key: in a chroot that shares the network with its machine the same
        path is another cluster, whose bridge must have another name.
        """
        absolute = work.expanduser().resolve()
        root = os.stat("/")
        text = f"{absolute}\0{root.st_dev}\0{root.st_ino}"
        return cls(absolute, hashlib.sha256(text.encode()).hexdigest()[:8])

    @property
    def stem(self) -> str:
        return f"mindie-simulator-{self.key}"

    @property
    def network(self) -> str:
        return self.stem

    @property
    def bridge(self) -> str:
        """Name of the link; Linux allows 15 characters."""
        return f"mdsim-{self.key}"

    @property
    def image(self) -> str:
        """The hosts' image on the machine's engine."""
        return f"{self.stem}:host"

    @property
    def cgroup(self) -> str:
        """Parent of the control groups that we make, from the root of the hierarchy."""
        return self.stem

    @property
    def run_directory(self) -> Path:
        """Socket, pid file and run-time state of a private engine: a short path, as sockets allow 107 bytes."""
        return Path("/run") / self.stem

    @property
    def socket(self) -> Path:
        return self.run_directory / "docker.sock"

    def container(self, host: str) -> str:
        return f"{self.stem}-{host}"


def host_names(count: int) -> tuple[str, ...]:
    """host1, host2, ..."""
    return tuple(f"host{number}" for number in range(1, count + 1))


def host_number(name: str) -> int:
    """3 for host3."""
    return int(name.removeprefix("host"))


def address(subnet: IPv4Network, host: str) -> IPv4Address:
    """Address of a host in a /24: .11 for host1."""
    return subnet[FIRST_ADDRESS + host_number(host)]

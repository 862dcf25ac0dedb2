"""A cluster that is up: the handle by which its hosts are looked at, changed and reached."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from simulated_cluster import engine as engines
from simulated_cluster import host as hosts_module
from simulated_cluster import record as records
from simulated_cluster.engine import Engine
from simulated_cluster.errors import MachineError
from simulated_cluster.inventory import IMAGE
from simulated_cluster.keys import Keys
from simulated_cluster.names import Names, address


@dataclass(frozen=True)
class Cluster:
    """The cluster of one work directory."""

    names: Names
    engine: Engine
    subnet: IPv4Network
    hosts: tuple[str, ...]

    @classmethod
    def open(cls, work: Path) -> Cluster:
        """The cluster of this work directory. Raises MachineError (exit 2) when it is not up."""
        names = Names.of(work)
        record = records.read(names.work)
        engine = engines.find(names) if record is not None else None
        if record is None or engine is None:
            raise MachineError(f"no simulated cluster is up in {names.work}.", "run `cluster.py up`")
        return cls(names, engine, record.subnet, record.hosts)

    @property
    def keys(self) -> Keys:
        return Keys(self.names.work)

    def address(self, host: str) -> IPv4Address:
        """Where the host is reached."""
        return address(self.subnet, self.known(host))

    def known(self, host: str) -> str:
        """The same name, if there is such a host. Raises MachineError (exit 2) otherwise."""
        if host not in self.hosts:
            raise MachineError(f"there is no host {host}.", f"name one of {', '.join(self.hosts)}")
        return host

    def state_file(self, host: str) -> Path:
        """The YAML file that states the host's hardware."""
        return self.names.work / "hosts" / f"{self.known(host)}.yml"

    def execute(
        self, host: str, *command: str, check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host through the engine, whatever SSH does there."""
        return hosts_module.execute(self.engine, self.names, self.known(host), *command, check=check, timeout=timeout)

    def container_state(self, host: str) -> str:
        """State of the host's container: running, paused, exited, or missing."""
        container = hosts_module.containers(self.engine, self.names).get(self.known(host))
        return container.state if container else "missing"

    def wait(self, host: str) -> None:
        """Wait until a host that starts has set itself up. Raises SimulatorError after two minutes."""
        hosts_module.wait(self.engine, self.names, host, self.address(host))

    def status(self) -> list[dict[str, str]]:
        """What each host is and answers, as texts for a table."""
        containers = hosts_module.containers(self.engine, self.names)
        with ThreadPoolExecutor(max_workers=8) as pool:
            return list(pool.map(lambda host: self._status(host, containers), self.hosts))

    def _status(self, host: str, containers: dict[str, hosts_module.HostContainer]) -> dict[str, str]:
        container = containers.get(host)
        row = {
            "host": host,
            "address": str(self.address(host)),
            "container": container.state if container else "missing",
            "ssh": "-",
            "engine": "-",
            "mindie image": "-",
        }
        if container is not None and container.state == "running":
            row["ssh"] = "answers" if hosts_module.ssh_answers(self.address(host)) else "no answer"
            version = self.execute(host, "docker", "version", "--format={{.Server.Version}}", check=False)
            row["engine"] = version.stdout.strip() if version.returncode == 0 else "no answer"
            if version.returncode == 0:
                image = self.execute(host, "docker", "image", "inspect", "--format={{.Id}}", IMAGE, check=False)
                row["mindie image"] = image.stdout.strip()[7:19] if image.returncode == 0 else "missing"
        return row

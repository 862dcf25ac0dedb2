"""One simulated host: the container that it is, how it starts, and whether it answers."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from simulated_cluster.cache import key_of
from simulated_cluster.engine import Engine
from simulated_cluster.errors import SimulatorError
from simulated_cluster.inventory import IMAGE
from simulated_cluster.names import LABEL, SPECIFICATION_LABEL, Names

SIMULATOR = Path(__file__).resolve().parent.parent
# With --ipc=host a container sees its host's /dev/shm; MindIE asks for 656 MiB per local dp group.
SHARED_MEMORY = "2g"
# Loading the MindIE image takes most of it: 3 s where four hosts share two cores, much more on a busy machine.
START_SECONDS = 120.0
ENGINE_LOG = "/var/log/dockerd.log"


@dataclass(frozen=True)
class HostSpecification:
    """What a host is made from; a host whose specification changed is made anew."""

    names: Names
    host: str
    address: IPv4Address
    identity: Path
    weights: Path
    mindie_image: Path | None
    base: str

    def mounts(self) -> list[str]:
        """Bind mounts, and volumes of its own where a host needs a real disk."""
        binds = [
            "/sys/fs/cgroup:/sys/fs/cgroup:rw",
            f"{self.names.work / 'hosts'}:/simulator/hosts:rw",
            f"{SIMULATOR / 'tools'}:/opt/simulator/tools:ro",
            f"{SIMULATOR / 'host'}:/opt/simulator/host:ro",
            f"{self.identity}:/opt/simulator/identity:ro",
            f"{self.weights}:/mnt/share/models:ro",
        ]
        if self.mindie_image is not None:
            binds.append(f"{self.mindie_image}:/opt/simulator/mindie-image.tar:ro")
        return [*(f"--volume={bind}" for bind in binds), "--volume=/var/lib/docker", "--volume=/data"]

    def options(self) -> list[str]:
        """Arguments of `docker run`. Not --privileged but all capabilities save one, which some machines lack."""
        return [
            f"--hostname={self.host}",
            f"--network={self.names.network}",
            f"--ip={self.address}",
            "--cgroupns=host",
            "--cap-add=ALL",
            "--cap-drop=SYS_RESOURCE",
            "--security-opt=seccomp=unconfined",
            "--security-opt=apparmor=unconfined",
            "--device-cgroup-rule=c *:* rwm",
            "--tmpfs=/run:rw,exec,mode=755",
            f"--shm-size={SHARED_MEMORY}",
            f"--env=SIMULATOR_CGROUP=/{self.names.cgroup}/hosts/{self.host}",
            f"--env=SIMULATOR_IMAGE={IMAGE}",
            *self.mounts(),
            f"--label={LABEL}={self.names.key}",
            "--entrypoint=/usr/bin/tini",
        ]

    def key(self) -> str:
        """Digest of all that shapes the host."""
        return key_of(self.base, *self.options())

    def command(self) -> list[str]:
        """Arguments of docker that start the host."""
        return [
            "run",
            "--detach",
            f"--name={self.names.container(self.host)}",
            *self.options(),
            f"--label={SPECIFICATION_LABEL}={self.key()}",
            self.names.image,
            "--",
            "/bin/sh",
            "/opt/simulator/host/entry",
        ]


@dataclass(frozen=True)
class HostContainer:
    """A container of this cluster as the engine lists it."""

    name: str
    state: str
    specification: str


def containers(engine: Engine, names: Names) -> dict[str, HostContainer]:
    """The cluster's containers by host name; paused ones too."""
    pattern = f'{{{{.Names}}}}\t{{{{.State}}}}\t{{{{.Label "{SPECIFICATION_LABEL}"}}}}'
    done = engine.docker("ps", "--all", f"--filter=label={LABEL}={names.key}", f"--format={pattern}")
    found = {}
    for line in done.stdout.splitlines():
        name, state, specification = line.split("\t")
        found[name.removeprefix(f"{names.stem}-")] = HostContainer(name, state, specification)
    return found


def execute(
    engine: Engine,
    names: Names,
    host: str,
    *command: str,
    check: bool = True,
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run a command on a host through the engine, not through SSH: it works whatever SSH does there."""
    return engine.docker("exec", names.container(host), *command, check=check, timeout=timeout)


def start(engine: Engine, specification: HostSpecification) -> None:
    """Start the host from nothing, and wait until SSH and its engine answer and the MindIE image is there."""
    names, host = specification.names, specification.host
    engine.docker("rm", "--force", "--volumes", names.container(host), check=False)
    engine.docker(*specification.command())
    try:
        wait(engine, names, host, specification.address)
    except SimulatorError as error:
        logs = engine.docker("logs", "--tail=20", names.container(host), check=False)
        raise SimulatorError(f"{host} did not start: {error.message}\n{logs.stdout}{logs.stderr}".rstrip()) from None


def wait(engine: Engine, names: Names, host: str, address: IPv4Address) -> None:
    """Wait until the host is set up and its SSH port answers. Raises SimulatorError after two minutes."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        done = execute(engine, names, host, "cat", "/run/simulated-host-started", check=False)
        if done.returncode == 0 and done.stdout.strip():
            raise SimulatorError(f"its setup failed: {done.stdout.strip()}")
        if done.returncode == 0 and ssh_answers(address):
            return
        if containers(engine, names)[host].state != "running":
            raise SimulatorError("it ended.")
        time.sleep(0.2)
    raise SimulatorError(f"it was not ready within {START_SECONDS:.0f} s.")


def ssh_answers(address: IPv4Address, timeout: float = 3.0) -> bool:
    """Whether an SSH server greets there within `timeout` seconds."""
    try:
        with socket.create_connection((str(address), 22), timeout=timeout) as connection:
            connection.settimeout(timeout)
            return connection.recv(16).startswith(b"SSH-")
    except OSError:
        return False

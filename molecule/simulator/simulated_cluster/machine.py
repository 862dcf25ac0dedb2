"""Brings the machine to where it can carry hosts: the programs that are needed, and an engine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from simulated_cluster import engine as engines
from simulated_cluster.commands import run, say
from simulated_cluster.engine import Engine
from simulated_cluster.errors import MachineError
from simulated_cluster.names import Names

# Program -> package of Debian and Ubuntu that has it.
PACKAGES = {
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "dockerd": "docker.io",
    "docker": "docker.io",
    "debootstrap": "debootstrap",
}
INSTALL_SECONDS = 600.0


def _found(program: str) -> bool:
    # System directories too: a user's PATH often lacks them.
    return (
        shutil.which(program) is not None or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin") is not None
    )


def missing_packages(programs: list[str]) -> list[str]:
    """Packages to install for the programs that are not there."""
    return sorted({PACKAGES[program] for program in programs if not _found(program)})


def need(*programs: str) -> None:
    """Install what is missing. Raises MachineError where that is not possible."""
    packages = missing_packages(list(programs))
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MachineError(
            f"these packages are missing: {', '.join(packages)}.",
            f"install them (apt-get install {' '.join(packages)}), or run the command as root on Debian or Ubuntu",
        )
    say(f"machine: installing {', '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], timeout=INSTALL_SECONDS, environment=quiet)
    run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        timeout=INSTALL_SECONDS,
        environment=quiet,
    )


def ensure_engine(names: Names, data: Path, log: Path) -> Engine:
    """The engine for this cluster: one that answers, else a private one, whose packages are installed if need be."""
    found = engines.find(names)
    if found is not None:
        return found
    engines.need_root()
    if missing_packages(["dockerd", "docker"]):
        need("dockerd", "docker")
        # Where the package's service starts by itself, the machine has a working engine now.
        found = engines.find(names)
        if found is not None:
            return found
    return engines.start_private(names, data, log)

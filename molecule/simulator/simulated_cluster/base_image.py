"""The file systems that hosts and the simulated MindIE image are made of, as tar files that are made once per machine.

A registry is the ordinary way to a base image; where none can be reached, Debian's own packages make the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from simulated_cluster import machine
from simulated_cluster.cache import forget_others, key_of, made_once
from simulated_cluster.commands import last_lines, run, say
from simulated_cluster.engine import Engine
from simulated_cluster.errors import MachineError, SimulatorError
from simulated_cluster.slim import SLIM_RECIPE, write_slim

SUITE = "bookworm"
PULLED = "debian:12-slim"
# What a host of the field has that anything here looks at. Ansible needs all of python3's standard library.
PACKAGES = (
    "ca-certificates",
    "docker.io",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "openssh-server",
    "pciutils",
    "procps",
    "python3",
    "python3-yaml",
    "tini",
)
# Paths that no host needs; the keys would be the same on all hosts.
TRIMMED = (
    "./dev/*",
    "./etc/ssh/ssh_host_*",
    "./usr/share/doc/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
)
RECIPE = "1"  # raise it when the way of making changes and the lists above do not
MIRROR_SETTING = "MINDIE_DEPLOY_SIMULATOR_MIRROR"
REGISTRY_SECONDS = 5.0
UNUSED_DAYS = 14.0
BUILD_SECONDS = 900.0


def host_key() -> str:
    """Key of the host file system's recipe."""
    return key_of(RECIPE, SUITE, *PACKAGES, *TRIMMED)


def host_tar(engine: Engine, cache: Path) -> Path:
    """File system of a host, as a tar file in the cache."""
    name = f"host-{host_key()}.tar"
    path = made_once(cache, name, lambda target: _make(engine, target))
    forget_others(cache, "host-*.tar", name, UNUSED_DAYS)
    return path


def slim_tar(host: Path, cache: Path) -> Path:
    """File system for the simulated MindIE image: a shell, core tools and Python, taken from the host's."""
    name = f"slim-{key_of(host_key(), *SLIM_RECIPE)}.tar"
    path = made_once(cache, name, lambda target: write_slim(host, target))
    forget_others(cache, "slim-*.tar", name, UNUSED_DAYS)
    return path


def _make(engine: Engine, target: Path) -> None:
    there_before = engine.docker("image", "inspect", PULLED, check=False).returncode == 0
    if there_before or _pull(engine):
        try:
            _from_registry(engine, target)
            return
        except SimulatorError as error:
            say(f"base image: {PULLED} could not be made a host, going on without it: {error.message}")
        finally:
            if not there_before:
                engine.docker("image", "rm", PULLED, check=False)
    _from_packages(target)


def _pull(engine: Engine) -> bool:
    """Pull the base image, if that begins within 5 s: docker prints its first line when the registry has answered."""
    process = subprocess.Popen(
        engine.command("pull", PULLED), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    deadline = time.monotonic() + REGISTRY_SECONDS
    begun = False
    while not begun and time.monotonic() < deadline and process.poll() is None:
        begun = b"Pulling from" in (process.stdout.read() or b"")
        time.sleep(0.05)
    if not begun and process.poll() is None:
        process.kill()
    with process.stdout:
        try:
            status = process.wait(timeout=BUILD_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
    return status == 0


def _from_registry(engine: Engine, target: Path) -> None:
    """Install the packages in a container of the pulled image and take its file system."""
    say(f"base image: installing packages in {PULLED} (once per machine)")
    container = f"mindie-simulator-base-{os.getpid()}"
    trims = " ".join(f"/{path.removeprefix('./')}" for path in TRIMMED if not path.startswith("./dev"))
    script = (
        "set -e; export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; "
        f"apt-get install -y -qq --no-install-recommends {' '.join(PACKAGES)} >/dev/null; rm -rf {trims}"
    )
    try:
        # The machine's network, as a private engine gives containers no way out.
        engine.docker("run", f"--name={container}", "--network=host", PULLED, "sh", "-c", script, timeout=BUILD_SECONDS)
        engine.docker("export", f"--output={target}", container, timeout=BUILD_SECONDS)
    finally:
        engine.docker("rm", "--force", "--volumes", container, check=False)


def _from_packages(target: Path) -> None:
    """Make the file system with debootstrap, which takes root."""
    if os.geteuid() != 0:
        raise MachineError(
            f"no registry answers that has {PULLED}, and making a base image from packages takes root.",
            f"run the command as root once, or make {PULLED} available to the engine (docker load)",
        )
    machine.need("debootstrap")
    say("base image: making it from Debian's packages (about 60 s, once per machine)")
    root = target.parent / "root"
    command = [
        shutil.which("debootstrap") or "/usr/sbin/debootstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        SUITE,
        str(root),
    ]
    if mirror := os.environ.get(MIRROR_SETTING):
        command.append(mirror)
    done = run(command, timeout=BUILD_SECONDS, check=False)
    if done.returncode != 0:
        raise SimulatorError(
            f"debootstrap ended with status {done.returncode}:\n{last_lines(done.stdout + done.stderr)}",
            f"see that Debian's packages can be reached; another mirror can be named by {MIRROR_SETTING}",
        )
    excluded = [f"--exclude={path}" for path in TRIMMED]
    run(
        [
            "tar",
            "--numeric-owner",
            "--sort=name",
            *excluded,
            f"--directory={root}",
            f"--file={target}",
            "--create",
            ".",
        ],
        timeout=BUILD_SECONDS,
    )
    shutil.rmtree(root)

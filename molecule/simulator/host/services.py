"""The host's container engine, the MindIE image in it, and the daemons that run there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
IMAGE_FILE = Path("/opt/simulator/mindie-image.tar")
# As in molecule/simulator/simulated_cluster/inventory.py, given to the host by its environment.
IMAGE_VARIABLE = "SIMULATOR_IMAGE"
ALTERED = "simulator.altered"


def call(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command; its output is for the error message."""
    return subprocess.run(command, check=check, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def image() -> str:
    """Name of the MindIE image."""
    name = os.environ.get(IMAGE_VARIABLE, "")
    if not name:
        # A login over SSH has another environment than the container: take that of the first process.
        for entry in Path("/proc/1/environ").read_bytes().split(b"\0"):
            key, _, value = entry.decode().partition("=")
            name = value if key == IMAGE_VARIABLE else name
    if not name:
        raise ValueError(f"{IMAGE_VARIABLE} is not set")
    return name


def engine_answers() -> bool:
    """Whether the engine answers."""
    return call("docker", "version", check=False).returncode == 0


def start_engine() -> None:
    """As a service manager would."""
    subprocess.run(["sh", str(HERE / "engine"), "start"], check=True, stdin=subprocess.DEVNULL)


def stop_engine() -> None:
    """Its containers stop with it."""
    subprocess.run(["sh", str(HERE / "engine"), "stop"], check=True, stdin=subprocess.DEVNULL)


def image_id() -> str:
    """Id of the image; empty when it is missing."""
    return call("docker", "image", "inspect", "--format={{.Id}}", image(), check=False).stdout.strip()


def _altered() -> bool:
    pattern = f'{{{{index .Config.Labels "{ALTERED}"}}}}'
    return call("docker", "image", "inspect", f"--format={pattern}", image(), check=False).stdout.strip() == "yes"


def load_image() -> None:
    """Make the image the true one."""
    if image_id() and not _altered():
        return
    call("docker", "load", "--quiet", f"--input={IMAGE_FILE}")
    call("docker", "image", "prune", "--force")


def remove_image() -> None:
    """Fails while a container runs from it."""
    if image_id():
        call("docker", "image", "rm", "--force", image())


def alter_image() -> None:
    """Another image under the same name, as after an update on one host only."""
    if _altered():
        return
    load_image()
    container = call("docker", "create", image()).stdout.strip()
    try:
        call("docker", "commit", f"--change=LABEL {ALTERED}=yes", container, image())
    finally:
        call("docker", "rm", container)


def kill_daemons() -> None:
    """Kill the first process of every container of a deployment, as the kernel does when memory runs out."""
    running = call("docker", "ps", "--quiet", "--filter=label=mindie-deploy.deployment").stdout.split()
    if running:
        call("docker", "kill", "--signal=KILL", *running)

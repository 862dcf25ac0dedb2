"""The host's data disk."""

from __future__ import annotations

from pathlib import Path

from services import call

DATA = Path("/data")
MODELS = DATA / "models"


def disk_limit() -> bool:
    """Whether the data disk is a limited one."""
    lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    types = [fields[2] for fields in (line.split() for line in lines) if fields[1] == str(DATA)]
    return bool(types) and types[-1] == "tmpfs"


def limit_disk(size: str) -> None:
    """Give the host an empty data disk of this size in bytes; what is on the true one is out of sight meanwhile."""
    if int(size) < 1:
        raise ValueError("the size must be at least 1 byte")
    if disk_limit():
        call("mount", "-o", f"remount,size={int(size)}", str(DATA))
    else:
        call("mount", "-t", "tmpfs", "-o", f"size={int(size)},mode=755", "simulated-disk", str(DATA))
    MODELS.mkdir(exist_ok=True)


def free_disk() -> None:
    """The true data disk is back, with what was on it; what was written meanwhile is gone."""
    if disk_limit():
        # Lazily, as a container may still have files open there.
        call("umount", "--lazy", str(DATA))

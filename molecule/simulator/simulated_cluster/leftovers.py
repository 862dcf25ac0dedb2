"""Finds and removes what an engine or a host may leave on the machine: processes, mounts, control groups, directories.

All of it is found by the cluster's own name, never by the look of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from simulated_cluster.errors import SimulatorError
from simulated_cluster.names import Names

CGROUPS = Path("/sys/fs/cgroup")
KILL_SECONDS = 10.0


def mounts_below(directory: Path, mountinfo: str) -> list[str]:
    """Mount points at or below a directory, deepest first, from the text of /proc/self/mountinfo."""
    points = []
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) < 5:
            continue
        # The kernel writes blanks, tabs, line ends and backslashes of a path as three octal digits.
        point = fields[4].encode("latin-1", "backslashreplace").decode("unicode_escape")
        if point == str(directory) or point.startswith(f"{directory}/"):
            points.append(point)
    return sorted(points, key=lambda point: (point.count("/"), point), reverse=True)


def unmount_below(directories: Iterable[Path]) -> None:
    """Unmount everything below these directories."""
    for directory in directories:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="backslashreplace")
        for point in mounts_below(directory, text):
            # Lazily, as a process that is about to end may still hold it.
            subprocess.run(["umount", "--lazy", point], check=False, stderr=subprocess.DEVNULL)


def cgroup_directories(name: str, root: Path = CGROUPS) -> list[Path]:
    """Our control groups: one per hierarchy with version 1, a single one with version 2."""
    found = [root / name] if (root / name).is_dir() else []
    return found + sorted(path for path in root.glob(f"*/{name}") if path.is_dir() and not path.parent.is_symlink())


def processes_in_cgroups(name: str, root: Path = CGROUPS) -> set[int]:
    """Ids of all processes in our control groups. 0 stands for one that this PID namespace does not see; left out."""
    found: set[int] = set()
    for top in cgroup_directories(name, root):
        for path in [top / "cgroup.procs", *top.rglob("cgroup.procs")]:
            with contextlib.suppress(OSError):
                found |= {int(line) for line in path.read_text(encoding="ascii").split()}
    return found - {0}


def processes_of_engine(names: Names, processes: Path = Path("/proc")) -> set[int]:
    """containerd and its shims of a private engine: the paths of its run directory stand in their command lines."""
    needle = str(names.run_directory).encode()
    found: set[int] = set()
    for path in processes.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (path / "cmdline").read_bytes()
            if needle in command and b"containerd" in command.split(b"\0")[0]:
                found.add(int(path.name))
    return found


def kill_all(pids: Iterable[int]) -> None:
    """Kill processes and wait until they are gone."""
    left = set(pids) - {os.getpid()}
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    while left and time.monotonic() < deadline:
        left = {pid for pid in left if _alive(pid)}
        time.sleep(0.02 if left else 0)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    # A zombie holds nothing any more; it is its parent's to bury.
    return state not in "ZX"


def remove_cgroups(name: str, root: Path = CGROUPS) -> None:
    """Remove our control groups, deepest first; one that still has processes stays (rmdir refuses)."""
    for top in cgroup_directories(name, root):
        below = [path for path in top.rglob("*") if path.is_dir()]
        for path in [*sorted(below, key=lambda path: len(path.parts), reverse=True), top]:
            with contextlib.suppress(OSError):
                path.rmdir()


def remove_engine(names: Names, data: Path) -> None:
    """Remove all traces of a private engine that does not run any more. Needs root; without it there is none."""
    if os.geteuid() != 0:
        return
    if names.run_directory.exists() or data.exists():
        kill_all(processes_of_engine(names) | processes_in_cgroups(names.cgroup))
    unmount_below([names.run_directory, data])
    remove_cgroups(names.cgroup)
    if (Path("/sys/class/net") / names.bridge).exists():
        subprocess.run(["ip", "link", "delete", names.bridge], check=False, stderr=subprocess.DEVNULL)
    for directory in (names.run_directory, data):
        shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            raise SimulatorError(f"{directory} cannot be removed; something still uses it.", "run `down` again")
    for empty in ("containerd/s", "containerd", "docker/plugins", "docker"):
        # Every engine makes these, wherever its own directories are; what others have in them keeps them.
        with contextlib.suppress(OSError):
            (Path("/run") / empty).rmdir()

"""The container engine that runs the hosts: the machine's own if it works, else a private one that ends with us."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from simulated_cluster import leftovers
from simulated_cluster.commands import last_lines, run, say
from simulated_cluster.errors import MachineError, SimulatorError
from simulated_cluster.names import Names

# An engine that starts on an empty directory answers within 1 s; the rest is patience with a busy machine.
START_SECONDS = 40.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Engine:
    """An engine that answers. `socket` is None for the machine's own, which is left as it is."""

    socket: Path | None

    @property
    def private(self) -> bool:
        return self.socket is not None

    def command(self, *arguments: str) -> list[str]:
        """The command line of a docker call."""
        return ["docker", *([f"--host=unix://{self.socket}"] if self.socket else []), *arguments]

    def docker(
        self,
        *arguments: str,
        check: bool = True,
        timeout: float = 60.0,
        stdin: IO[bytes] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Call docker; `timeout` in seconds. Raises SimulatorError as commands.run does."""
        return run(self.command(*arguments), check=check, timeout=timeout, stdin=stdin)

    def answers(self) -> bool:
        """Whether the engine is there. The exit status alone does not say: some clients end with 0 without one."""
        if shutil.which("docker") is None:
            return False
        try:
            done = self.docker("info", "--format", "{{.ServerVersion}}", check=False, timeout=10)
        except SimulatorError:
            return False
        return done.returncode == 0 and bool(done.stdout.strip())

    def cgroup_driver(self) -> str:
        """cgroupfs or systemd."""
        return self.docker("info", "--format", "{{.CgroupDriver}}").stdout.strip()


def find(names: Names) -> Engine | None:
    """The engine of this cluster: the private one if it runs, else the machine's, else None.

    An engine on another machine (DOCKER_HOST) is refused: hosts need directories of this one.
    """
    if names.socket.exists():
        private = Engine(names.socket)
        if private.answers():
            return private
    remote = os.environ.get("DOCKER_HOST", "")
    if remote and not remote.startswith("unix:"):
        raise MachineError(f"DOCKER_HOST={remote} is an engine of another machine.", "unset DOCKER_HOST")
    own = Engine(None)
    return own if own.answers() else None


def need_root() -> None:
    """Raise MachineError unless we may start an engine."""
    if os.geteuid() != 0:
        raise MachineError(
            "no container engine answers here, and starting one takes root.",
            "run the command as root, or start Docker and make sure that `docker info` works for this user",
        )


def start_private(names: Names, data: Path, log: Path) -> Engine:
    """Start an engine of our own with all its state in places of our own; it touches no firewall rule or sysctl."""
    leftovers.remove_engine(names, data)
    names.run_directory.mkdir(parents=True, exist_ok=True)
    data.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = [
        shutil.which("dockerd") or "/usr/sbin/dockerd",
        f"--host=unix://{names.socket}",
        f"--data-root={data}",
        f"--exec-root={names.run_directory}/exec",
        f"--pidfile={names.run_directory}/docker.pid",
        f"--cgroup-parent=/{names.cgroup}",
        # A containerd of the machine, where there is one, is shared by name spaces of our own.
        f"--containerd-namespace={names.stem}",
        f"--containerd-plugins-namespace={names.stem}-plugins",
        "--bridge=none",
        "--iptables=false",
        "--ip-forward=false",
        "--ip-masq=false",
        "--userland-proxy=false",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        # An empty file of settings: those of the machine's engine are not ours.
        f"--config-file={names.run_directory}/daemon.json",
    ]
    (names.run_directory / "daemon.json").write_text("{}\n", encoding="utf-8")
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
        )
    engine = Engine(names.socket)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if names.socket.exists() and engine.answers():
            say(f"engine: started a private one (pid {process.pid})")
            return engine
        if process.poll() is not None:
            break
        time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    text = log.read_text(encoding="utf-8", errors="replace")
    leftovers.remove_engine(names, data)
    raise MachineError(
        f"a container engine of our own did not start; its last words:\n{last_lines(text)}",
        "start Docker in another way, so that `docker info` works, and try again",
    )


def private_pid(names: Names) -> int | None:
    """Process id of the private engine, if it runs; a pid file alone does not prove it."""
    try:
        pid = int((names.run_directory / "docker.pid").read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(names.socket).encode() in command else None


def stop_private(names: Names, data: Path) -> None:
    """Stop the private engine, by its pid, and remove all that it had. Without one, only what an earlier one left."""
    pid = private_pid(names)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while private_pid(names) is not None:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                deadline = time.monotonic() + STOP_SECONDS
            _reap(pid)
            time.sleep(0.05)
    leftovers.remove_engine(names, data)


def _reap(pid: int) -> None:
    """Take note of the end of a child of ours, which would stay in the process table otherwise."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)

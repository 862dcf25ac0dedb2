"""One simulated cluster for all stories, and the few verbs that they are told with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SIMULATOR = ROOT / "molecule" / "simulator"
WORK = ROOT / ".work" / "stories"
CONTAINER = "deepseek-r1-mindie"
HOSTS = ("host1", "host2", "host3", "host4")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The road is gone first, while the hosts are as bare as an operator finds them."""
    items.sort(key=lambda item: "test_the_road" not in item.nodeid)


class SimulatedCluster:
    """Four simulated hosts, the command line pointed at them, and faults by name."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.inventory = work / "inventory"
        self.connections = ""

    def simulator(self, script: str, *arguments: str) -> str:
        """Runs a program of the simulator on this cluster; returns what it printed."""
        done = subprocess.run(
            [sys.executable, str(SIMULATOR / script), *arguments], capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{script} {arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def on(self, host: str, *command: str) -> str:
        """Runs a command on a host, past SSH; returns what it printed."""
        return self.simulator("cluster.py", "exec", "--work", str(self.work), host, "--", *command)

    def start_cli(self, *arguments: str, inventory: Path | None = None, **options: Any) -> subprocess.Popen[str]:
        """Starts mindie-deploy in a directory of its own, without a terminal."""
        command = [str(Path(sys.executable).with_name("mindie-deploy")), *arguments]
        if arguments[0] not in ("explain", "init"):
            command += ["--inventory", str(inventory or self.inventory)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment["XDG_STATE_HOME"] = str(self.work / "state")
        if self.connections:
            environment["ANSIBLE_SSH_CONTROL_PATH_DIR"] = self.connections
        return subprocess.Popen(
            command,
            cwd=self.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def cli(self, *arguments: str, inventory: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Runs mindie-deploy to its end."""
        process = self.start_cli(*arguments, inventory=inventory)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @contextmanager
    def fault(self, name: str, host: str, npu: int | None = None) -> Iterator[None]:
        """Makes one thing wrong, and right again afterwards."""
        which = ["--host", host] + ([] if npu is None else ["--npu", str(npu)])
        self.simulator("fault.py", "--work", str(self.work), "apply", name, *which)
        try:
            yield
        finally:
            self.simulator("fault.py", "--work", str(self.work), "clear", name)

    @contextmanager
    def action(self, name: str, host: str) -> Iterator[None]:
        """Does something to a host that is not its NPUs' business, and undoes it afterwards."""
        self.simulator("cluster.py", "act", "--work", str(self.work), host, name)
        # A kept connection of an earlier command would go on in spite of a changed key.
        self.connections = tempfile.mkdtemp(prefix="story-")
        try:
            yield
        finally:
            shutil.rmtree(self.connections)
            self.connections = ""
            self.simulator("cluster.py", "undo", "--work", str(self.work), host, name)

    def inventory_with(self, directory: Path, **settings: object) -> Path:
        """Returns a copy of the inventory in which some settings are others."""
        copy = directory / "inventory"
        shutil.copytree(self.inventory, copy)
        path = copy / "group_vars" / "all.yml"
        variables = yaml.safe_load(path.read_text()) or {}
        variables.update({f"mindie_{name}": value for name, value in settings.items()})
        path.write_text(yaml.safe_dump(variables, sort_keys=False))
        return copy

    def containers(self) -> dict[str, str]:
        """Returns {host: id and status} of the deployment's containers, running or not."""
        found = {}
        for host in HOSTS:
            shown = self.on(
                host,
                "sh",
                "-c",
                # A host whose engine is stopped runs no container.
                '"$@" 2>/dev/null || [ ! -e /var/run/docker.pid ]',
                "sh",
                "docker",
                "ps",
                "-a",
                "--no-trunc",
                "--filter",
                f"name={CONTAINER}",
                "--format",
                "{{.ID}} {{.State}}",
            )
            if shown.strip():
                found[host] = shown.strip()
        return found

    def running(self) -> list[str]:
        """Returns the hosts on which the member of the deployment runs."""
        return [host for host, shown in self.containers().items() if shown.endswith(" running")]


@pytest.fixture(scope="session")
def cluster() -> Iterator[SimulatedCluster]:
    found = SimulatedCluster(WORK)
    found.simulator("cluster.py", "up", "--hosts", "4", "--work", str(WORK))
    try:
        yield found
    finally:
        found.simulator("cluster.py", "down", "--work", str(WORK))


@pytest.fixture
def empty(idle: SimulatedCluster) -> SimulatedCluster:
    """The same with nothing left of an earlier story."""
    if idle.containers():
        done = idle.cli("down", "--yes")
        assert done.returncode == 0, done.stderr
    return idle


@pytest.fixture(scope="module")
def idle(cluster: SimulatedCluster) -> SimulatedCluster:
    """The cluster with the weights in place and nothing running."""
    done = cluster.cli("down", "--yes")
    assert done.returncode == 0, done.stderr
    done = cluster.cli("sync", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    return cluster

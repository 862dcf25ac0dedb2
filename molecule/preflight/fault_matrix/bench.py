"""The simulated cluster as the matrix uses it: faults come and go, and `check` is run as an operator would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from fault import Faults
from simulated_cluster.running import Cluster

from fault_matrix.case import Case, Given

CHECK_SECONDS = 300
COMMAND_SECONDS = 600
EXECUTE_SECONDS = 120.0
# Only of these may a kept SSH connection hide what is wrong.
CONNECTION_FAULTS = ("ssh-", "host-silent")


class BenchError(Exception):
    """The matrix cannot go on: a command did not do what it must."""


class Bench:
    """The cluster of a work directory."""

    def __init__(self, work: Path) -> None:
        self.cluster = Cluster.open(work)
        self.work = self.cluster.names.work
        self.inventory = self.work / "inventory"
        self.faults = Faults(self.work, self._in_host)

    def _in_host(self, host: str, argv: tuple[str, ...]) -> tuple[int, str]:
        done = self.cluster.execute(host, *argv, check=False, timeout=EXECUTE_SECONDS)
        return done.returncode, f"{done.stdout}{done.stderr}".strip()

    def prepare(self) -> None:
        """Takes everything back that an earlier run may have left, and brings the weights to the hosts."""
        for host in self.faults.names():
            if self.faults.applied(host):
                self.faults.clear(None, host)
        self.command("sync", "--yes")

    @contextmanager
    def arranged(self, case: Case) -> Iterator[Path]:
        """Gives the hosts what the case says, yields the inventory for it, and takes all of it back."""
        given: list[Given] = []
        with tempfile.TemporaryDirectory(prefix="matrix-") as scratch:
            inventory = self._inventory(case, Path(scratch))
            try:
                for one in case.given:
                    given.append(one)
                    self._on_hosts(one.hosts, lambda host, one=one: self.faults.apply(one.name, host, one.npu))
                yield inventory
            finally:
                for one in reversed(given):
                    self._on_hosts(one.hosts, lambda host, one=one: self._take_back(one.name, host))

    def _take_back(self, name: str, host: str) -> None:
        if any(record["name"] == name for record in self.faults.applied(host)):
            self.faults.clear(name, host)

    @staticmethod
    def _on_hosts(hosts: tuple[str, ...], do: Any) -> None:
        with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
            list(pool.map(do, hosts))

    def _inventory(self, case: Case, scratch: Path) -> Path:
        """The cluster's inventory, or a copy in which the case's settings are others."""
        if not case.settings and not case.host_variables:
            return self.inventory
        copy = scratch / "inventory"
        shutil.copytree(self.inventory, copy)
        _edit(copy / "group_vars" / "all.yml", case.settings)
        hosts = yaml.safe_load((copy / "hosts.yml").read_text())
        for host, variables in case.host_variables.items():
            hosts["all"]["children"]["mindie"]["hosts"][host].update(variables)
        (copy / "hosts.yml").write_text(yaml.safe_dump(hosts, sort_keys=False))
        return copy

    def check(self, case: Case, inventory: Path) -> dict[str, Any]:
        """The report of `check` as JSON. Raises BenchError when there is none."""
        fresh = any(one.name.startswith(CONNECTION_FAULTS) for one in case.given)
        done = self._cli("check", "--json", inventory=inventory, seconds=CHECK_SECONDS, fresh=fresh)
        try:
            report = json.loads(done.stdout)
        except ValueError:
            report = None
        if not isinstance(report, dict) or "findings" not in report:
            said = f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            raise BenchError(f"check of {case.name} ended with {done.returncode} and no report:\n{said}")
        return report

    def command(self, *arguments: str) -> None:
        """Runs another command of mindie-deploy, which must end well."""
        done = self._cli(*arguments, inventory=self.inventory, seconds=COMMAND_SECONDS)
        if done.returncode != 0:
            raise BenchError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")

    def _cli(
        self, *arguments: str, inventory: Path, seconds: int, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment["XDG_STATE_HOME"] = str(self.work / "state")
        command = [str(Path(sys.executable).with_name("mindie-deploy")), *arguments, "--inventory", str(inventory)]
        with tempfile.TemporaryDirectory(prefix="matrix-") as connections:
            if fresh:
                environment["ANSIBLE_SSH_CONTROL_PATH_DIR"] = connections
            return subprocess.run(
                command, cwd=self.work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=seconds, check=False,
            )  # fmt: skip


def _edit(path: Path, settings: Mapping[str, object]) -> None:
    variables = yaml.safe_load(path.read_text()) or {}
    variables.update(settings)
    path.write_text(yaml.safe_dump(variables, sort_keys=False))

#!/usr/bin/env python3
"""Gives a simulated host a named fault, and takes it back.

Usage: fault.py apply NAME --host HOST [--npu N], fault.py clear [NAME] [--host HOST], fault.py list.
A fault is a change of the host's YAML file (see docs/simulator-state.md); what it changed is kept beside it, so that
clear restores exactly that and leaves later edits of other fields alone. Then the host is brought in agreement through
cluster.py, if the cluster runs. Some faults also run a command on the host (`run`, `undo`; see tools/faults.py).
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from tools import state  # noqa: E402
from tools.difference import differences, prune, restore  # noqa: E402
from tools.faults import FAULTS, Context, Fault, FaultError, edit, placed  # noqa: E402

DEFAULT_WORK = HERE.parents[1] / ".work" / "cluster"
APPLY = ("python3", "/opt/simulator/tools/apply.py")
COMMAND_SECONDS = 120
# Runs argv in the host and returns its status and output; None where no cluster can be reached.
InHost = Callable[[str, tuple[str, ...]], tuple[int, str]]


def register(name: str, fault: Fault) -> None:
    """Adds a fault, or replaces one: for faults whose `run` and `undo` commands belong to the cluster's own files."""
    FAULTS[name] = fault


def through_cluster(work: Path) -> InHost | None:
    """Runs commands in a host with `cluster.py exec`; None where there is no cluster.py, so that only files change."""
    script = HERE / "cluster.py"
    if not script.is_file():
        return None

    def run(host: str, argv: tuple[str, ...]) -> tuple[int, str]:
        command = [sys.executable, str(script), "exec", "--work", str(work), host, "--", *argv]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=COMMAND_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return 124, f"no end within {COMMAND_SECONDS} s"
        return done.returncode, done.stdout.strip()

    return run


class Faults:
    """The faults of one cluster directory."""

    def __init__(self, work: Path, in_host: InHost | None) -> None:
        self.folder = work / "hosts"
        self.in_host = in_host

    def names(self) -> list[str]:
        """Hosts with a state file."""
        return sorted(file.stem for file in self.folder.glob("[!.]*.yml"))

    def applied(self, host: str) -> list[dict[str, Any]]:
        """Records of the faults a host has, oldest first."""
        return list(self._notes(host)["applied"])

    def apply(self, name: str, host: str, npu: int) -> list[str]:
        """Applies a fault; says what was done. FaultError when it cannot be, and then nothing changed."""
        if name not in FAULTS:
            raise FaultError(f"no fault named {name!r}; `fault.py list` shows them")
        if host not in self.names():
            known = ", ".join(self.names()) or "none: is the cluster up?"
            raise FaultError(f"no state file for {host!r} below {self.folder}; known: {known}")
        records = self.applied(host)
        if any(record["name"] == name for record in records):
            raise FaultError(f"{host} already has {name}; `fault.py clear {name}` takes it back")
        states = {other: state.load_file(str(self.folder / f"{other}.yml")) for other in self.names()}
        if all(entry["id"] != npu for entry in states[host]["npus"]):
            raise FaultError(f"{host} has no NPU {npu}")
        fault, context, file = FAULTS[name], Context(host, npu, states), self.folder / f"{host}.yml"
        before = state.read_raw(file)
        after = copy.deepcopy(before)
        edit(after, fault, context)
        original = self.folder / ".faults" / f"{host}.original.yml"
        original.parent.mkdir(exist_ok=True)
        if not records:
            original.write_bytes(file.read_bytes())
        state.write(file, after)
        changes = differences(before, after)
        records.append({"name": name, "npu": npu, "differences": changes})
        made = [change["path"] for change in changes if "made" in change]
        self._keep(host, records, self._notes(host)["made"] + made)
        return [f"{host}: {name}: {fault.description}", *self._enact(host, placed(fault.run, host, npu))]

    def clear(self, name: str | None, host: str | None) -> list[str]:
        """Takes back one fault or all, on one host or all; newest first."""
        if name is not None and name not in FAULTS:
            raise FaultError(f"no fault named {name!r}; `fault.py list` shows them")
        said: list[str] = []
        for each in [host] if host else self.names():
            for record in reversed(self.applied(each)):
                if name in (None, record["name"]):
                    said += self._clear_one(each, record)
        if not said:
            raise FaultError(f"no host has {name or 'a fault'}")
        return said

    def _clear_one(self, host: str, record: dict[str, Any]) -> list[str]:
        file = self.folder / f"{host}.yml"
        records = self.applied(host)
        place = records.index(record)
        later = records[place + 1 :]
        del records[place]
        raw = state.read_raw(file)
        left = restore(raw, record["differences"], [change for kept in later for change in kept["differences"]])
        made = prune(raw, self._notes(host)["made"])
        state.write(file, raw)
        self._keep(host, records, made)
        said = [f"{host}: {path} was changed since and stays as it is" for path in left]
        undo = placed(FAULTS[record["name"]].undo, host, record["npu"])
        return [f"{host}: cleared {record['name']}", *said, *self._enact(host, undo)]

    def _enact(self, host: str, commands: tuple[tuple[str, ...], ...]) -> list[str]:
        """Runs apply.py, then the fault's own commands, in the host."""
        if self.in_host is None:
            return [f"{host}: only its file was changed"]
        for argv in (APPLY, *commands):
            status, output = self.in_host(host, argv)
            if status != 0:
                raise FaultError(
                    f"{host}: its file is changed, but `{' '.join(argv)}` ended with {status}: "
                    f"{output or 'no output'}\n"
                    "Is the cluster up? Without it, add --files-only."
                )
        return []

    def _notes(self, host: str) -> dict[str, Any]:
        """What is kept about a host: its faults, and the mappings and lists that they made in its file."""
        file = self.folder / ".faults" / f"{host}.json"
        if not file.is_file():
            return {"applied": [], "made": []}
        return dict(json.loads(file.read_text(encoding="utf-8")))

    def _keep(self, host: str, records: list[dict[str, Any]], made: list[list[str | int]]) -> None:
        notes = {"applied": records, "made": made if records else []}
        (self.folder / ".faults" / f"{host}.json").write_text(json.dumps(notes, indent=1), encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main_parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    main_parser.add_argument("--work", type=Path, default=DEFAULT_WORK, metavar="DIR", help="the cluster's directory")
    main_parser.add_argument("--files-only", action="store_true", help="do not bring the running hosts in agreement")
    commands = main_parser.add_subparsers(dest="command", required=True)
    give = commands.add_parser("apply", help="give a host a fault")
    give.add_argument("name")
    give.add_argument("--host", required=True)
    give.add_argument("--npu", type=int, default=0, metavar="N", help="where the fault is one NPU's (default: 0)")
    take = commands.add_parser("clear", help="take back a fault, or all")
    take.add_argument("name", nargs="?")
    take.add_argument("--host")
    commands.add_parser("list", help="all faults, and which hosts have them")
    return main_parser


def show(faults: Faults) -> None:
    """All faults with the check they should trigger, then what each host has."""
    width = max(map(len, FAULTS))
    for name, fault in FAULTS.items():
        print(f"{name:<{width}}  {fault.check or '-':<22}  {fault.description}")
    for host in faults.names():
        for record in faults.applied(host):
            print(f"{host} has {record['name']} (NPU {record['npu']})")


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 when something could not be done."""
    given = parser().parse_args(arguments)
    faults = Faults(given.work, None if given.files_only else through_cluster(given.work))
    try:
        if given.command == "list":
            show(faults)
        elif given.command == "apply":
            print("\n".join(faults.apply(given.name, given.host, given.npu)))
        else:
            print("\n".join(faults.clear(given.name, given.host)))
    except (FaultError, state.StateError) as error:
        print(f"fault.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

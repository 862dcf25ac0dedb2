"""Reads the inventory as Ansible does: hosts in rank order, their variables, and errors with file and line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mindie_deploy.errors import UsageError
from mindie_deploy.runs.environment import ansible_environment
from mindie_deploy.runs.settings_files import yaml_problem

GROUP = "mindie"
DEFAULT_INVENTORY = "inventory"
LIMIT_S = 120.0
# ansible-core 2.19 and later, then earlier ones.
PLACES = (
    re.compile(r"^Origin: (?P<file>/[^\n]*?):(?P<line>\d+)(?::(?P<column>\d+))?$", re.MULTILINE),
    re.compile(r"appears to be in '(?P<file>[^']+)': line (?P<line>\d+), column (?P<column>\d+)"),
)
NO_PASSWORDS = "Attempting to decrypt but no vault secrets found"


class InventoryError(UsageError):
    """The inventory cannot be read, or has no hosts for a deployment."""


@dataclass(frozen=True)
class Inventory:
    """The hosts of the group `mindie` in rank order, and the variables of each as they were written (not templated)."""

    sources: tuple[str, ...]
    hosts: tuple[str, ...]
    variables: Mapping[str, Mapping[str, Any]]

    @property
    def files(self) -> tuple[Path, ...]:
        """The sources that are files or directories."""
        return tuple(path for path in map(Path, self.sources) if path.exists())

    @property
    def passwords(self) -> bool:
        """Whether a host is reached over SSH with a password."""
        names = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
        return any(of_host.get(name) for of_host in self.variables.values() for name in names)

    def templated(self) -> bool:
        """Whether a setting is written as a template or is encrypted, so that only Ansible can tell its value."""
        return any(
            is_open(value)
            for of_host in self.variables.values()
            for name, value in of_host.items()
            if name.startswith("mindie_") or name == "ansible_host"
        )


def is_open(value: object) -> bool:
    """Tells whether a value is not final: a template, or encrypted by ansible-vault."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return "__ansible_vault" in value or any(is_open(item) for item in value.values())
    return isinstance(value, list) and any(is_open(item) for item in value)


def inventory_sources(given: Sequence[str], directory: Path | None = None) -> tuple[str, ...]:
    """Returns the sources for -i: those given, or ./inventory. Relative paths are taken from the working directory.

    Raises UsageError for a path that does not exist, and when nothing is given and there is no ./inventory.
    """
    directory = Path.cwd() if directory is None else directory
    if not given:
        default = directory / DEFAULT_INVENTORY
        if not default.exists():
            raise UsageError(
                f"no inventory: {default} does not exist and no --inventory was given",
                "write one with: mindie-deploy init HOST...   (the leader first)",
            )
        return (str(default),)
    sources = []
    for source in given:
        if "," in source:  # a list of host names, as Ansible takes it
            sources.append(source)
            continue
        path = directory / Path(source).expanduser()
        if not path.exists():
            raise UsageError(f"the inventory {path} does not exist", "check the path given with --inventory")
        sources.append(str(path))
    return tuple(sources)


def read_inventory(sources: Sequence[str], environment: Mapping[str, str] | None = None) -> Inventory:
    """Reads the inventory with ansible-inventory. Raises InventoryError with file and line of what cannot be read.

    A source that Ansible would skip with a warning is an error here: half an inventory is another cluster.
    """
    command = [sys.executable, "-P", "-m", "ansible", "inventory", "--list"]
    command += [word for source in sources for word in ("-i", source)]
    strict = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True", "ANSIBLE_DEPRECATION_WARNINGS": "False"}
    done = subprocess.run(
        command,
        env={**os.environ, **ansible_environment(), **strict, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=LIMIT_S,
        check=False,
    )
    shown = ", ".join(sources)
    if done.returncode != 0:
        raise _unreadable(sources, done.stderr)
    try:
        listed = json.loads(done.stdout)
        hostvars = listed["_meta"]["hostvars"]
    except (ValueError, KeyError, TypeError):
        raise _unreadable(sources, done.stderr or done.stdout) from None
    hosts = tuple(_hosts_of(GROUP, listed, ()))
    if not hosts:
        others = sorted(name for name in listed if name not in ("_meta", "all", "ungrouped", GROUP))
        told = f"; its groups are {', '.join(others)}" if others else ""
        raise InventoryError(
            f"the inventory {shown} has no host in the group {GROUP}{told}",
            f"list the Atlas hosts in the group {GROUP}, the leader first",
        )
    return Inventory(tuple(sources), hosts, {host: hostvars.get(host, {}) for host in hosts})


def _hosts_of(group: str, listed: Mapping[str, Any], above: tuple[str, ...]) -> list[str]:
    told = listed.get(group)
    if not isinstance(told, Mapping) or group in above:
        return []
    names = [str(host) for host in told.get("hosts") or ()]
    for child in told.get("children") or ():
        names += _hosts_of(str(child), listed, (*above, group))
    return list(dict.fromkeys(names))


def _unreadable(sources: Sequence[str], words: str) -> InventoryError:
    shown = ", ".join(sources)
    found = yaml_problem(path for path in map(Path, sources) if path.exists())
    if found is not None:
        place, problem = found
        return InventoryError(f"{place} is not YAML: {problem}", f"correct {place}; nothing was touched")
    text = "\n".join(line.rstrip() for line in words.strip().splitlines() if line.strip())
    if NO_PASSWORDS in text:
        return InventoryError(
            f"the inventory {shown} is encrypted and no vault password was given",
            "set ANSIBLE_VAULT_PASSWORD_FILE to the file that holds the password",
        )
    if "ecrypt" in text or "vault password file" in text.lower():
        return InventoryError(
            f"the inventory {shown} cannot be decrypted:\n{_indented(text)}",
            "check ANSIBLE_VAULT_PASSWORD_FILE: the file, and the password in it",
        )
    for pattern in PLACES:
        match = pattern.search(text)
        if match:
            place = f"{match['file']}:{match['line']}" + (f":{match['column']}" if match["column"] else "")
            return InventoryError(f"the inventory cannot be read; {place}:\n{_indented(text)}", f"correct {place}")
    return InventoryError(f"the inventory {shown} cannot be read:\n{_indented(text)}", "correct the inventory")


def _indented(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("[WARNING]: Deprecation")]
    return "\n".join("  " + line for line in lines[:40])

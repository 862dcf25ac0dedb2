"""What a command works on: the inventory with its settings and hosts, validated before any playbook runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.problems import SettingsError
from mindie_deploy.cluster.secret_names import is_secret_name
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.errors import UsageError
from mindie_deploy.mindie.validated import validated
from mindie_deploy.plain import plain
from mindie_deploy.runs.environment import without_prompts
from mindie_deploy.runs.inventory import Inventory, inventory_sources, read_inventory
from mindie_deploy.runs.redaction import Redactor, secrets_of
from mindie_deploy.runs.result import RunResult
from mindie_deploy.runs.settings_files import places_of


@dataclass(frozen=True)
class Deployment:
    """An inventory whose settings are right. `settings` and `hosts` are None while only Ansible can tell them."""

    inventory: Inventory
    settings: Settings | None
    hosts: tuple[Host, ...] | None

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts' names in rank order."""
        return self.inventory.hosts

    @property
    def ssh_environment(self) -> dict[str, str]:
        """What keeps ssh from asking questions that nobody sees."""
        return {} if self.inventory.passwords else without_prompts(os.environ)

    def redactor(self) -> Redactor:
        """Returns what hides this deployment's secrets, and those of the controller's environment."""
        return _redactor(self.inventory)


def read_deployment(given: Sequence[str]) -> Deployment:
    """Reads and validates what --inventory names.

    Raises UsageError naming every wrong setting with its key, value, rule, and the file that holds it. Where values
    are templates or encrypted, the first task of every playbook validates them instead.
    """
    inventory = read_inventory(inventory_sources(given))
    if inventory.templated():
        return Deployment(inventory, None, None)
    try:
        variables = {host: _setting_variables(inventory.variables[host]) for host in inventory.hosts}
        settings, hosts = validated(inventory.hosts, variables)
    except SettingsError as error:
        raise _located(error, inventory) from error
    return Deployment(inventory, settings, hosts)


def resolved(deployment: Deployment, told: Mapping[str, Any]) -> Deployment:
    """Returns the deployment with the settings that the action mindie_settings returned."""
    if deployment.settings is not None or "settings" not in told:
        return deployment
    settings = Settings.model_validate(plain(told["settings"]))
    hosts = tuple(Host(str(host["name"]), str(host["address"]), int(host["rank"])) for host in told["hosts"])
    return Deployment(deployment.inventory, settings, hosts)


def located(result: RunResult, inventory: Inventory) -> RunResult:
    """Returns a result whose wrong settings, found by the first task of the playbook, say where they are set."""
    failures = []
    for failure in result.failures:
        keys = failure.result.get("wrong_settings") if failure.action == "mindie_settings" else None
        if isinstance(keys, list):
            message, gap, remedy = failure.message.partition("\nnext: ")
            places = [f"  {key} is set in {where}" for key in keys if (where := _places(str(key), inventory))]
            failure = replace(failure, message="\n".join([message, *places]) + gap + remedy)
        failures.append(failure)
    return replace(result, failures=tuple(failures))


def _setting_variables(variables: Mapping[str, Any]) -> dict[str, object]:
    return {
        name: plain(value) for name, value in variables.items() if name.startswith("mindie_") or name == "ansible_host"
    }


def _redactor(inventory: Inventory) -> Redactor:
    of_hosts = (secret for values in inventory.variables.values() for secret in secrets_of(values))
    of_environment = (value for name, value in os.environ.items() if is_secret_name(name) and len(value) >= 6)
    return Redactor([*of_hosts, *of_environment])


def _located(error: SettingsError, inventory: Inventory) -> UsageError:
    lines = []
    redact = _redactor(inventory)
    for problem in error.problems:
        places = _places(problem.setting, inventory)
        where = f"  (set in {places})" if places else "  (not set: this is the default)"
        lines.append(redact(f"  {problem}\n  {where}"))
    count = len(lines)
    head = "a setting is wrong" if count == 1 else f"{count} settings are wrong"
    return UsageError(f"{head}:\n" + "\n".join(lines), "correct the inventory and run again; nothing was touched")


def _places(setting: str, inventory: Inventory) -> str:
    return ", ".join(places_of(setting, inventory.files, inventory.hosts))

"""All settings of a deployment as one checked, frozen value, read from Ansible's variables.

An Ansible variable is `mindie_` and the attribute's name: `mindie_port` is `Settings.port`. The declarations are in
the modules beside this one, a group of settings each; rules between settings are in cross_rules.py, and those that
need the number of hosts in parallel.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import ClassVar

from pydantic import ValidationError

from mindie_deploy.cluster.check_settings import CheckSettings
from mindie_deploy.cluster.cross_rules import cross_problems
from mindie_deploy.cluster.deployment_settings import DeploymentSettings, ImageSettings
from mindie_deploy.cluster.feature_settings import FeatureSettings
from mindie_deploy.cluster.host_settings import ContainerSettings, EnvironmentSettings, HardwareSettings
from mindie_deploy.cluster.problems import SettingProblem, SettingsError, shown
from mindie_deploy.cluster.run_settings import RunSettings
from mindie_deploy.cluster.schema import PREFIX, SettingGroup, rule_text
from mindie_deploy.cluster.serving_settings import (
    MemorySettings,
    ParallelSettings,
    SchedulingSettings,
    ServerSettings,
    TokenSettings,
)
from mindie_deploy.cluster.weights_settings import WeightsSettings
from mindie_deploy.plain import plain

__all__ = ["GROUPS", "HOST_VARIABLES", "INTERNAL_VARIABLES", "SettingProblem", "Settings", "SettingsError"]

# Variables of our own playbooks, which are not settings. Those that begin with INTERNAL_PREFIX are ignored as well.
INTERNAL_VARIABLES = frozenset(
    PREFIX + name
    for name in ("settings", "hosts", "run", "member", "read", "rendered", "observed", "gang", "waited", "logs")
)
INTERNAL_PREFIX = "mindie_deploy_"
# Variables that may differ from host to host.
HOST_VARIABLES = frozenset({"mindie_host_address", "mindie_weights_address"})

GROUPS: tuple[type[SettingGroup], ...] = (
    DeploymentSettings,
    WeightsSettings,
    ImageSettings,
    HardwareSettings,
    ParallelSettings,
    MemorySettings,
    TokenSettings,
    SchedulingSettings,
    ServerSettings,
    FeatureSettings,
    ContainerSettings,
    EnvironmentSettings,
    RunSettings,
    CheckSettings,
)


class Settings(
    DeploymentSettings,
    WeightsSettings,
    ImageSettings,
    HardwareSettings,
    ParallelSettings,
    MemorySettings,
    TokenSettings,
    SchedulingSettings,
    ServerSettings,
    FeatureSettings,
    ContainerSettings,
    EnvironmentSettings,
    RunSettings,
    CheckSettings,
):
    """Every setting. Use from_variables for anything that a user wrote: only there all rules are checked."""

    TITLE: ClassVar[str] = "All settings"

    @classmethod
    def from_variables(cls, variables: Mapping[str, object]) -> Settings:
        """Reads the settings from all variables of a deployment; names without the prefix are ignored.

        Raises SettingsError with every problem: unknown names (with the nearest known one), wrong types, values out
        of range, and values that contradict one another.
        """
        given: dict[str, object] = {}
        problems: list[SettingProblem] = []
        for name, value in variables.items():
            if not isinstance(name, str) or not name.startswith(PREFIX) or _internal(name):
                continue
            attribute = name[len(PREFIX) :]
            if attribute in cls.model_fields:
                given[attribute] = plain(value)
            else:
                problems.append(SettingProblem(str(name), plain(value), _unknown(attribute, cls.model_fields)))
        settings: Settings | None = None
        try:
            settings = cls.model_validate(given)
        except ValidationError as error:
            problems += _translate(error)
        if settings is not None:
            problems += cross_problems(settings)
        if settings is None or problems:
            raise SettingsError(problems)
        return settings

    @classmethod
    def from_host_variables(cls, variables: Mapping[str, Mapping[str, object]]) -> Settings:
        """Like from_variables for the variables of every host: {host: {variable: value}}.

        A setting that differs between hosts is a problem: the members of one deployment share one configuration.
        """
        problems: list[SettingProblem] = []
        hosts = list(variables)
        names = {name for values in variables.values() for name in values if name.startswith(PREFIX)}
        for name in sorted(names):
            if _internal(name):
                continue
            values = {host: plain(variables[host].get(name)) for host in hosts}
            if any(not _same(value, values[hosts[0]]) for value in values.values()):
                attribute = name[len(PREFIX) :]
                told = "; ".join(
                    f"{host}: {shown(_told(attribute, value)) if name in variables[host] else 'not set'}"
                    for host, value in values.items()
                )
                rule = f"must be the same on all hosts, is {told}"
                problems.append(SettingProblem(name, _told(attribute, values[hosts[0]]), rule))
        if problems:
            raise SettingsError(problems)
        return cls.from_variables(variables[hosts[0]] if hosts else {})

    def to_variables(self) -> dict[str, object]:
        """Returns the settings under their Ansible names."""
        return {PREFIX + name: value for name, value in self.model_dump().items()}


def with_secrets(dumped: Mapping[str, object], variables: Mapping[str, object]) -> dict[str, object]:
    """Returns a dump of settings with the secret ones, which no dump has, from the variables (templated) of a host.

    What is returned goes into no result and no record. Raises SettingsError for a secret that breaks its rule.
    """
    names = [name for name, field in Settings.model_fields.items() if field.exclude]
    given = {PREFIX + name: variables[PREFIX + name] for name in names if PREFIX + name in variables}
    settings = Settings.from_variables(given)
    return {**dumped, **{name: getattr(settings, name) for name in names}}


def _internal(name: str) -> bool:
    return name in INTERNAL_VARIABLES or name in HOST_VARIABLES or name.startswith(INTERNAL_PREFIX)


def _same(one: object, other: object) -> bool:
    both_nan = one != one and other != other  # what is no number equals not even itself
    return type(one) is type(other) and (one == other or both_nan)


def _unknown(attribute: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(attribute, known, n=1, cutoff=0.6)
    return f"there is no such setting; did you mean {PREFIX}{near[0]}?" if near else "there is no such setting"


def _translate(error: ValidationError) -> list[SettingProblem]:
    """Turns pydantic's errors into ours: one a setting, with its rule and, where it is a slip of YAML, the cure."""
    found: dict[str, SettingProblem] = {}
    for detail in error.errors(include_url=False):
        name = str(detail["loc"][0]) if detail["loc"] else ""
        if name in found:
            continue  # a union reports one error for each of its types
        field = Settings.model_fields[name]
        if detail["type"] == "value_error":
            found[name] = SettingProblem(PREFIX + name, _told(name, detail["input"]), str(detail["ctx"]["error"]))
            continue
        inner = ".".join(str(part) for part in detail["loc"][1:] if not _type_name(part))
        where = f" (at {inner})" if inner else ""
        rule = f"must be {rule_text(field)}{where}{_hint(detail['input'], rule_text(field))}"
        found[name] = SettingProblem(PREFIX + name, _hidden(name, detail["input"]), rule)
    return list(found.values())


def _told(name: str, value: object) -> object:
    """What a message shows of a value: of the environment only the names, since a value may be a secret."""
    return sorted(map(str, value)) if name == "environment" and isinstance(value, Mapping) else _hidden(name, value)


def _hidden(name: str, value: object) -> object:
    field = Settings.model_fields.get(name)
    return "(not shown)" if value and field is not None and field.exclude else value


def _type_name(part: object) -> bool:
    """Whether a step of pydantic's path names a type of a union or a dictionary's key, not a place."""
    return part in ("str", "int", "[key]") or (isinstance(part, str) and part.startswith("function-"))


def _hint(value: object, rule: str) -> str:
    if value is None:
        return "; remove the line for the default"
    wants_number = "number" in rule or "unset" in rule or rule.startswith("one of 1")
    if isinstance(value, bool):
        return f"; {shown(value)} is a yes-or-no value" if rule != "true or false" else ""
    if isinstance(value, str) and wants_number and value.strip().lstrip("+-").replace(".", "", 1).isdigit():
        return "; it is written as text: remove the quotes"
    if isinstance(value, str) and rule == "true or false":
        return "; write true or false without quotes (in an INI inventory: True or False)"
    if isinstance(value, float) and wants_number and value.is_integer():
        return f"; write {int(value)}"
    if isinstance(value, int | float) and rule.startswith(("text", "an absolute", "1 to", '"', "a size")):
        return "; write it in quotes"
    return ""

"""From variables to settings that hold: every rule of ours and of MindIE's that can be checked without a host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mindie_deploy.cluster.hosts import Host, hosts_in_rank_order
from mindie_deploy.cluster.parallel import validate
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.mindie.config import config


def validated(names: Sequence[str], variables: Mapping[str, Mapping[str, object]]) -> tuple[Settings, tuple[Host, ...]]:
    """Returns the settings and the hosts in rank order, from {host: {variable: value}} for the hosts `names`.

    Raises SettingsError with all problems of the first step that has any: values, rules between them and with the
    number of hosts, what overrides make of config.json; UsageError for hosts that cannot be told apart or reached.
    """
    settings = Settings.from_host_variables(variables)
    hosts = hosts_in_rank_order(names, variables)
    validate(settings, hosts)
    config(settings, hosts)
    return settings, hosts

# SPDX-License-Identifier: Apache-2.0
"""Action mindie_questions: finds from what all hosts said in the first round trip what they can ask one another."""

from __future__ import annotations

import secrets

from ansible.plugins.action import ActionBase

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.facts import HostFacts
from mindie_deploy.hosts.questions import listened
from mindie_deploy.hosts.targets import targets
from mindie_deploy.plain import plain
from mindie_deploy.preflight.gathered import facts_of
from mindie_deploy.preflight.saved import hosts_playing


class ActionModule(ActionBase):
    """Runs on the controller only.

    Returns `targets` by host (none: there is nothing to ask), the ports to `listen` on by host, and the `word` that
    listeners say.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = Settings.model_validate(plain(task_vars["mindie_settings"]))
        hosts = hosts_playing(plain(task_vars["mindie_hosts"]), set(task_vars["ansible_play_hosts_all"]))
        found = targets(hosts, self._facts(hosts, settings, task_vars["hostvars"]), settings)
        result["targets"] = found
        result["listen"] = {name: ports for name, target in found.items() if (ports := listened(target))}
        result["word"] = secrets.token_hex(8)
        result["changed"] = False
        return result

    @staticmethod
    def _facts(hosts, settings, hostvars):
        """Returns the facts of the hosts that answered."""
        if len(hosts) < 2 or (settings.check_pings == "off" and not settings.check_ports):
            return {}
        said = {host.name: plain(hostvars[host.name].get("preflight_collection") or {}) for host in hosts}
        facts = {name: facts_of(name, collected, settings) for name, collected in said.items()}
        return {name: host for name, host in facts.items() if isinstance(host, HostFacts)}

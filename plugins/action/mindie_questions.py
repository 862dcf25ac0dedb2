# SPDX-License-Identifier: Apache-2.0
"""Action mindie_questions: plans the second round trip from what all hosts said in the first."""

from __future__ import annotations

import secrets

from ansible.plugins.action import ActionBase

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.facts import HostFacts
from mindie_deploy.hosts.questions import questions
from mindie_deploy.plain import plain
from mindie_deploy.preflight.gathered import facts_of


class ActionModule(ActionBase):
    """Runs on the controller only. Returns `hosts`: what to do on each, for those that have something to do."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = Settings.model_validate(plain(task_vars["mindie_settings"]))
        playing = set(task_vars["ansible_play_hosts_all"])
        hosts = [Host(**host) for host in plain(task_vars["mindie_hosts"]) if host["name"] in playing]
        facts = {}
        if len(hosts) > 1 and (settings.check_pings != "off" or settings.check_ports):
            for host in hosts:
                collected = plain(task_vars["hostvars"][host.name].get("preflight_collection") or {})
                found = facts_of(host.name, collected, settings)
                if isinstance(found, HostFacts):
                    facts[host.name] = found
        result["hosts"] = questions(hosts, facts, settings, secrets.token_hex(8))
        result["changed"] = False
        return result

# SPDX-License-Identifier: Apache-2.0
"""Action mindie_judge: judges what all hosts said and prints the findings."""

from __future__ import annotations

import os

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.plain import plain
from mindie_deploy.preflight.context import local_paths
from mindie_deploy.preflight.gathered import facts_of
from mindie_deploy.preflight.judge import judge

display = Display()


def answers_of(name, hostvars, settings):
    """Returns the facts of a host from its registered answers, or why there are none."""
    said = hostvars[name]
    reached = plain(said.get("preflight_reach") or {})
    reached["refused"] = plain((said.get("preflight_listener") or {}).get("refused") or {})
    return facts_of(
        name,
        plain(said.get("preflight_collection") or {}),
        settings,
        reached if "asked" in reached or "msg" in reached else None,
    )


class ActionModule(ActionBase):
    """Runs on the controller only."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = Settings.model_validate(plain(task_vars["mindie_settings"]))
        playing = set(task_vars["ansible_play_hosts_all"])
        hosts = [Host(**host) for host in plain(task_vars["mindie_hosts"]) if host["name"] in playing]
        facts = {host.name: answers_of(host.name, task_vars["hostvars"], settings) for host in hosts}
        absent = [path for path in local_paths(settings) if not os.access(path, os.R_OK)]
        report = judge(hosts, facts, settings, absent=absent)
        result["report"] = report.to_dict()
        display.display(report.to_text())
        result["changed"] = False
        return result

# SPDX-License-Identifier: Apache-2.0
"""Action mindie_judge: judges what all hosts said and prints the findings."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.read import read
from mindie_deploy.plain import plain
from mindie_deploy.preflight.finding import Unreachable
from mindie_deploy.preflight.judge import judge

display = Display()


def facts_of(name, hostvars, settings):
    """Returns the HostFacts of a host from its registered collection, or why there are none."""
    collected = plain(hostvars[name].get("preflight_collection") or {})
    if "collection" in collected:
        return read(
            name,
            collected["collection"],
            settings,
            requested_at=collected.get("requested_at"),
            answered_at=collected.get("answered_at"),
        )
    reason = str(collected.get("msg") or collected.get("module_stderr") or "nothing was collected")
    return Unreachable(reason=reason.strip(), kind=kind_of(reason))


def kind_of(reason):
    """Tells from ssh's words why a host could not be reached."""
    words = reason.lower()
    if "host key verification failed" in words or "identification has changed" in words:
        return "host-key"
    if "permission denied" in words or "authentication" in words or "bad permissions" in words:
        return "authentication"
    if "timed out" in words or "no route" in words or "refused" in words or "unreachable" in words:
        return "timeout"
    return "other"


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
        facts = {host.name: facts_of(host.name, task_vars["hostvars"], settings) for host in hosts}
        report = judge(hosts, facts, settings)
        result["report"] = report.to_dict()
        display.display(report.to_text())
        result["changed"] = False
        return result

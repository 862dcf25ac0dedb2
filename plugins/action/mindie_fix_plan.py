# SPDX-License-Identifier: Apache-2.0
"""Action mindie_fix_plan: judges what all hosts said, and prints what would mend the findings."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.errors import UsageError
from mindie_deploy.hosts.facts import HostFacts
from mindie_deploy.plain import plain
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.fix_plan import places, plan
from mindie_deploy.preflight.gathered import facts_of
from mindie_deploy.preflight.judge import judge
from mindie_deploy.preflight.saved import hosts_playing, not_playing

display = Display()


class ActionModule(ActionBase):
    """Runs on the controller only.

    `ids` are the checks whose findings are to be mended (a list, or a text with commas), `hosts` those that may be
    changed. Returns the `plan`, the `report` that it was made from, the `hosts`, and the `places` of every host whose
    facts are known.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = Settings.model_validate(plain(task_vars["mindie_settings"]))
        members, playing = plain(task_vars["mindie_hosts"]), set(task_vars["ansible_play_hosts_all"])
        hosts, left_out = hosts_playing(members, playing), not_playing(members, playing)
        given = plain(self._task.args.get("ids") or [])
        ids = [word.strip() for word in (given.split(",") if isinstance(given, str) else given) if word.strip()]
        only = [host.name for host in hosts if host.name in plain(self._task.args["hosts"])]
        said = {host.name: plain(task_vars["hostvars"][host.name].get("preflight_collection") or {}) for host in hosts}
        facts = {name: facts_of(name, collected, settings) for name, collected in said.items()}
        report = judge(hosts, facts, settings, left_out=left_out)
        try:
            found = plan(report.findings, facts, Context(settings, hosts, left_out=left_out), ids, only)
        except UsageError as error:
            raise AnsibleActionFail(str(error)) from error
        display.display(found.to_text())
        where = {name: places(told).to_dict() for name, told in facts.items() if isinstance(told, HostFacts)}
        result.update(plan=found.to_dict(), report=report.to_dict(), hosts=only, places=where, changed=False)
        return result

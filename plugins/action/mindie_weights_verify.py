# SPDX-License-Identifier: Apache-2.0
"""Action mindie_weights_verify: compares what the scans of all hosts said with the manifest; fails when it differs.

Arguments: `mode` (stat, sample or full, what the scans did) and `source` (the setting weights_source, for remedies). It
reads what was registered as weights_read, else as weights_seen, and returns the `report`.
"""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.errors import MindieDeployError
from mindie_deploy.plain import plain
from mindie_deploy.weights.remembered import latest_scan
from mindie_deploy.weights.source import parse_source
from mindie_deploy.weights.verify import verify
from mindie_deploy.weights.verify_text import verdict, verify_text

display = Display()


class ActionModule(ActionBase):
    """Runs on the controller only, once for all hosts."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = plain(self._task.args)
        playing = set(task_vars["ansible_play_hosts"])
        names = [host["name"] for host in plain(task_vars["mindie_hosts"]) if host["name"] in playing]
        try:
            source = parse_source(str(arguments.get("source") or ""))
            hostvars = task_vars["hostvars"]
            scans = {name: latest_scan(hostvars[name], ("weights_read", "weights_seen"), name) for name in names}
            report = verify(scans, source, arguments["mode"])
        except MindieDeployError as error:
            return {**result, "failed": True, "msg": str(error)}
        display.display(verify_text(report))
        outcome = {"changed": False, "failed": bool(report.blocking), "msg": verdict(report)}
        return {**result, **outcome, "report": report.to_dict()}

"""An action plugin that answers what the file $STUB_SCENARIO says: {action: {host or "*": result}}.

A result may have "progress" (lines for the launcher), "sleep" (s), and "raise" (fails like ssh does).
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        scenario = json.loads(Path(os.environ["STUB_SCENARIO"]).read_text())
        answers = scenario.get(self._task.action, {})
        if self._task.check_mode and f"{self._task.action} (check)" in scenario:
            answers = scenario[f"{self._task.action} (check)"]
        told = json.dumps(answers.get(task_vars["inventory_hostname"], answers.get("*", {})))
        answer = json.loads(told.replace("$RUN_ID", str(task_vars.get("mindie_deploy_run_id"))))
        for line in answer.pop("progress", ()):
            line = {"host": task_vars["inventory_hostname"], **line}
            Display().display("mindie-deploy: " + json.dumps(line))
        time.sleep(answer.pop("sleep", 0))
        if task_vars.get("mindie_deploy_break_lock") and "broken" in answer:
            answer = answer["broken"]
        if task_vars.get("mindie_deploy_release_run") and "released" in answer:
            answer = answer["released"]
        answer.pop("broken", None)
        answer.pop("released", None)
        if "raise" in answer:
            raise AnsibleConnectionFailure(answer["raise"])
        if answer.pop("echo_variables", False):
            keys = ("mindie_deploy_run_id", "mindie_deploy_owner", "mindie_deploy_extra")
            answer["seen"] = {key: task_vars.get(key) for key in keys}
        return {**result, **answer}

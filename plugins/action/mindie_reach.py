# SPDX-License-Identifier: Apache-2.0
"""Action mindie_reach: lets a host ping others and try their ports, in one round trip."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.questions import questions
from mindie_deploy.plain import plain


class ActionModule(ActionBase):
    """Returns the collection together with what was asked: the answers mean nothing without it."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = Settings.model_validate(plain(task_vars["mindie_settings"]))
        arguments = plain(self._task.args)
        planned = questions(task_vars["inventory_hostname"], arguments["targets"], settings, arguments["word"])
        wanted = planned["collect"]
        if wanted["items"]:
            result.update(self._execute_module(module_name="mindie_collect", module_args=wanted, task_vars=task_vars))
        else:
            result["collection"] = {"items": {}}
        result["asked"] = planned["asked"]
        result["changed"] = False
        return result

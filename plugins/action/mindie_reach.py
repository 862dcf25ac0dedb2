# SPDX-License-Identifier: Apache-2.0
"""Action mindie_reach: lets a host try ports of others, or its NPUs ping theirs, in one round trip."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.questions import questions
from mindie_deploy.plain import plain


class ActionModule(ActionBase):
    """Returns the collection together with what was asked: the answers mean nothing without it.

    `ask` says what: "ports" or "pings". `earlier` is what the other one returned, whose answers are added.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = Settings.model_validate(plain(task_vars["mindie_settings"]))
        arguments = plain(self._task.args)
        planned = questions(task_vars["inventory_hostname"], arguments["targets"], settings, arguments["word"])
        wanted = planned[arguments["ask"]]
        if wanted["items"]:
            result.update(self._execute_module(module_name="mindie_collect", module_args=wanted, task_vars=task_vars))
        else:
            result["collection"] = {"items": {}}
        earlier = (arguments.get("earlier") or {}).get("collection") or {}
        if "collection" in result:
            result["collection"]["items"].update(earlier.get("items") or {})
        result["asked"] = planned["asked"]
        result["changed"] = False
        return result

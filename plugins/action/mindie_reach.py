# SPDX-License-Identifier: Apache-2.0
"""Action mindie_reach: asks a host what mindie_questions planned for it, in one round trip."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from mindie_deploy.plain import plain


class ActionModule(ActionBase):
    """Returns the collection together with what was asked: the answers mean nothing without it."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        questions = plain(self._task.args["questions"])
        result.update(
            self._execute_module(module_name="mindie_collect", module_args=questions["collect"], task_vars=task_vars)
        )
        result["asked"] = questions["asked"]
        result["changed"] = False
        return result

# SPDX-License-Identifier: Apache-2.0
"""Action mindie_facts: collects everything about a host in one round trip."""

from __future__ import annotations

import time

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.collection import specification
from mindie_deploy.plain import plain


class ActionModule(ActionBase):
    """Sends the list of what to read; the host returns raw text, judged later on the controller."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = Settings.model_validate(plain(task_vars["mindie_settings"]))
        requested_at = time.time()
        result.update(self._answer(specification(settings), task_vars))
        result["requested_at"], result["answered_at"] = requested_at, time.time()
        result["changed"] = False
        return result

    def _answer(self, wanted, task_vars):
        """Returns what the host says; raises AnsibleConnectionFailure with ssh's own words when it says nothing."""
        try:
            return self._execute_module(module_name="mindie_collect", module_args=wanted, task_vars=task_vars)
        except AnsibleConnectionFailure as failure:
            # ssh that ends while Ansible still sends it the module leaves no reason: no server and a wrong key both
            # read "could not be sent". A command that sends nothing shows it, by failing or by coming through.
            if not str(failure).rstrip().lower().endswith("over ssh."):
                raise
            self._connection.exec_command("true", in_data=None, sudoable=False)
            return self._execute_module(module_name="mindie_collect", module_args=wanted, task_vars=task_vars)

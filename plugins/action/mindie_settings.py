# SPDX-License-Identifier: Apache-2.0
"""Action mindie_settings: reads the deployment's variables, validates them and puts the hosts in rank order."""

from __future__ import annotations

import getpass
import socket
import time
import uuid

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from mindie_deploy.cluster.names import container_name
from mindie_deploy.cluster.parallel import require_sources
from mindie_deploy.cluster.problems import SettingProblem, SettingsError
from mindie_deploy.cluster.settings import INTERNAL_VARIABLES
from mindie_deploy.errors import UsageError
from mindie_deploy.mindie.container import deployment_directory
from mindie_deploy.mindie.validated import validated
from mindie_deploy.plain import plain

GROUP = "mindie"


class ActionModule(ActionBase):
    """Runs on the controller only; no host is touched."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        names = list((task_vars.get("groups") or {}).get(GROUP) or [])
        if not names:
            raise AnsibleActionFail(
                f"the inventory has no host in the group {GROUP}; list the Atlas hosts there, the leader first"
            )
        try:
            variables = {name: self._variables_of(name, task_vars) for name in names}
            settings, hosts = validated(names, variables)
            require_sources(settings, list((task_vars.get("groups") or {}).get("all") or names))
        except UsageError as error:
            problems = error.problems if isinstance(error, SettingsError) else []
            wrong = list(dict.fromkeys(problem.setting for problem in problems))
            raise AnsibleActionFail(str(error), result={"wrong_settings": wrong}) from error
        result["settings"] = settings.model_dump(mode="json")
        result["member"] = {"container": container_name(settings), "directory": deployment_directory(settings)}
        result["run"] = self._run_of(task_vars)
        result["hosts"] = [
            {
                "name": host.name,
                "address": host.address,
                "rank": host.rank,
                "weights_address": host.weights_address or host.address,
            }
            for host in hosts
        ]
        return result

    @staticmethod
    def _run_of(task_vars):
        """Who runs this, for the lock: told by the launcher, or made here for a plain ansible-playbook."""
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        return {
            "id": str(task_vars.get("mindie_deploy_run_id") or f"{stamp}-{uuid.uuid4().hex[:8]}"),
            "owner": str(task_vars.get("mindie_deploy_owner") or f"{getpass.getuser()}@{socket.gethostname()}"),
            "process": str(task_vars.get("mindie_deploy_process") or ""),
            "reason": str(task_vars.get("mindie_deploy_reason") or "ansible-playbook"),
        }

    def _variables_of(self, host, task_vars):
        """The variables of one host that settings may come from, templated."""
        of_host = task_vars["hostvars"][host]
        found, problems = {}, []
        for name in of_host:
            ours = (
                name.startswith("mindie_") and name not in INTERNAL_VARIABLES and not name.startswith("mindie_deploy_")
            )
            if not ours and name != "ansible_host":
                continue
            try:
                found[name] = plain(of_host[name])
            except AnsibleError as error:
                written = plain(task_vars["hostvars"].raw_get(host).get(name))
                problems.append(SettingProblem(name, written, f"has no value on {host}: {error}"))
        if problems:
            raise SettingsError(problems)
        return found

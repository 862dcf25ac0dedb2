# SPDX-License-Identifier: Apache-2.0
"""Action mindie_render: makes the files and the container of every host from the settings and the facts."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.errors import MindieDeployError
from mindie_deploy.hosts.facts import ImageFacts
from mindie_deploy.hosts.read import read
from mindie_deploy.mindie.container import deployment_directory
from mindie_deploy.mindie.from_facts import render_from_facts
from mindie_deploy.mindie.shadow import shadow_changes, shadow_directory
from mindie_deploy.plain import plain


class ActionModule(ActionBase):
    """Runs on the controller only; mindie_files writes what it returns."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = Settings.model_validate(plain(task_vars["mindie_settings"]))
        hosts = [Host(**host) for host in plain(task_vars["mindie_hosts"])]
        facts = {host.name: self._facts_of(host.name, task_vars["hostvars"], settings) for host in hosts}
        try:
            rendered, warning = render_from_facts(settings, hosts, facts, self._image_id(task_vars, facts))
        except MindieDeployError as error:
            raise AnsibleActionFail(str(error)) from error
        if warning:
            result["warnings"] = [warning]
        user, _, group = settings.container_user.partition(":")
        result["changed"] = False
        result["digest"] = rendered.digest
        result["directory"] = deployment_directory(settings)
        result["owner"], result["group"] = int(user), int(group or user)
        result["shadow"] = {"directory": shadow_directory(settings), "changes": shadow_changes(settings)}
        result["hosts"] = {
            host.name: {"files": rendered.files(host.name), "container": rendered.container(host.name)}
            for host in hosts
        }
        return result

    @staticmethod
    def _facts_of(name, hostvars, settings):
        collected = plain(hostvars[name].get("preflight_collection") or {})
        if "collection" not in collected:
            raise AnsibleActionFail(
                f"there are no facts of {name}, and a rank table needs those of every host: "
                f"{collected.get('msg') or 'it was not asked (was there a --limit?)'}"
            )
        return read(name, collected["collection"], settings)

    @staticmethod
    def _image_id(task_vars, facts):
        """The image's id, from where it was just loaded or from the facts; "" before it is on a host."""
        for name, one in facts.items():
            for registered in ("image_loaded", "image_found"):
                image = plain(task_vars["hostvars"][name].get(registered) or {}).get("image")
                if image:
                    return image["id"]
            if isinstance(one.image, ImageFacts):
                return one.image.id
        return ""

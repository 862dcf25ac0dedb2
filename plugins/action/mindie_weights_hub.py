# SPDX-License-Identifier: Apache-2.0
"""Action mindie_weights_hub: looks at weights on a hub or a web server, from the controller, once for all hosts.

Returns what mindie_weights_scan returns of a directory, and `urls`, by name. Where all hosts have what an earlier sync
brought from the same source and revision, the hub is not asked, unless `look_again` is true.
"""

from __future__ import annotations

from dataclasses import replace

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.cluster.settings import with_secrets
from mindie_deploy.errors import MindieDeployError
from mindie_deploy.plain import plain
from mindie_deploy.remote.hub_client import HubClient
from mindie_deploy.weights.hub import parse_hub_source, prove, read_hub
from mindie_deploy.weights.hub_facts import hub_scan
from mindie_deploy.weights.model import blocking, judge_model
from mindie_deploy.weights.remembered import asked_for, known_everywhere, scan_result
from mindie_deploy.weights.scan import FoundFile, read_scan

display = Display()


class ActionModule(ActionBase):
    """Runs on the controller only."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = with_secrets(
            plain(task_vars["mindie_settings"]), task_vars["hostvars"][task_vars["inventory_hostname"]]
        )
        asked = asked_for(settings["weights_source"], settings["weights_revision"])
        try:
            if not plain(self._task.args).get("look_again"):
                results = {
                    name: plain(task_vars["hostvars"][name]["weights_seen"]) for name in task_vars["ansible_play_hosts"]
                }
                known = known_everywhere(results, {name: read_scan(one) for name, one in results.items()}, asked)
                if known is not None:
                    return {**result, "changed": False, "urls": {}, "asked": asked, **scan_result(known)}
            return {**result, "changed": False, "asked": asked, **looked(settings)}
        except MindieDeployError as error:
            return {**result, "failed": True, "msg": str(error)}


def looked(settings):
    """Returns the repository as a scan. What may not be served is judged by the caller, before small files are read."""
    source = parse_hub_source(
        settings["weights_source"], settings["weights_revision"], settings["weights_hub_endpoint"]
    )
    with HubClient(
        source,
        token=settings["weights_hub_token"],
        proxy=settings["weights_proxy"],
        ca_file=settings["weights_hub_ca_file"],
    ) as web:
        model = read_hub(source, web)
        scan = hub_scan(model)
        if not blocking(judge_model(scan)):
            files = {one.name: FoundFile(one.name, one.size, one.sha256) for one in prove(model, web).files}
            scan = replace(scan, files=files)
    if not model.pinned:
        display.warning(
            f"{model.source.label}: the hub does not tell which commit this is; what comes is proven anyway"
        )
    return {"urls": {file.name: file.url for file in model.files}, **scan_result(scan)}

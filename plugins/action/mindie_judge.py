# SPDX-License-Identifier: Apache-2.0
"""Action mindie_judge: judges what all hosts said and prints the findings."""

from __future__ import annotations

import json
import os
import time
from importlib import metadata
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.mindie.versions import model_types
from mindie_deploy.plain import plain
from mindie_deploy.preflight.context import local_paths
from mindie_deploy.preflight.saved import Saved, answers_of, hosts_playing, not_playing
from mindie_deploy.runs.scrub_json import scrub_document
from mindie_deploy.runs.whole_file import write_whole

display = Display()


def save(documents, directory):
    """Writes the documents without what looks like a secret, each beside its place and then renamed.

    They are readable by their owner only.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, document in documents.items():
        write_whole(directory / name, json.dumps(scrub_document(document), indent=1).encode(), 0o600)


class ActionModule(ActionBase):
    """Runs on the controller only. `save_to` is a directory for what the hosts said, to be judged again elsewhere."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = Settings.model_validate(plain(task_vars["mindie_settings"]))
        members, playing = plain(task_vars["mindie_hosts"]), set(task_vars["ansible_play_hosts_all"])
        hosts = hosts_playing(members, playing)
        saved = Saved(
            settings=settings,
            hosts=hosts,
            answers={host.name: plain(answers_of(task_vars["hostvars"][host.name])) for host in hosts},
            absent=tuple(path for path in local_paths(settings) if not os.access(path, os.R_OK)),
            model_types=tuple(sorted(model_types(settings.version, settings.image))),
            asked_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            version=metadata.version("mindie-deploy"),
            left_out=not_playing(members, playing),
        )
        report = saved.report()
        directory = self._task.args.get("save_to")
        if directory:
            try:
                save(saved.documents(), Path(directory))
            except OSError as error:
                raise AnsibleError(f"what the hosts said cannot be saved: {error}") from error
        result["report"] = report.to_dict()
        display.display(report.to_text())
        result["changed"] = False
        return result

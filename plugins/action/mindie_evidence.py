# SPDX-License-Identifier: Apache-2.0
"""Action mindie_evidence: reads what explains a failure on a host, and writes it to files on the controller."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.action import ActionBase

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.evidence import evidence
from mindie_deploy.plain import plain


def text_of(item):
    """Returns what is worth keeping of an item, or why there is nothing."""
    parts = [item.get("text"), item.get("stdout"), item.get("stderr")]
    text = "".join(part for part in parts if isinstance(part, str))
    problem = item.get("error") or ("" if item.get("exists", True) else "it does not exist")
    if item.get("status"):
        problem = problem or f"the command ended with status {item['status']}"
    return text + (f"\n[{problem}]\n" if problem else "") + ("\n[cut off]\n" if item.get("truncated") else "")


class ActionModule(ActionBase):
    """`directory` gets a directory for the host with a file for each item."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = Settings.model_validate(plain(task_vars["mindie_settings"]))
        ranks = {host["name"]: host["rank"] for host in plain(task_vars["mindie_hosts"])}
        told = self._execute_module(module_name="mindie_collect", module_args=evidence(settings), task_vars=task_vars)
        items = plain((told.pop("collection", None) or {}).get("items") or {})
        result.update(told)
        name = task_vars["inventory_hostname"]
        place = Path(self._task.args["directory"]) / f"host-{ranks.get(name, 0):03d}"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for key, item in {**items, "host": {"text": f"{name}\n"}}.items():
            path = place / key
            path.touch(mode=0o600)
            path.write_text(text_of(item), encoding="utf-8")
        result["changed"] = False
        return result

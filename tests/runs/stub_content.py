"""A small content directory (playbooks and actions) for tests of the launcher: what hosts answer is a dictionary."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

ACTIONS = (
    "mindie_settings",
    "mindie_judge",
    "mindie_files",
    "mindie_container",
    "mindie_wait",
    "mindie_status",
    "mindie_lock",
    "mindie_weights_plan",
    "mindie_weights_scan",
    "mindie_weights_verify",
    "mindie_fix_plan",
    "mindie_fix",
)
PLAYBOOKS: Mapping[str, Sequence[str]] = {
    "check": ("mindie_settings", "mindie_judge"),
    "collect": ("mindie_settings", "mindie_judge"),
    "deploy": ("mindie_settings", "mindie_judge", "mindie_lock", "mindie_files", "mindie_container", "mindie_wait"),
    "sync": ("mindie_settings", "mindie_weights_plan"),
    "weights_verify": ("mindie_settings", "mindie_weights_scan", "mindie_weights_verify"),
    "stop": ("mindie_settings", "mindie_lock", "mindie_container"),
    "status": ("mindie_settings", "mindie_status"),
    "lock": ("mindie_settings", "mindie_lock"),
    "fix": ("mindie_settings", "mindie_fix_plan", "mindie_lock", "mindie_fix"),
}
ONCE = ("mindie_settings", "mindie_judge", "mindie_fix_plan", "mindie_weights_verify")


class StubContent:
    """The directory, the scenario of what actions answer, and an inventory of local hosts."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.scenario: dict[str, Any] = {}
        actions, playbooks = directory / "plugins" / "action", directory / "playbooks"
        for folder in (actions, playbooks, directory / "roles"):
            folder.mkdir(parents=True)
        for action in ACTIONS:
            shutil.copy(Path(__file__).with_name("stub_action.py"), actions / f"{action}.py")
        (directory / "ansible.cfg").write_text("[defaults]\ncallback_result_format = yaml\n")
        for name, tasks in PLAYBOOKS.items():
            self.write_playbook(
                name,
                [
                    {
                        "name": f"Do {task}",
                        task: None,
                        "run_once": task in ONCE,
                        "tags": ["always"] if task == "mindie_settings" else [],
                    }
                    for task in tasks
                ],
            )
        self._scenario_file = directory / "scenario.json"
        self.answer({})
        monkeypatch.setenv("STUB_SCENARIO", str(self._scenario_file))
        for module in ("environment", "runner"):
            monkeypatch.setattr(f"mindie_deploy.runs.{module}.content_directory", lambda: directory)

    def write_playbook(self, name: str, tasks: Sequence[Mapping[str, Any]], **play: Any) -> Path:
        """Writes playbooks/<name>.yml with one play."""
        path = self.directory / "playbooks" / f"{name}.yml"
        whole = {"name": name, "hosts": "mindie", "gather_facts": False, "tasks": list(tasks), **play}
        path.write_text(yaml.safe_dump([whole], sort_keys=False))
        return path

    def answer(self, scenario: Mapping[str, Any]) -> None:
        """Sets what the actions answer: {action: {host or "*": result}}."""
        self.scenario = dict(scenario)
        self._scenario_file.write_text(json.dumps(self.scenario))

    def inventory(
        self, hosts: int = 2, settings: Mapping[str, Any] | None = None, *, leader: str = "", **variables: Any
    ) -> Path:
        """Writes an inventory directory of hosts that are this machine. Returns its path."""
        directory = self.directory / "inventory"
        (directory / "group_vars").mkdir(parents=True, exist_ok=True)
        listed = {f"host{number}": {"ansible_host": f"192.0.2.{number}"} for number in range(1, hosts + 1)}
        if leader:
            listed["host1"]["ansible_host"] = leader
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            **variables,
        }
        document = {"all": {"children": {"mindie": {"hosts": listed, "vars": common}}}}
        (directory / "hosts.yml").write_text(yaml.safe_dump(document, sort_keys=False))
        sizes = {"mindie_data_parallel_size": hosts, "mindie_moe_expert_parallel_size": 8 * hosts}
        (directory / "group_vars" / "all.yml").write_text(
            yaml.safe_dump({**sizes, **(settings or {})}, sort_keys=False)
        )
        return directory

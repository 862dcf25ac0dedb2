# SPDX-License-Identifier: Apache-2.0
"""Action mindie_weights_plan: says what a sync of the weights must read, and then what each host needs.

With `stage: survey` (once for all hosts) it judges the model where it comes from and returns what must be hashed.
With `stage: plan` (on every host) it returns what this host needs. It reads what the scans registered as weights_seen
and weights_read (hosts), weights_source_seen and weights_source_read (source).
"""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.errors import MindieDeployError
from mindie_deploy.plain import plain
from mindie_deploy.weights.plan import size_text
from mindie_deploy.weights.remembered import SOURCE, asked_for, latest_scan, measured_rate
from mindie_deploy.weights.source import SourceKind, parse_source
from mindie_deploy.weights.summary import expectation
from mindie_deploy.weights.sync import Situation, decide, survey
from mindie_deploy.weights.together import union

display = Display()


class ActionModule(ActionBase):
    """Runs on the controller only."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = plain(self._task.args)
        try:
            situation = self._situation(arguments, task_vars)
            if arguments["stage"] == "survey":
                return {**result, **surveyed(situation, bool(arguments.get("everything")))}
            return {**result, **self._planned(situation, task_vars)}
        except MindieDeployError as error:
            # What is wrong concerns all hosts and ends the play; it is told once.
            if task_vars["inventory_hostname"] != task_vars["ansible_play_hosts"][0]:
                return {**result, "skipped": True, "msg": "see the first host"}
            return {**result, "failed": True, "msg": str(error)}

    def _situation(self, arguments, task_vars):
        source = parse_source(str(arguments.get("source") or ""))
        hostvars = task_vars["hostvars"]
        playing = set(task_vars["ansible_play_hosts"])
        names = [host["name"] for host in plain(task_vars["mindie_hosts"]) if host["name"] in playing]
        scans = {name: latest_scan(hostvars[name], ("weights_read", "weights_seen"), name) for name in names}
        source_scan = None
        if source.host in scans and source.path == scans[source.host].directory:
            source_scan = scans[source.host]
        elif source.kind is SourceKind.HOSTS:
            source_scan = union(scans)
        elif source.kind.on_the_web:
            source_scan = latest_scan(task_vars, ("weights_hub_seen",), source.label)
        elif source.kind is not SourceKind.NOTHING:
            source_scan = latest_scan(task_vars, ("weights_source_read", "weights_source_seen"), source.label)
        return Situation(source, source_scan, scans, bool(arguments.get("accept_changed_source")))

    def _planned(self, situation, task_vars):
        me = task_vars["inventory_hostname"]
        decisions = decide(situation, nothing_read=self._task.check_mode)
        mine = decisions[me]
        plan = {
            "summary": mine.summary(),
            "complete": mine.plan.complete,
            "fetch": list(mine.plan.fetch),
            "wrong": list(mine.plan.wrong),
            "unproven": list(mine.plan.unproven),
            "extra": list(mine.plan.extra),
            "fetch_bytes": mine.plan.fetch_bytes,
            "reuse_bytes": mine.plan.reuse_bytes,
            "files": mine.files,
            "total_bytes": mine.total_bytes,
            "digest": mine.manifest.digest if mine.manifest else None,
            "manifest": kept(mine.manifest, plain(task_vars["mindie_settings"])) if mine.manifest else None,
            "note": mine.note,
            "note_source": mine.note_source,
            "expected": expectation(
                max(one.plan.fetch_bytes - one.plan.reuse_bytes for one in decisions.values()),
                measured_rate(plain(task_vars["hostvars"][name]["weights_seen"]) for name in decisions),
            ),
            "transfer": any(decision.plan.fetch for decision in decisions.values()),
        }
        result = {"changed": False, "plan": plan, "msg": plan["summary"]}
        if self._task.check_mode:
            # A real run says changed where it copies; here nothing runs that could say so.
            result["changed"] = bool(plan["fetch"])
            result["diff"] = diff(situation.scans[me].directory, mine)
        return result


def surveyed(situation, everything):
    found = survey(situation, everything=everything)
    for problem in found.warnings:
        display.warning(f"[{problem.id}] {problem.message}; {problem.remedy}")
    return {
        "changed": False,
        "source": list(found.source),
        "hosts": {name: list(names) for name, names in found.hosts.items()},
        "reads": not found.nothing_to_read,
    }


def kept(manifest, settings):
    """Returns the manifest as hosts keep it, with where it came from."""
    return {**manifest.to_dict(), SOURCE: asked_for(settings["weights_source"], settings["weights_revision"])}


def diff(directory, decision):
    """Returns what would appear, as Ansible shows differences."""
    files = decision.manifest.by_name if decision.manifest else {}
    lines = []
    for name in decision.plan.fetch:
        size = f" ({size_text(files[name].size)})" if name in files else ""
        lines.append(f"{name}{size}{', instead of another content' if name in decision.plan.wrong else ''}\n")
    return {"before_header": directory, "after_header": directory, "before": "", "after": "".join(lines)}

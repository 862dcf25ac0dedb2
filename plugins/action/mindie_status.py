# SPDX-License-Identifier: Apache-2.0
"""Action mindie_status: what runs on a host right now, from one small collection and one look at the container."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from mindie_deploy.cluster.names import DEPLOYMENT_LABEL, container_name
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.collection import status_specification
from mindie_deploy.hosts.read import read_overview
from mindie_deploy.mindie.gang import STARTED_LINE, Member, member_from_observation
from mindie_deploy.plain import plain


class ActionModule(ActionBase):
    """Reads only."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        settings = Settings.model_validate(plain(task_vars["mindie_settings"]))
        hosts = plain(task_vars["mindie_hosts"])
        me = task_vars["inventory_hostname"]
        leader = hosts[0]
        observe = {
            "engine": settings.engine,
            "name": container_name(settings),
            "tail": int(self._task.args.get("tail") or 20),
            "wanted_line": STARTED_LINE,
        }
        if me == leader["name"]:
            observe["service_url"] = f"http://{leader['address']}:{settings.port}"
        seen = self._execute_module(module_name="mindie_observe", module_args=observe, task_vars=task_vars)
        if seen.get("failed") or seen.get("unreachable"):
            return {**result, **seen}
        collected = self._execute_module(
            module_name="mindie_collect", module_args=status_specification(settings), task_vars=task_vars
        )
        if collected.get("failed") or collected.get("unreachable"):
            return {**result, **collected}
        observation = plain(seen["observation"])
        member = member_from_observation(me, observation)
        overview = read_overview(plain(collected["collection"]))
        npus = [
            {
                "id": npu.id,
                "health": npu.health,
                "hbm_used_mib": npu.hbm_used_mib,
                "hbm_total_mib": npu.hbm_total_mib,
                "aicore_percent": npu.aicore_percent,
                "temperature_c": npu.temperature_c,
            }
            for npu in getattr(overview, "npus", ())
        ]
        if observation["exists"] and observation["labels"].get(DEPLOYMENT_LABEL) != settings.deployment:
            # What it prints is not ours to show.
            member = Member(me, "foreign", f"a container named {container_name(settings)} that is not ours is here")
            observation.update(running=False, listening=False, log_tail="")
        result["status"] = {
            "container": {key: observation[key] for key in ("running", "exit_code", "started_at", "finished_at")}
            if observation["exists"]
            else None,
            "state": member.state if observation["exists"] else "absent",
            "message": member.message if observation["exists"] else "nothing is deployed here",
            "listening": observation["listening"] if me == leader["name"] else None,
            "since": observation["started_at"] if observation["running"] else None,
            "npus": npus,
            "npus_unknown": getattr(overview, "reason", None),
            "log_tail": observation["log_tail"],
        }
        result["msg"] = line(me, result["status"])
        result["changed"] = False
        return result


def line(host, status):
    """Returns the status in one line, for plain ansible-playbook."""
    npus = status["npus"]
    used = [npu["hbm_used_mib"] for npu in npus if npu["hbm_used_mib"] is not None]
    healthy = sum(npu["health"] == "OK" for npu in npus)
    seen = f"{healthy} of {len(npus)} NPUs healthy" if npus else f"NPUs not known: {status['npus_unknown']}"
    if used:
        seen += f", {sum(used) / len(used) / 1024:.1f} GiB HBM used on average"
    since = f" since {status['since']}" if status["since"] else ""
    return f"{host}: {status['state']}{since} ({status['message'] or 'no message'}); {seen}"

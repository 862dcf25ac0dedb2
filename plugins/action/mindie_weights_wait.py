# SPDX-License-Identifier: Apache-2.0
"""Action mindie_weights_wait: waits for a scan that was started with `async`, and shows its progress.

Arguments: `job` (the registered result of the started task), `status_file` (where the job writes its progress),
`lease` (the file that the job was given, too: while it is touched, somebody waits), `doing` (a word for messages) and
`time_limit` (seconds). Returns the job's own result.
"""

from __future__ import annotations

import json
import os
import time

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.plain import plain
from mindie_deploy.weights.progress import progress_line, read_status, status_command

display = Display()
# The job writes at least once a second; longer silence than this means that it was killed or hangs on a dead disk.
SILENT_AFTER_S = 300.0
LOST_AFTER_S = 120.0
SLOWEST_LOOK_S = 5.0
SHOW_EVERY_S = 5.0
OURS = ("ansible_job_id", "results_file", "started", "finished", "_ansible_no_log")


class ActionModule(ActionBase):
    """Looks at its own host now and then; every host has a worker of its own."""

    TRANSFERS_FILES = False
    _supports_check_mode = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = plain(self._task.args)
        job = str((arguments.get("job") or {}).get("ansible_job_id") or "")
        if not job:
            return {**result, "failed": True, "msg": "the job was not started"}
        host = task_vars["inventory_hostname"]
        doing = str(arguments["doing"])
        started = answered = time.monotonic()
        shown, pause = 0.0, 0.3
        run = os.getppid()
        while True:
            if os.getppid() != run:
                # This worker outlives a run that is killed; what it waits for would, too, as long as it is waited for.
                return {**result, "failed": True, "msg": f"{host}: the run that waited for {doing} has ended"}
            now = time.monotonic()
            try:
                state = self._ask(job, "status", task_vars)
                if state.get("finished") or (state.get("failed") and not state.get("started")):
                    self._ask(job, "cleanup", task_vars)
                    return {**result, **{key: value for key, value in state.items() if key not in OURS}}
                status, silent = self._status(str(arguments["status_file"]), str(arguments["lease"]))
                answered = now
            except AnsibleConnectionFailure as error:
                if now - answered > LOST_AFTER_S:
                    raise
                display.warning(f"{host} does not answer; {doing} may go on there: {error}")
                status, silent = {}, 0.0
            if now - started > float(arguments["time_limit"]):
                return {**result, "failed": True, "msg": f"{doing} on {host} took longer than allowed"}
            if min(silent, now - started) > SILENT_AFTER_S:
                message = (
                    f"{doing} on {host} has said nothing for {SILENT_AFTER_S:.0f} s: it was killed, or its disk hangs"
                )
                return {**result, "failed": True, "msg": message}
            # What lies there from an earlier run is not ours to show.
            if status and silent < now - started and now - shown >= SHOW_EVERY_S:
                shown = now
                line = progress_line(host, doing, status, now - started)
                display.display("mindie-deploy: " + json.dumps(line, ensure_ascii=False))
            time.sleep(pause)
            pause = min(SLOWEST_LOOK_S, pause * 1.5)

    def _ask(self, job, mode, task_vars):
        directory = self._remote_expand_user(self.get_shell_option("async_dir", default="~/.ansible_async"))
        return self._execute_module(
            module_name="ansible.legacy.async_status",
            module_args={"jid": job, "mode": mode, "_async_dir": directory},
            task_vars=task_vars,
        )

    def _status(self, path, lease):
        """Returns (progress, seconds since it was written); ({}, 0.0) before there is any."""
        return read_status(self._low_level_execute_command(status_command(path, lease)).get("stdout", ""))

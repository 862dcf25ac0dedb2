# SPDX-License-Identifier: Apache-2.0
"""Action mindie_wait: waits on every host at once until the gang answers, a member dies, or time is up.

Each host's action runs in a worker process of its own on the controller. They tell one another what they see through
small files in the run's private temporary directory, so that all of them end when one member has died.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.mindie.error_catalogue import likely_causes
from mindie_deploy.mindie.gang import STARTED_LINE, GangVerdict, Member, member_from_observation, verdict
from mindie_deploy.plain import plain

display = Display()
# A host that does not answer over SSH for this long while the gang starts is given up.
LOST_AFTER_S = 60.0
# One line of progress at least this often, even when nothing changes.
PROGRESS_EVERY_S = 15.0
TAIL_LINES = 80
# Longest wait for the answer of the chat that proves readiness; a few tokens take seconds on a real cluster.
CHAT_TIMEOUT_S = 120.0


class ActionModule(ActionBase):
    """Polls its own host and decides from what all see."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = self._task.args
        if self._task.check_mode:
            return {**result, "skipped": True, "msg": "nothing was started, so there is nothing to wait for"}
        hosts = [host["name"] for host in plain(task_vars["mindie_hosts"])]
        board = Board(Path(constants.DEFAULT_LOCAL_TMP) / f"gang-{self._task._uuid}")
        me = task_vars["inventory_hostname"]
        started = time.monotonic()
        deadline = started + float(arguments["timeout"])
        observe = {
            "engine": arguments["engine"],
            "name": arguments["name"],
            "tail": TAIL_LINES,
            "wanted_line": STARTED_LINE,
            # Each look costs controller time; with many hosts they are spread out.
            "window": max(2.0, 0.4 * len(hosts)),
        }
        if me == hosts[0]:
            observe["service_url"] = arguments["service_url"]
            observe["chat"] = arguments["chat"]
            observe["chat_timeout"] = CHAT_TIMEOUT_S
        progress = Progress(me, started)
        patience = float(arguments["timeout"])
        answered = time.monotonic()
        while True:
            try:
                member, age = self._look(me, observe, task_vars)
                # A deployment that was started long ago has had its time to load: one chat decides.
                deadline = min(deadline, time.monotonic() + max(patience - age, CHAT_TIMEOUT_S))
                answered = time.monotonic()
            except AnsibleConnectionFailure as error:
                silent = time.monotonic() - answered
                member = Member(me, "starting", f"cannot be looked at for {silent:.0f} s: {error}")
                if silent > LOST_AFTER_S:
                    member = Member(me, "lost", f"cannot be looked at for {silent:.0f} s: {error}")
                time.sleep(2)
            board.write(member)
            progress.show(member)
            end = verdict(board.read(hosts), hosts, over=time.monotonic() >= deadline)
            end = board.settled(end)
            if end is not None:
                return {**result, **outcome(end, board.read(hosts), me, time.monotonic() - started)}

    def _look(self, me, observe, task_vars):
        """One look at the own host. Returns (member, seconds since its start).

        Raises AnsibleConnectionFailure when the host or its engine does not answer.
        """
        answer = self._execute_module(module_name="mindie_observe", module_args=observe, task_vars=task_vars)
        if "observation" not in answer:
            raise AnsibleConnectionFailure(str(answer.get("msg") or answer.get("module_stderr") or "no answer"))
        seen = plain(answer["observation"])
        return member_from_observation(me, seen), float(seen.get("age_s") or 0.0)


def outcome(end, members, me, seconds):
    """Returns the task's result. Only the host that decided the end fails, so that one message stands out."""
    member = members.get(end.host) or Member(end.host, "starting", "nothing was seen of it")
    gang = {
        "state": end.state,
        "host": end.host,
        "exit_status": member.exit_status,
        "log_tail": member.log_tail,
        "answer": member.answer,
        "seconds": round(seconds, 1),
        "members": {name: {"state": one.state, "message": one.message} for name, one in members.items()},
        "causes": [],
    }
    result = {"changed": False, "gang": gang}
    if end.state == "ready":
        return result
    gang["causes"] = [asdict(cause) for cause in likely_causes(member.log_tail, member.exit_status)]
    if me == end.host:
        result["failed"] = True
        result["msg"] = message(end, member, gang)
    return result


def message(end, member, gang):
    """Returns what happened, how we know, and what to do next."""
    what = {
        "dead": f"{end.host} died while the deployment was starting: {member.message}",
        "lost": f"{end.host} was lost while the deployment was starting: {member.message}",
        "timeout": f"the deployment was not ready after {gang['seconds']:.0f} s; {end.host} is the one furthest behind"
        f" ({member.state}: {member.message})",
    }[end.state]
    lines = [what, ""]
    for cause in gang["causes"][:3]:
        lines += [f"likely cause: {cause['title']}", f"  seen: {cause['evidence']}", f"  next: {cause['remedy']}", ""]
    lines.append(f"last lines of {end.host}:")
    lines += ["  " + line for line in member.log_tail.splitlines()[-15:]]
    return "\n".join(lines)


class Board:
    """Where the workers of one task leave what they see."""

    def __init__(self, directory):
        self._directory = directory
        directory.mkdir(mode=0o700, exist_ok=True)

    def write(self, member):
        beside = self._directory / f".{member.host}.new"
        beside.write_text(json.dumps(asdict(member)))
        beside.rename(self._directory / f"{member.host}.json")

    def settled(self, end):
        """Returns how the start has ended for all: the first worker's verdict counts, whatever the others see later."""
        path = self._directory / "verdict"
        if end is not None:
            beside = self._directory / f".verdict.{os.getpid()}"
            beside.write_text(json.dumps(asdict(end)))
            with contextlib.suppress(FileExistsError):
                os.link(beside, path)
        return GangVerdict(**json.loads(path.read_text())) if path.exists() else None

    def read(self, hosts):
        members = {}
        for host in hosts:
            path = self._directory / f"{host}.json"
            if path.exists():
                members[host] = Member.from_dict(json.loads(path.read_text()))
        return members


class Progress:
    """One line when the state changes, and now and then in between."""

    def __init__(self, host, started):
        self._host, self._started = host, started
        self._state, self._shown = "", 0.0

    def show(self, member):
        now = time.monotonic()
        if member.state == self._state and now - self._shown < PROGRESS_EVERY_S:
            return
        self._state, self._shown = member.state, now
        line = {
            "host": self._host,
            "state": member.state,
            "message": member.message,
            "elapsed_s": round(now - self._started, 1),
        }
        display.display("mindie-deploy: " + json.dumps(line, ensure_ascii=False))

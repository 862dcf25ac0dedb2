#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Starts and ends the agent of the weights exchange on one host, and says how far it is."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_weights_exchange
short_description: Run the agent of the weights exchange on a host
description:
  - The agent exchanges files with the agents of the other members of its plan, and ends by itself when all of them have
    everything. It is one file, brought here, and removed when it is stopped.
  - The plan, with the secret of the run, goes to the agent's standard input and is kept nowhere.
options:
  state:
    description:
      - V(started) ends an agent of an earlier run and starts one that follows I(plan). V(status) says how far it is.
        V(stopped) ends it and removes its file.
    type: str
    choices: [started, status, stopped]
    required: true
  state_directory:
    description: Where the agent and its notes are, in C(weights/) below it.
    type: path
    required: true
  agent:
    description: The agent, a Python archive in base64. Needed for V(started).
    type: str
  plan:
    description: The plan as JSON text. Needed for V(started).
    type: str
  status_file:
    description: Where the plan lets the agent write its progress.
    type: path
    required: true
author:
  - mindie-deploy
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Exchange the weights
  mindie_weights_exchange:
    state: started
    state_directory: /var/lib/mindie-deploy
    agent: "{{ lookup('file', 'agent.pyz') | b64encode }}"
    plan: "{{ plan | to_json }}"
    status_file: /var/lib/mindie-deploy/weights/progress.json
"""

RETURN = r"""
running:
  description: Whether the agent runs.
  returned: always
  type: bool
status:
  description: What the agent wrote last, an empty mapping before it wrote anything.
  returned: always
  type: dict
log:
  description: The end of what the agent said on its standard error; empty when all is well.
  returned: always
  type: str
"""

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mindie_process import born, end, running
from ansible.module_utils.mindie_weights_state import read_json

# An agent writes its status when it listens; reading the journal of a large transfer comes before that.
BEGIN_S = 60.0
PATIENCE_S = 5.0
LOG_BYTES = 4000


class ExchangeError(Exception):
    """Something to tell the operator without a traceback."""


class Agent(object):
    """The agent of one host as the files in the state directory tell of it."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.directory = os.path.join(parameters["state_directory"], "weights")
        self.pid_file = os.path.join(self.directory, "exchange.pid")
        self.log_file = os.path.join(self.directory, "exchange.log")
        self.status_file = parameters["status_file"]

    def note(self):
        return running(self.pid_file)

    def start(self):
        os.makedirs(self.directory, mode=0o750, exist_ok=True)
        self.stop()
        archive = base64.b64decode(self.parameters["agent"])
        path = os.path.join(self.directory, "exchange-%s.pyz" % hashlib.sha256(archive).hexdigest()[:12])
        write(path, archive)
        remove(self.status_file)
        log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
        try:
            process = subprocess.Popen(
                [sys.executable, path],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                close_fds=True,
                start_new_session=True,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"},
            )
        finally:
            os.close(log)
        birth = born(process.pid)
        write(self.pid_file, json.dumps({"pid": process.pid, "born": birth}).encode())
        try:
            process.stdin.write(self.parameters["plan"].encode("utf-8"))
            process.stdin.close()
        except BrokenPipeError:
            pass  # it ended; its exit status is looked at next
        self.await_first_word(process)

    def await_first_word(self, process):
        """Returns when the agent works. Raises ExchangeError when it ends instead."""
        until = time.monotonic() + BEGIN_S
        while time.monotonic() < until:
            status = read_json(self.status_file) or {}
            ended = process.poll()
            # It says that it failed before it ends.
            if status.get("state") == "failed" or ended not in (None, 0):
                raise ExchangeError(status.get("message") or self.log() or "the agent ended with status %s" % ended)
            if status or ended == 0:
                return
            time.sleep(0.02)
        raise ExchangeError("the agent said nothing for %d s; see %s" % (BEGIN_S, self.log_file))

    def stop(self):
        """Ends the agent; returns whether one ran."""
        note = self.note()
        if note is not None:
            end(note, PATIENCE_S)
        remove(self.pid_file)
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.directory):
                if name.startswith("exchange-"):
                    remove(os.path.join(self.directory, name))
        return note is not None

    def log(self):
        """Returns the end of what the agent said."""
        try:
            with open(self.log_file, "rb") as stream:
                stream.seek(max(0, os.path.getsize(self.log_file) - LOG_BYTES))
                return stream.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def result(self, changed):
        return {
            "changed": changed,
            "running": self.note() is not None,
            "status": read_json(self.status_file) or {},
            "log": self.log(),
        }


def write(path, content):
    """Writes beside the path, then renames."""
    beside = path + ".new"
    remove(beside)
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "wb") as stream:
        stream.write(content)
    os.rename(beside, path)


def remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def main():
    """Does what `state` says."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "status", "stopped"], "required": True},
            "state_directory": {"type": "path", "required": True},
            "agent": {"type": "str"},
            "plan": {"type": "str", "no_log": True},
            "status_file": {"type": "path", "required": True},
        },
        required_if=[("state", "started", ["agent", "plan"])],
        supports_check_mode=True,
    )
    agent = Agent(module.params)
    state = module.params["state"]
    try:
        changed = False
        if state != "status" and module.check_mode:
            changed = state == "started" or agent.note() is not None
        elif state == "started":
            agent.start()
            changed = True
        elif state == "stopped":
            changed = agent.stop()
        module.exit_json(**agent.result(changed))
    except ExchangeError as error:
        module.fail_json(msg=str(error))
    except (OSError, ValueError) as error:
        where = getattr(error, "filename", None) or agent.directory
        module.fail_json(msg="%s: %s" % (where, getattr(error, "strerror", None) or error))


if __name__ == "__main__":
    main()

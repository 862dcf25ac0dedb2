#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Takes and releases the lock of a deployment on one host."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_lock
short_description: Take, release or show the lock of a deployment on one host
description:
  - The lock is a file on the host, made in one step, so that two controllers can never both have it.
  - It says who holds it, since when, by which run and why.
options:
  path:
    description: The lock file.
    type: path
    required: true
  state:
    description:
      - C(taken) takes it, or confirms that this run has it.
      - C(released) gives it back when this run has it, and leaves another run's lock alone.
      - C(broken) removes it whoever has it.
      - C(shown) only reads it.
    type: str
    choices: [taken, released, broken, shown]
    required: true
  run_id:
    description: Identity of this run. Needed to take and to release.
    type: str
    default: ""
  owner:
    description: Who runs it, as user@controller.
    type: str
    default: ""
  reason:
    description: What the run is for.
    type: str
    default: ""
  process:
    description: What names the launcher's process on the controller; empty when there is none.
    type: str
    default: ""
author:
  - mindie-deploy
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Take the lock
  mindie_lock:
    path: /var/lib/mindie-deploy/deepseek-r1.lock
    state: taken
    run_id: 20260102T030405-up-1f2e
    owner: anna@control1
    reason: up
"""

RETURN = r"""
lock:
  description: What the lock file says after the task, or null.
  returned: always
  type: dict
locked:
  description: True when another run holds the lock.
  returned: always
  type: bool
removed:
  description: What the lock said before it was removed.
  returned: when it was removed
  type: dict
"""

import json
import os
import socket
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule


def read(path):
    """Returns what the lock file says, or None where there is none. A damaged one is a lock all the same."""
    try:
        with open(path, "rb") as handle:
            text = handle.read(65536).decode("utf-8", "backslashreplace")
        since = os.stat(path).st_mtime
    except FileNotFoundError:
        return None
    try:
        lock = json.loads(text)
        if not isinstance(lock, dict):
            raise ValueError("not an object")
    except ValueError:
        lock = {"owner": "unknown (the lock file is damaged)", "run_id": "", "reason": "unknown"}
    lock["host"] = socket.gethostname()
    lock["since"] = since
    lock["path"] = path
    lock["age_s"] = max(0, int(time.time() - since))
    return lock


def take(path, lock):
    """Makes the lock in one step. Returns False when somebody else was first."""
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        os.makedirs(directory, mode=0o750, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=".lock.", dir=directory)
    try:
        with os.fdopen(handle, "w") as out:
            json.dump(lock, out)
            out.write("\n")
            out.flush()
            os.fchmod(out.fileno(), 0o640)
            os.fsync(out.fileno())
        # A link fails when the name exists and never shows a half-written file.
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(beside)
    return True


def describe(lock):
    return "%s holds the lock of this deployment since %s (%d s ago): %s, run %s" % (
        lock.get("owner") or "somebody",
        time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(lock["since"])),
        lock["age_s"],
        lock.get("reason") or "no reason given",
        lock.get("run_id") or "unknown",
    )


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "required": True, "choices": ["taken", "released", "broken", "shown"]},
            "run_id": {"type": "str", "default": ""},
            "owner": {"type": "str", "default": ""},
            "reason": {"type": "str", "default": ""},
            "process": {"type": "str", "default": ""},
        },
        required_if=[("state", "taken", ("run_id",)), ("state", "released", ("run_id",))],
        supports_check_mode=True,
    )
    path, state, run_id = module.params["path"], module.params["state"], module.params["run_id"]
    wanted = {
        "run_id": run_id,
        "owner": module.params["owner"],
        "reason": module.params["reason"],
        "process": module.params["process"],
        "since": time.time(),
    }
    try:
        found = read(path)
        ours = bool(found) and bool(run_id) and found.get("run_id") == run_id
        if state == "taken":
            if found is None and not module.check_mode:
                take(path, wanted)
                found = read(path) or {"age_s": 0, "since": time.time()}
                ours = found.get("run_id") == run_id
            if found is not None and not ours:
                module.fail_json(
                    msg="%s. Wait for it, or, if that run is dead: mindie-deploy lock release" % describe(found),
                    lock=found,
                    locked=True,
                )
            # Taken now and given back at the end: no lasting change, so none is reported.
            module.exit_json(changed=False, lock=found, locked=False)
        if state in ("released", "broken") and found is not None and (ours or state == "broken"):
            if not module.check_mode:
                os.unlink(path)
            module.exit_json(changed=state == "broken", lock=None, locked=False, removed=found)
        module.exit_json(changed=False, lock=found, locked=bool(found) and not ours)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or path, error.strerror or error), lock=None, locked=False)


if __name__ == "__main__":
    main()

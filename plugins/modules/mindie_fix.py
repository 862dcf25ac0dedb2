#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Carries out the changes that the command fix has planned, each only if its target still is as the plan saw it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_fix
short_description: Mend what a check found, where that is safe and can be taken back
description:
  - Every action names a target, the value that was seen there and the wanted one.
  - The value is read again first. A target that has the wanted value is left alone; one that has neither is refused.
  - After the change the value is read once more, and anything but the wanted one is a failure.
  - Nothing is touched while a container of the deployment runs on the host, or where that cannot be told.
  - An action that fails or is refused does not hinder the others. The module fails at the end and tells all of them.
options:
  actions:
    description:
      - The changes, in order.
      - C(tls) and C(netdetect) set the port of an NPU (I(target) is its index) through hccn_tool.
      - C(mode) sets the mode of a file, directory or device node, never through a link.
      - C(container) removes a container of the deployment that does not run; I(before) is its id.
      - C(shared-memory) removes a file of an ended MindIE that no process has open.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description: What is changed.
        type: str
        choices: [tls, netdetect, mode, container, shared-memory]
        required: true
      target:
        description: Index of an NPU, path, or name of a container.
        type: str
        required: true
      what:
        description: The target in words.
        type: str
        required: true
      before:
        description: The value that the plan saw.
        type: str
        required: true
      after:
        description: The wanted value; C(absent) for what is removed.
        type: str
        required: true
      check_id:
        description: Id of the check that asked for it. Returned as it is.
        type: str
        default: ""
      command:
        description: The command that does the same. Returned as it is.
        type: str
        default: ""
      undo:
        description: The command that takes it back. Returned as it is.
        type: str
  deployment:
    description: Value of the label C(mindie-deploy.deployment) that marks containers as ours.
    type: str
    required: true
  engine:
    description: The engine's client.
    type: str
    default: docker
  hccn_tool:
    description: Path of hccn_tool, for C(tls) and C(netdetect).
    type: str
    default: ""
  libraries:
    description: LD_LIBRARY_PATH for hccn_tool where the host sets none.
    type: str
    default: ""
  shared_memory:
    description: The directory of shared memory.
    type: path
    default: /dev/shm
author:
  - mindie-deploy
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Switch TLS off on one NPU
  mindie_fix:
    deployment: deepseek-r1
    hccn_tool: /usr/local/Ascend/driver/tools/hccn_tool
    actions:
      - {kind: tls, target: "3", what: TLS of NPU 3, before: "on", after: "off"}
"""

RETURN = r"""
actions:
  description:
    - Every action as it was given, with C(found) (the value before, null where it could not be read), C(changed) (would
      change, in check mode), and C(error) (why it was refused or failed, else null).
  returned: always
  type: list
  elements: dict
log_tail:
  description: The last lines that a removed container had printed.
  returned: when a container was removed
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mindie_fix_host import Host, RefusedError
from ansible.module_utils.mindie_fix_kinds import KINDS


def mend(host, action, check_mode):
    """Returns the action with what was found, whether it changed, and why not."""
    kind = KINDS[action["kind"]]
    done = dict(action, found=None, changed=False, error=None)
    try:
        done["found"] = kind.read(host, action)
        if done["found"] == action["after"]:
            return done
        if done["found"] != action["before"]:
            raise RefusedError(
                "it is %s now, and was %s when the plan was made: plan again" % (done["found"], action["before"])
            )
        done["changed"] = True
        if check_mode:
            return done
        kind.write(host, action)
        now = kind.read(host, action)
        if now != action["after"]:
            raise RefusedError("it is %s after the change, not %s" % (now, action["after"]))
    except (RefusedError, OSError, ValueError) as problem:
        done["error"] = getattr(problem, "strerror", None) or str(problem)
        done["changed"] = not check_mode and is_changed(kind, host, action, done["found"])
    return done


def is_changed(kind, host, action, found):
    """Tells whether a change that failed has changed something all the same."""
    if found is None:
        return False
    try:
        return kind.read(host, action) != found
    except (RefusedError, OSError, ValueError):
        return False


def difference(done):
    """Returns a change in the form of Ansible's diff."""
    header = done["what"]
    return {
        "before_header": header,
        "after_header": header,
        "before": "%s\n" % done["found"],
        "after": "%s\n" % done["after"],
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "actions": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "kind": {"type": "str", "required": True, "choices": sorted(KINDS)},
                    "target": {"type": "str", "required": True},
                    "what": {"type": "str", "required": True},
                    "before": {"type": "str", "required": True},
                    "after": {"type": "str", "required": True},
                    "check_id": {"type": "str", "default": ""},
                    "command": {"type": "str", "default": ""},
                    "undo": {"type": "str"},
                },
            },
            "deployment": {"type": "str", "required": True},
            "engine": {"type": "str", "default": "docker"},
            "hccn_tool": {"type": "str", "default": ""},
            "libraries": {"type": "str", "default": ""},
            "shared_memory": {"type": "path", "default": "/dev/shm"},
        },
        supports_check_mode=True,
    )
    host = Host(module.params)
    done = []
    try:
        if module.params["actions"]:
            host.require_stopped()
    except RefusedError as problem:
        module.fail_json(msg="nothing was changed: %s" % problem, changed=False, actions=[])
    for action in module.params["actions"]:
        done.append(mend(host, action, module.check_mode))
    changes = [one for one in done if one["changed"]]
    result = {"changed": bool(changes), "actions": done, "diff": [difference(one) for one in changes]}
    if host.log_tail is not None:
        result["log_tail"] = host.log_tail
    failed = ["%s: %s" % (one["what"], one["error"]) for one in done if one["error"]]
    if failed:
        module.fail_json(msg="\n".join(failed), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

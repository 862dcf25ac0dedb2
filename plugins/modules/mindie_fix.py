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

import fnmatch
import os
import random
import re
import stat
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mindie_child import Child, executing, wait_for
from ansible.module_utils.mindie_read import decoded, locate, search_path

LABEL = "mindie-deploy.deployment"
ABSENT = "absent"
OUTPUT_LIMIT = 4 << 20  # bytes of a command's output that are kept
ENGINE_LIMIT = 120.0  # seconds; an engine that says nothing for this long is stuck
HCCN_LIMIT = 30.0  # seconds; the tool itself would ask a dead device for five minutes
LOG_LINES = 5000
ATTEMPTS = 5  # for a device that is busy with another command
PAUSE = 0.5  # seconds between them, doubled each time
BUSY = re.compile(r"is busy|[Pp]lease try again|occupied\. Please try")
TLS = re.compile(r"tls switch\[([01])\]")
NETDETECT = re.compile(r"netdetect addr(?:ess)?\s*:\s*([0-9.]+)")
ENDED = ("created", "exited", "dead")
# What MindIE keeps in shared memory; nothing else there is ever removed.
LEFT_FILES = ("*llm_backend_*", "llm_tokenizer_shared_memory_*")


class RefusedError(Exception):
    """A change that is not made, or did not work, with the reason."""


def command(words, limit, environment=None):
    """Returns (status, stdout, stderr) of a program. Raises RefusedError where it is missing or does not end."""
    path = locate([words[0]])
    if path is None:
        raise RefusedError("%s is not installed on this host, or not on root's PATH" % words[0])
    variables = dict(os.environ, LC_ALL="C", PATH=os.pathsep.join(search_path()))
    for name, value in (environment or {}).items():
        variables.setdefault(name, value)
    child = Child(executing(path, words, variables), limit, OUTPUT_LIMIT)
    try:
        while not child.finished(time.monotonic()):
            wait_for([child], 0.05)
    finally:
        child.clear()
    if child.timed_out:
        raise RefusedError("%s gave no answer within %g s" % (" ".join(words[:4]), limit))
    return child.status, decoded(child.text(0)), decoded(child.text(1))


class Host(object):
    """The programs and places of this host."""

    def __init__(self, parameters):
        self.engine = parameters["engine"]
        self.deployment = parameters["deployment"]
        self.hccn_tool = parameters["hccn_tool"]
        self.libraries = parameters["libraries"]
        self.shared_memory = parameters["shared_memory"].rstrip("/")
        self.log_tail = None

    def ask_engine(self, *words):
        """Returns what the engine prints. Raises RefusedError with its words when it does not do it."""
        status, out, err = command([self.engine, *list(words)], ENGINE_LIMIT)
        if status != 0:
            raise RefusedError("%s %s: %s" % (self.engine, words[0], err.strip()[-2000:] or "status %s" % status))
        return out

    def require_stopped(self):
        """Raises RefusedError where a container of the deployment runs, or where nobody can tell."""
        label = "label=%s=%s" % (LABEL, self.deployment)
        if self.ask_engine("ps", "--quiet", "--no-trunc", "--filter", label).strip():
            raise RefusedError(
                "the deployment %s runs on this host: stop it first (mindie-deploy down)" % self.deployment
            )

    def hccn(self, npu, *words):
        """Returns what hccn_tool prints for an NPU. A device takes one command at a time: a busy one is asked again."""
        if not self.hccn_tool:
            raise RefusedError("hccn_tool was not found on this host")
        if not re.match(r"^[0-9]{1,3}$", npu):
            raise RefusedError("%s is no index of an NPU" % npu)
        environment = {"LD_LIBRARY_PATH": self.libraries} if self.libraries else {}
        for attempt in range(ATTEMPTS):
            status, out, err = command([self.hccn_tool, "-i", npu, *list(words)], HCCN_LIMIT, environment)
            if not BUSY.search(out + err):
                break
            time.sleep(PAUSE * 2**attempt * random.uniform(0.5, 1.5))
        if status != 0:
            said = (err.strip() or out.strip()).splitlines()
            raise RefusedError(
                "hccn_tool -i %s %s: %s" % (npu, " ".join(words), said[0] if said else "status %s" % status)
            )
        return out


def only_match(pattern, text, what):
    """Returns what a pattern finds in the text where all its matches are the same; raises RefusedError otherwise."""
    found = set(pattern.findall(text))
    if len(found) != 1:
        raise RefusedError(
            "the answer to %s cannot be read: %s" % (what, " ".join(text.split())[:200] or "it is empty")
        )
    return found.pop()


class Tls(object):
    """The switch of TLS on an NPU's port: on, off."""

    @staticmethod
    def read(host, action):
        switch = only_match(TLS, host.hccn(action["target"], "-tls", "-g"), "-tls -g")
        return "on" if switch == "1" else "off"

    @staticmethod
    def write(host, action):
        host.hccn(action["target"], "-tls", "-s", "enable", "1" if action["after"] == "on" else "0")


class Netdetect(object):
    """The address that an NPU's port is probed with; 0.0.0.0 is none."""

    @staticmethod
    def read(host, action):
        return only_match(NETDETECT, host.hccn(action["target"], "-netdetect", "-g"), "-netdetect -g")

    @staticmethod
    def write(host, action):
        host.hccn(action["target"], "-netdetect", "-s", "address", action["after"])


class Mode(object):
    """The mode of a file, directory or character device, as octal text."""

    @staticmethod
    def read(host, action):
        with Handle(action["target"]) as handle:
            return handle.mode()

    @staticmethod
    def write(host, action):
        with Handle(action["target"]) as handle:
            if handle.mode() != action["before"]:
                raise RefusedError("it was changed just now: the mode is %s" % handle.mode())
            handle.set_mode(int(action["after"], 8))


class Handle(object):
    """A path held fast without opening what it is: a device would notice, and a link would lead elsewhere."""

    def __init__(self, path):
        if not os.path.isabs(path):
            raise RefusedError("%s is no absolute path" % path)
        self.descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        os.close(self.descriptor)

    def mode(self):
        """Returns the mode; raises RefusedError for a link and other things whose mode is none of ours."""
        found = os.fstat(self.descriptor).st_mode
        if stat.S_ISLNK(found):
            raise RefusedError("it is a link")
        if not (stat.S_ISREG(found) or stat.S_ISDIR(found) or stat.S_ISCHR(found)):
            raise RefusedError("it is no file, directory or character device")
        return "%04o" % stat.S_IMODE(found)

    def set_mode(self, mode):
        os.chmod("/proc/self/fd/%d" % self.descriptor, mode)


class Container(object):
    """A container of ours that has ended: its id, or absent."""

    @staticmethod
    def read(host, action):
        if not re.match(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", action["target"]):
            raise RefusedError("it is no name of a container")
        filters = ("--filter", "name=^/?%s$" % action["target"])
        listed = host.ask_engine("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        if not listed:
            return ABSENT
        form = '{{.State.Status}} {{index .Config.Labels "%s"}}' % LABEL
        told = host.ask_engine("inspect", "--type", "container", "--format", form, listed[0])
        status, _blank, label = told.partition(" ")
        if label.strip() != host.deployment:
            raise RefusedError("it is not ours: its label %s is %s" % (LABEL, label.strip() or "missing"))
        if status not in ENDED:
            raise RefusedError("it is %s" % status)
        return listed[0]

    @staticmethod
    def write(host, action):
        _status, out, err = command([host.engine, "logs", "--tail", str(LOG_LINES), action["before"]], ENGINE_LIMIT)
        host.log_tail = out + err
        host.ask_engine("rm", "--volumes", action["before"])


class SharedMemory(object):
    """A file that MindIE left: its size and owner, or absent."""

    @staticmethod
    def read(host, action):
        directory, name = os.path.split(action["target"])
        if directory != host.shared_memory or not any(fnmatch.fnmatchcase(name, one) for one in LEFT_FILES):
            raise RefusedError("it is no file of MindIE in %s" % host.shared_memory)
        try:
            info = os.lstat(action["target"])
        except FileNotFoundError:
            return ABSENT
        if not stat.S_ISREG(info.st_mode):
            raise RefusedError("it is no file")
        return "%d bytes of user %d" % (info.st_size, info.st_uid)

    @staticmethod
    def write(host, action):
        user = user_of(os.lstat(action["target"]))
        if user:
            raise RefusedError("process %s has it open" % user)
        os.unlink(action["target"])


def user_of(info):
    """Returns "PID (name)" of a process that has a file open or mapped, or None. Raises RefusedError if hidden."""
    mapped = re.compile(
        r"^\S+ \S+ \S+ 0*%x:0*%x %d\s" % (os.major(info.st_dev), os.minor(info.st_dev), info.st_ino), re.MULTILINE
    )
    for pid in [name for name in os.listdir("/proc") if name.isdigit()]:
        try:
            if mapped.search(text_of("/proc/%s/maps" % pid)) or has_open(pid, info):
                return "%s (%s)" % (pid, text_of("/proc/%s/comm" % pid).strip())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        except PermissionError:
            raise RefusedError("nobody can tell what process %s has open" % pid) from None
    return None


def has_open(pid, info):
    """Tells whether a descriptor of a process leads to a file."""
    directory = "/proc/%s/fd" % pid
    for name in os.listdir(directory):
        try:
            found = os.stat("%s/%s" % (directory, name))
        except OSError:
            continue  # it was closed, or leads to no file
        if (found.st_dev, found.st_ino) == (info.st_dev, info.st_ino):
            return True
    return False


def text_of(path):
    with open(path, "rb") as stream:
        return decoded(stream.read())


KINDS = {"tls": Tls, "netdetect": Netdetect, "mode": Mode, "container": Container, "shared-memory": SharedMemory}


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

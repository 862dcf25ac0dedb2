#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Runs many commands and reads many files of a host in one round trip, and returns them raw."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_collect
short_description: Run commands and read files of a host in one round trip
description:
  - Runs the given commands in parallel, each with a time limit, and returns status, output and duration as they are.
  - Reads files, the state of paths, directories and free disk space. It judges nothing and changes nothing.
  - It ends within I(limit) whatever the commands do. A command that is over its time is ended with all its children;
    one that cannot be ended (it waits for a device or a dead network file system) is left behind and said so.
options:
  programs:
    description:
      - Programs that commands may be named by, each with the places where it may be, the first that fits is used.
      - A place is an absolute path, or a bare name that is searched in C(PATH) and the usual system directories.
    type: dict
    default: {}
  values:
    description:
      - Texts taken from C(KEY=VALUE) files of the host, by name, each with C(file), C(key) and C(default).
      - C({name}) in a place, a path or an environment value is replaced by it.
    type: dict
    default: {}
  items:
    description:
      - "What to read: each has a unique C(key), optionally a C(timeout) in seconds, and one of the following."
      - "C(command): list of words; C(exclusive): commands of the same word never run at once, and when two of them were
        over their time the rest of them is skipped; C(retries): C(times), C(patterns) (regular expressions over the
        output that ask for another attempt), C(pause) in seconds, doubled each time with
        jitter; C(environment): variables to set where the host has none."
      - "C(file): a path, or several of which the first that exists is read; C(limit) in bytes; C(lines): a regular
        expression, only lines that match it are returned."
      - "C(stat): list of paths or patterns. C(directory): a path. C(disk): a path that need not exist."
      - "C(connect): C(address) and C(port) of another host to connect to, C(expect) what is said there first (empty:
        any listener will do); C(patience) in seconds."
    type: list
    elements: dict
    required: true
  limit:
    description: Longest time for everything together, in seconds.
    type: float
    default: 120
  parallel:
    description: Number of commands and reads at once.
    type: int
    default: 16
author:
  - mindie-deploy
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Ask two devices at once, each for one thing at a time
  mindie_collect:
    programs:
      hccn_tool: [/usr/local/Ascend/driver/tools/hccn_tool, hccn_tool]
    items:
      - {key: "link/0", command: [hccn_tool, -i, "0", -link, -g], exclusive: "0", timeout: 10}
      - {key: "mtu/0", command: [hccn_tool, -i, "0", -mtu, -g], exclusive: "0", timeout: 10}
      - {key: "link/1", command: [hccn_tool, -i, "1", -link, -g], exclusive: "1", timeout: 10}
      - {key: release, file: /etc/os-release}
"""

RETURN = r"""
collection:
  description:
    - C(started) and C(finished) are the host's clock (seconds since 1970), C(seconds) the duration by a clock that is
      never set, C(python) the interpreter's version, C(programs) the path found for each program or null, C(values) the
      texts found.
    - C(items) holds an entry for every key, with C(started), C(seconds), C(timed_out), C(error) (why there is no
      answer, or null) and by kind C(status), C(stdout), C(stderr), C(truncated), C(attempts) for commands; C(path),
      C(exists), C(text), C(truncated) for files; C(paths) for stat; C(exists), C(real_path), C(entries) for
      directories; C(ancestor), C(total_bytes), C(available_bytes), C(filesystem) for disks; C(outcome) (answered,
      stranger, refused, silent, no-route) and C(says) for connections.
  returned: always
  type: dict
"""

import json
import os
import platform
import random
import re
import signal
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mindie_child import ENDING_GRACE, Child, Program, answering, wait_for
from ansible.module_utils.mindie_read import (
    OUTPUT_LIMIT,
    READER_LIMIT,
    decoded,
    filled,
    prepare,
    read_item,
    search_path,
)

COMMAND_TIMEOUT = 30.0
READ_TIMEOUT = 15.0
TIMEOUTS_OF_A_KEY = 2  # after that many, the other commands of the same exclusive key are not tried


class Task(object):
    """One item on its way: how often it was tried, and the child that works on it now."""

    def __init__(self, item):
        self.item = item
        self.attempts = 0
        self.not_before = 0.0
        self.child = None

    @property
    def exclusive(self):
        """The word that no other running command may share; reads have none."""
        return self.item.get("exclusive") if "command" in self.item else None


class Collection(object):
    """Works through the items with a limited number of children at once."""

    def __init__(self, programs, values, items, limit, parallel):
        self.places = {name: list(places) for name, places in programs.items()}
        for item in items:
            if "command" in item:
                self.places.setdefault(item["command"][0], [item["command"][0]])
        self.named = sorted(programs)
        self.values = values
        self.parallel = max(1, parallel)
        self.began = time.monotonic()
        self.deadline = self.began + limit
        self.started = time.time()
        self.waiting = [Task(item) for item in items]
        self.running = []
        self.held = set()  # exclusive words in use, also between the attempts of a command
        self.timeouts = {}
        self.results = {}
        self.found = {}
        self.texts = {}

    def run(self):
        """Returns the collection. Ends by its limit at the latest."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it was ignored, the kernel would keep no exit status
        try:
            problem = self.find()
            if problem:
                for task in self.waiting:
                    self.refuse(task, problem)
                self.waiting = []
            while self.waiting or self.running:
                self.start_what_can()
                self.watch()
                if time.monotonic() >= self.deadline:
                    self.stop()
        finally:
            for task in self.running:
                task.child.clear()
        return {
            "started": self.started,
            "finished": time.time(),
            "seconds": round(time.monotonic() - self.began, 3),
            "python": platform.python_version(),
            "programs": {name: self.found.get(name) for name in self.named},
            "values": self.texts,
            "items": self.results,
        }

    def find(self):
        """Looks for the programs and values. Returns why that failed, or None."""
        timeout = min(READ_TIMEOUT, max(0.0, self.deadline - time.monotonic()))
        child = Child(answering(prepare, self.places, self.values), timeout, READER_LIMIT)
        while not child.finished(time.monotonic()):
            wait_for([child], 0.05)
        answer = reader_answer(child)
        self.found = answer.get("programs", {})
        self.texts = answer.get("values", {})
        return answer["error"]

    def start_what_can(self):
        """Starts tasks until all places are taken; a task waits while its exclusive word is in use."""
        now = time.monotonic()
        for task in list(self.waiting):
            if len(self.running) >= self.parallel:
                return
            word = task.exclusive
            if task.not_before > now or (word is not None and not task.attempts and word in self.held):
                continue
            self.waiting.remove(task)
            if word is not None and self.timeouts.get(word, 0) >= TIMEOUTS_OF_A_KEY:
                self.refuse(task, "skipped: earlier commands on the same device gave no answer in time")
                continue
            self.start(task)

    def start(self, task):
        """Starts the child of a task, or notes why that cannot be."""
        item = task.item
        remaining = max(0.0, self.deadline - time.monotonic())
        if "command" not in item:
            timeout = min(float(item.get("timeout") or READ_TIMEOUT), remaining)
            task.child = Child(answering(read_item, item, self.texts), timeout, READER_LIMIT)
        else:
            words = [str(word) for word in item["command"]]
            path = self.found.get(words[0])
            if path is None:
                places = [filled(place, self.texts) for place in self.places[words[0]]]
                self.refuse(
                    task,
                    "%s was not found, or is no executable file (looked for %s)" % (words[0], ", ".join(places)),
                    missing=True,
                )
                return
            environment = dict(os.environ, LC_ALL="C", PATH=os.pathsep.join(search_path()))
            for name, value in (item.get("environment") or {}).items():
                environment.setdefault(name, filled(str(value), self.texts))
            timeout = min(float(item.get("timeout") or COMMAND_TIMEOUT), remaining)
            task.child = Child(Program(path, words, environment), timeout, OUTPUT_LIMIT)
            if task.exclusive is not None:
                self.held.add(task.exclusive)
        task.attempts += 1
        self.running.append(task)

    def watch(self):
        """Waits for output or the end of a child, for a moment, and takes what is finished."""
        wait_for([task.child for task in self.running], 0.02)
        now = time.monotonic()
        for task in list(self.running):
            if task.child.finished(now):
                self.running.remove(task)
                self.take(task, now)

    def take(self, task, now):
        """Notes the answer of a task, or puts it back for another attempt."""
        child, item, word = task.child, task.item, task.exclusive
        if "command" in item and self.wants_retry(task):
            pause = float(item["retries"].get("pause") or 0.5) * 2 ** (task.attempts - 1)
            task.not_before = now + pause * random.uniform(0.5, 1.5)
            if task.not_before < self.deadline:
                self.waiting.insert(0, task)  # it keeps its exclusive word
                return
        self.held.discard(word)
        if word is not None and child.timed_out:
            # A process that survived SIGKILL hangs in the driver: nothing else must join it there.
            self.timeouts[word] = self.timeouts.get(word, 0) + (1 if child.gone else TIMEOUTS_OF_A_KEY)
        self.results[item["key"]] = command_answer(task, now) if "command" in item else reader_answer(child)

    @staticmethod
    def wants_retry(task):
        """Tells whether the output asks to try again, and whether that is allowed once more."""
        retries = task.item.get("retries")
        if not retries or task.child.timed_out or task.attempts > int(retries.get("times", 0)):
            return False
        text = decoded(task.child.text(0)) + "\n" + decoded(task.child.text(1))
        return any(re.search(pattern, text) for pattern in retries.get("patterns", []))

    def refuse(self, task, reason, missing=False):
        """Notes that a task was not carried out."""
        self.held.discard(task.exclusive)
        answer = {"started": None, "seconds": 0.0, "timed_out": False, "error": reason, "attempts": task.attempts}
        if "command" in task.item:
            answer.update(status=None, stdout="", stderr="", truncated=False, missing=missing)
        self.results[task.item["key"]] = answer

    def stop(self):
        """Ends everything: the limit of the whole collection is reached."""
        for task in self.waiting:
            self.refuse(task, "not started: the whole collection reached its time limit")
        self.waiting = []
        now = time.monotonic()
        for task in self.running:
            task.child.give_up(now)
            task.child.signal_group(signal.SIGKILL)
        while self.running and time.monotonic() < now + ENDING_GRACE:
            self.watch()
        for task in self.running:
            task.child.clear()
            self.take(task, time.monotonic())
        self.running = []


def timing(child, now):
    """Returns what every answer says about time."""
    ended = child.ended_at if child.ended_at is not None else now
    return {"started": child.started, "seconds": round(ended - child.began, 3), "timed_out": child.timed_out}


def command_answer(task, now):
    """Returns the answer of a command. `error` says why there is no trustworthy one."""
    child = task.child
    answer = timing(child, now)
    answer.update(
        status=child.status if child.gone and not child.timed_out else None,
        stdout=decoded(child.text(0)),
        stderr=decoded(child.text(1)),
        truncated=child.truncated,
        attempts=task.attempts,
        error=None,
    )
    if child.timed_out:
        answer["error"] = "no answer within %g s" % round(child.waited, 1)
        if not child.gone:
            answer["error"] += ", and the process cannot be ended (it waits in the kernel)"
    return answer


def reader_answer(child):
    """Returns the answer of a reading child, or why it gave none."""
    answer = {"error": None}
    if child.timed_out:
        answer["error"] = "the file system gave no answer in time"
    elif child.status != 0 or child.truncated:
        answer["error"] = decoded(child.text(1)) or "the reading process ended with status %s" % child.status
    else:
        answer = json.loads(decoded(child.text(0)))
    answer.update(timing(child, time.monotonic()))
    return answer


KINDS = ("command", "file", "stat", "directory", "disk", "connect")


def problem_of(items):
    """Returns what is wrong with the list of items, or None."""
    keys = set()
    for item in items:
        key = item.get("key")
        kinds = [kind for kind in KINDS if kind in item]
        if not isinstance(key, str) or key in keys:
            return "every item needs a key of its own: %r" % (key,)
        keys.add(key)
        if len(kinds) != 1:
            return "%s: exactly one of %s is needed" % (key, ", ".join(KINDS))
        if kinds[0] in ("command", "stat") and not (isinstance(item[kinds[0]], list) and item[kinds[0]]):
            return "%s: %s is a list that is not empty" % (key, kinds[0])
    return None


def main():
    """Reads the arguments, collects, and ends."""
    module = AnsibleModule(
        argument_spec={
            "programs": {"type": "dict", "default": {}},
            "values": {"type": "dict", "default": {}},
            "items": {"type": "list", "elements": "dict", "required": True},
            "limit": {"type": "float", "default": 120.0},
            "parallel": {"type": "int", "default": 16},
        },
        supports_check_mode=True,
    )
    os.chdir("/")  # no command may hold, or hang on, the directory that we were started in
    arguments = module.params
    problem = problem_of(arguments["items"])
    if problem:
        module.fail_json(msg="items: %s" % problem)
    collection = Collection(
        arguments["programs"], arguments["values"], arguments["items"], arguments["limit"], arguments["parallel"]
    )
    module.exit_json(changed=False, collection=collection.run())


if __name__ == "__main__":
    main()

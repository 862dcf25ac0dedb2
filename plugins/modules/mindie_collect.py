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
      directories; C(ancestor), C(total_bytes), C(available_bytes), C(filesystem) for disks.
  returned: always
  type: dict
"""

import errno
import glob
import grp
import json
import os
import platform
import pwd
import random
import re
import select
import signal
import stat
import sys
import time

from ansible.module_utils.basic import AnsibleModule

OUTPUT_LIMIT = 1 << 20  # bytes kept of each stream of a command, and of a file
READER_LIMIT = 32 << 20  # bytes of the answer of a reading child, which is JSON and so longer than what it read
ENTRY_LIMIT = 20000  # entries of a directory, matches of a pattern
COMMAND_TIMEOUT = 30.0
READ_TIMEOUT = 15.0
ENDING_GRACE = 1.0  # seconds between SIGTERM and SIGKILL, and between SIGKILL and giving up
STRAGGLER_GRACE = 0.5  # seconds to wait for output that a child's own children still hold open
TIMEOUTS_OF_A_KEY = 2  # after that many, the other commands of the same exclusive key are not tried
SYSTEM_DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
RESET_SIGNALS = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)  # Python ignores or handles these; programs must not


# ---- reading: these run in a child, since a path on a dead network file system blocks for ever ----


def owner_name(number, table):
    """Returns the name of a user or group number, or the number as text where there is none."""
    try:
        return table(number)[0]
    except (KeyError, OverflowError):
        return str(number)


def kind_of(mode):
    """Returns the word for the type of a path."""
    for test, word in (
        (stat.S_ISLNK, "link"),
        (stat.S_ISDIR, "directory"),
        (stat.S_ISREG, "file"),
        (stat.S_ISCHR, "char"),
        (stat.S_ISBLK, "block"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISFIFO, "fifo"),
    ):
        if test(mode):
            return word
    return "other"


def path_state(path):
    """Returns what lstat says of a path; a missing one is an answer, not an error."""
    try:
        info = os.lstat(path)
    except OSError as problem:
        missing = problem.errno in (errno.ENOENT, errno.ENOTDIR)
        return {"path": path, "exists": False, "error": None if missing else problem.strerror}
    state = {
        "path": path,
        "exists": True,
        "kind": kind_of(info.st_mode),
        "mode": "%04o" % stat.S_IMODE(info.st_mode),
        "uid": info.st_uid,
        "gid": info.st_gid,
        "owner": owner_name(info.st_uid, pwd.getpwuid),
        "group": owner_name(info.st_gid, grp.getgrgid),
        "size": info.st_size,
        "modified": info.st_mtime,
        "error": None,
    }
    if state["kind"] == "link":
        state["target"] = os.path.realpath(path)
        try:
            state["target_kind"] = kind_of(os.stat(path).st_mode)
        except OSError as problem:
            state["target_kind"] = None
            state["error"] = "the link leads nowhere: %s" % problem.strerror
    elif state["kind"] in ("char", "block"):
        state["device"] = [os.major(info.st_rdev), os.minor(info.st_rdev)]
    return state


def read_stat(patterns):
    """Returns the state of every path, and of every match of the patterns among them, each once."""
    paths = []
    for pattern in patterns:
        found = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
        paths.extend(path for path in found if path not in paths)
    return {"paths": [path_state(path) for path in paths[:ENTRY_LIMIT]], "truncated": len(paths) > ENTRY_LIMIT}


def read_file(candidates, limit, lines):
    """Returns the text of the first candidate that exists. Only regular files are opened: a pipe would block."""
    path = candidates[0]
    for path in candidates:
        if os.path.lexists(path):
            break
    answer = {"path": path, "exists": True, "text": "", "truncated": False, "error": None}
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            answer["error"] = "not a regular file"
            return answer
        with open(path, "rb") as stream:
            content = stream.read((limit if lines is None else READER_LIMIT) + 1)
    except OSError as problem:
        answer["exists"] = problem.errno not in (errno.ENOENT, errno.ENOTDIR)
        answer["error"] = problem.strerror
        return answer
    if lines is not None:
        wanted = re.compile(lines.encode())
        content = b"".join(line for line in content.splitlines(True) if wanted.search(line))
    answer["text"] = decoded(content[:limit])
    answer["truncated"] = len(content) > limit
    return answer


def read_directory(path):
    """Returns the entries of a directory: kind, size and mode are those of what a link leads to."""
    answer = {"path": path, "exists": True, "entries": [], "truncated": False, "error": None}
    try:
        info = os.stat(path)
        answer["real_path"] = os.path.realpath(path)
        answer.update(mode="%04o" % stat.S_IMODE(info.st_mode), uid=info.st_uid, gid=info.st_gid)
        names = sorted(os.listdir(path))
    except OSError as problem:
        answer["exists"] = problem.errno != errno.ENOENT
        answer["error"] = problem.strerror
        return answer
    answer["truncated"] = len(names) > ENTRY_LIMIT
    for name in names[:ENTRY_LIMIT]:
        entry = {"name": decoded(os.fsencode(name)), "link": os.path.islink(os.path.join(path, name))}
        try:
            info = os.stat(os.path.join(path, name))
            entry.update(kind=kind_of(info.st_mode), size=info.st_size, mode="%04o" % stat.S_IMODE(info.st_mode))
            entry.update(uid=info.st_uid, gid=info.st_gid)
        except OSError as problem:
            entry["error"] = problem.strerror
        answer["entries"].append(entry)
    return answer


def filesystem_of(device):
    """Returns the type of the file system with this device number, or None."""
    wanted = "%d:%d" % (os.major(device), os.minor(device))
    try:
        with open("/proc/self/mountinfo", "rb") as stream:
            for line in decoded(stream.read()).splitlines():
                left, _unused, right = line.partition(" - ")
                if left.split()[2:3] == [wanted] and right:
                    return right.split()[0]
    except OSError:
        return None
    return None


def read_disk(path):
    """Returns the space where a path is or will be: that of its nearest directory that exists."""
    ancestor = path
    while not os.path.isdir(ancestor) and os.path.dirname(ancestor) != ancestor:
        ancestor = os.path.dirname(ancestor)
    answer = {"path": path, "ancestor": ancestor, "error": None}
    try:
        space = os.statvfs(ancestor)
        answer["filesystem"] = filesystem_of(os.stat(ancestor).st_dev)
    except OSError as problem:
        answer["error"] = problem.strerror
        return answer
    answer["total_bytes"] = space.f_blocks * space.f_frsize
    answer["available_bytes"] = space.f_bavail * space.f_frsize
    answer["read_only"] = bool(space.f_flag & os.ST_RDONLY)
    return answer


def value_from_file(rule):
    """Returns the text that a KEY=VALUE file gives to a key, without quotes, or the default."""
    try:
        with open(rule["file"], "rb") as stream:
            for line in decoded(stream.read(OUTPUT_LIMIT)).splitlines():
                key, sign, value = line.partition("=")
                if sign and key.strip() == rule["key"] and value.strip():
                    return value.strip().strip("\"'")
    except OSError:
        pass
    return rule.get("default", "")


def search_path():
    """Returns the directories to look for programs in; a plain ssh command has a short PATH."""
    directories = [word for word in os.environ.get("PATH", "").split(os.pathsep) if word]
    return directories + [word for word in SYSTEM_DIRECTORIES if word not in directories]


def locate(places):
    """Returns the first place that is an executable regular file, as an absolute path, or None."""
    for place in places:
        found = [place] if "/" in place else [os.path.join(directory, place) for directory in search_path()]
        for path in found:
            if os.path.isabs(path) and os.path.isfile(path) and os.access(path, os.X_OK):
                return path
    return None


def prepare(programs, values):
    """Returns the values, and the path of every program; both can lie on file systems that block."""
    texts = {name: value_from_file(rule) for name, rule in values.items()}
    return {
        "error": None,
        "values": texts,
        "programs": {name: locate([filled(place, texts) for place in programs[name]]) for name in programs},
    }


def read_item(item, texts):
    """Returns what a reading item asks for."""
    if "file" in item:
        paths = item["file"] if isinstance(item["file"], list) else [item["file"]]
        limit = int(item.get("limit") or OUTPUT_LIMIT)
        return read_file([filled(path, texts) for path in paths], limit, item.get("lines"))
    if "stat" in item:
        return read_stat([filled(path, texts) for path in item["stat"]])
    if "directory" in item:
        return read_directory(filled(item["directory"], texts))
    return read_disk(filled(item["disk"], texts))


# ---- children: one process for each command or read, watched from a single thread ----


def filled(text, texts):
    """Returns the text with every {name} of a known value replaced."""
    for name, value in texts.items():
        text = text.replace("{%s}" % name, value)
    return text


def decoded(content):
    """Returns bytes as text that JSON can carry; what is not UTF-8 is kept as escapes."""
    return content.decode("utf-8", "backslashreplace")


class Child(object):
    """A process of ours in a session of its own, with its two output streams."""

    def __init__(self, action, timeout, keep):
        """Starts `action` (a function that runs in the child and never returns to us)."""
        self.keep = keep
        self.truncated = False
        self.status = None
        self.gone = False
        self.timed_out = False
        self.waited = 0.0
        self.cleared = False
        self.started = time.time()
        self.began = time.monotonic()
        self.deadline = self.began + timeout
        self.ended_at = None
        self.kill_step = 0
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            run_in_child(action, out_write, err_write)
        os.close(out_write)
        os.close(err_write)
        self.streams = {out_read: [], err_read: []}
        self.sizes = {out_read: 0, err_read: 0}
        self.open = {out_read, err_read}
        self.order = (out_read, err_read)

    def take(self, descriptor):
        """Takes what a stream has to give, keeping no more than the limit."""
        try:
            content = os.read(descriptor, 65536)
        except OSError:
            content = b""
        if not content:
            self.shut(descriptor)
            return
        room = self.keep - self.sizes[descriptor]
        if len(content) > room:
            self.truncated = True
            content = content[:room]
        if content:
            self.streams[descriptor].append(content)
            self.sizes[descriptor] += len(content)

    def shut(self, descriptor):
        """Closes our end of a stream."""
        if descriptor in self.open:
            self.open.discard(descriptor)
            os.close(descriptor)

    def text(self, index):
        """Returns what the child wrote to standard output (0) or standard error (1)."""
        return b"".join(self.streams[self.order[index]])

    def look(self):
        """Notes the end of the process, if it has ended. A signal counts as 128 and its number, as in a shell.

        The process is left unburied, so that its number cannot become that of another group while we may still signal.
        """
        if self.gone:
            return
        info = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if info is not None:
            self.gone = True
            self.ended_at = time.monotonic()
            self.status = info.si_status if info.si_code == os.CLD_EXITED else 128 + info.si_status

    def signal_group(self, number):
        """Sends a signal to the child and all its descendants that stayed in its group."""
        for send in (os.killpg, os.kill):  # the group is not there before the child's first step
            try:
                send(self.pid, number)
                return
            except OSError:
                continue

    def finished(self, now):
        """Moves the child on: time limit, ending, left-over output. True when there is no more to wait for."""
        self.look()
        if self.gone and (not self.open or now - self.ended_at >= STRAGGLER_GRACE):
            self.clear()
            return True
        if self.kill_step == 0 and now >= self.deadline:
            self.give_up(now)
            self.end(now, signal.SIGTERM)
        elif self.kill_step == 1 and now >= self.deadline:
            self.end(now, signal.SIGKILL)
        elif self.kill_step == 2 and now >= self.deadline:
            self.clear()
            return True
        return False

    def give_up(self, now):
        """Notes that the answer did not come in time, and how long we waited."""
        if not self.timed_out:
            self.timed_out = True
            self.waited = now - self.began

    def end(self, now, number):
        """Takes the next step of ending the process, and waits a little for its effect."""
        self.signal_group(number)
        self.kill_step += 1
        self.deadline = now + ENDING_GRACE

    def clear(self):
        """Ends what is left of the group, buries the process and closes the streams."""
        if self.cleared:
            return
        self.cleared = True
        self.signal_group(signal.SIGKILL)
        self.look()
        if self.gone:
            os.waitpid(self.pid, os.WNOHANG)
        for descriptor in list(self.open):
            self.shut(descriptor)


def run_in_child(action, out_write, err_write):
    """Becomes the child: own session, no input, output into the pipes, no signal left ignored."""
    status = 127
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(out_write, 1)
        os.dup2(err_write, 2)
        for number in RESET_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.chdir("/")
        status = action()
    except BaseException as problem:  # a child that came back into the parent's code would be a second parent
        os.write(2, ("%s: %s" % (type(problem).__name__, problem)).encode("utf-8", "backslashreplace"))
    finally:
        os._exit(status)


def executing(path, words, environment):
    """Returns an action that turns the child into a program."""

    def action():
        os.execve(path, words, environment)

    return action


def answering(function, *arguments):
    """Returns an action that writes what a function returns as JSON."""

    def action():
        content = json.dumps(function(*arguments)).encode("ascii")
        while content:
            content = content[os.write(1, content) :]
        return 0

    return action


# ---- the collection ----


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
            task.child = Child(executing(path, words, environment), timeout, OUTPUT_LIMIT)
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


def wait_for(children, seconds):
    """Takes output of the children as it comes; returns when there was some or after the given time."""
    by_descriptor = {descriptor: child for child in children for descriptor in child.open}
    poll = select.poll()  # select() fails for descriptors above 1023
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN | select.POLLHUP)
    if any(not child.open for child in children):
        seconds = min(seconds, 0.001)  # it has closed its output and is about to end
    for descriptor, _events in poll.poll(seconds * 1000):
        by_descriptor[descriptor].take(descriptor)


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


KINDS = ("command", "file", "stat", "directory", "disk")


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

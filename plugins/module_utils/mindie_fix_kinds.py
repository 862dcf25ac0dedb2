# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""What mindie_fix can change: how the value of each kind is read and written."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fnmatch
import os
import re
import stat

from ansible.module_utils.mindie_fix_host import ENGINE_LIMIT, LABEL, RefusedError, command
from ansible.module_utils.mindie_read import decoded

ABSENT = "absent"
LOG_LINES = 5000
TLS = re.compile(r"tls switch\[([01])\]")
NETDETECT = re.compile(r"netdetect addr(?:ess)?\s*:\s*([0-9.]+)")
ENDED = ("created", "exited", "dead")
# What MindIE keeps in shared memory; nothing else there is ever removed.
LEFT_FILES = ("*llm_backend_*", "llm_tokenizer_shared_memory_*")


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

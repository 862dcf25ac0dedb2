# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Processes that outlive the module that started them, told apart by their number and their birth."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import signal
import time


def born(pid):
    """Returns when a process started, in the kernel's ticks, or None where there is none (a zombie is none)."""
    try:
        with open("/proc/%d/stat" % pid) as stream:
            fields = stream.read().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def running(pid_file):
    """Returns what a pid file says ("pid" and "born" at least) while the process that it names runs, else None."""
    try:
        with open(pid_file, "rb") as stream:
            note = json.loads(stream.read(65536).decode("utf-8"))
        pid, birth = int(note["pid"]), int(note["born"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return note if pid > 1 and born(pid) == birth else None


def end(note, patience):
    """Ends the process of a note: asks, waits for `patience` seconds, then insists."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(note["pid"], number)
        except ProcessLookupError:
            return
        until = time.monotonic() + patience
        while born(note["pid"]) == note["born"] and time.monotonic() < until:
            time.sleep(0.02)
        if born(note["pid"]) != note["born"]:
            return

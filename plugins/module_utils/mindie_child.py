# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Processes with a time limit that are ended with all their descendants, watched from a single thread."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import select
import signal
import sys
import time

ENDING_GRACE = 1.0  # seconds between SIGTERM and SIGKILL, and between SIGKILL and giving up
STRAGGLER_GRACE = 0.5  # seconds to wait for output that a child's own children still hold open
RESET_SIGNALS = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)  # Python ignores or handles these; programs must not


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
        self.pid = started(action, out_write, err_write)
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


class Program(object):
    """An action that turns the child into a program."""

    def __init__(self, path, words, environment):
        self.path = path
        self.words = words
        self.environment = environment

    def __call__(self):
        os.execve(self.path, self.words, self.environment)

    def spawn(self, out_write, err_write):
        """Starts the program without a copy of us, which costs more than most programs do; the directory stays ours.

        Returns the number of the process. Raises OSError, and NotImplementedError where the C library is too old.
        """
        return os.posix_spawn(
            self.path,
            self.words,
            self.environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, out_write, 1),
                (os.POSIX_SPAWN_DUP2, err_write, 2),
            ],
            setsid=True,
            setsigdef=RESET_SIGNALS,
        )


def started(action, out_write, err_write):
    """Starts a child with its own session, no input and output into the pipes; returns the number of the process."""
    if isinstance(action, Program) and hasattr(os, "posix_spawn") and os.getcwd() == "/":  # Python 3.8
        try:
            return action.spawn(out_write, err_write)
        except (OSError, NotImplementedError):
            pass  # the copy of us can say why not
    pid = os.fork()
    if pid == 0:
        run_in_child(action, out_write, err_write)
    return pid


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


def answering(function, *arguments):
    """Returns an action that writes what a function returns as JSON."""

    def action():
        content = json.dumps(function(*arguments)).encode("ascii")
        while content:
            content = content[os.write(1, content) :]
        return 0

    return action


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

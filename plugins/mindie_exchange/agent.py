# SPDX-License-Identifier: Apache-2.0
"""The agent of a member: listens, starts a process for every lane, adds up how far they are, and ends with them."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from typing import Any

from mindie_exchange import calls, journal
from mindie_exchange.door import Door
from mindie_exchange.host import (
    AgentError,
    allow_descriptors,
    call_ourselves,
    end_with,
    find_room,
    lock_directory,
    lower_priority,
)
from mindie_exchange.lane import Lane
from mindie_exchange.plan import Plan
from mindie_exchange.progress import STATUS_EVERY_S, Progress, complain, note_proof
from mindie_exchange.share import LaneError
from mindie_exchange.store import DIRECTORY_MODE, StoreError, trouble

# Of the process; at most 15 letters.
NAME = "mindie-exchange"
# In the incoming directory: a line for every file that was proven, with its identity, sha256 and name.
PROVEN = ".proven"
# A lane that is killed is started again, so often without a byte of progress in between.
MOST_RESTARTS = 5
# So long a lane may take to end when it is told to; all that counts is on the disk already.
END_S = 0.5

COMPLETE, FAILED, STOPPED = 0, 1, 3
CRASHED = 4  # of a lane only


class _StoppedError(Exception):
    """The agent was told to stop before it began."""


class _Worker:
    """A lane as the agent sees it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.channel: socket.socket | None = None
        self.text = b""
        self.ended = False
        self.failed = ""
        self.restarts = 0


class Agent:
    """One run of one member."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.workers = [_Worker(number) for number in range(plan.lanes)]
        self.selector = selectors.DefaultSelector()
        self.door = Door(self.selector, self._channel_of)
        self.progress = Progress(plan)
        self.digests = {file.name: file.sha256 for file in plan.files}
        self.stopping = ""
        self.begun = self.let_end = False
        self.lock: int | None = None

    def run(self) -> int:
        """Returns the exit status: 0 when everything is here and everywhere, 1 after a failure, 3 when stopped.

        Raises AgentError when it cannot begin.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            self._prepare()
            self.begun = True
            for worker in self.workers:
                self._start(worker)
            return self._loop()
        except _StoppedError:
            self.progress.show("stopped", self.stopping)
            return STOPPED
        except StoreError as error:
            raise AgentError(str(error)) from None
        finally:
            self._end_all()

    def _stop(self, number: int, _frame: Any) -> None:
        self.stopping = "it was told to stop (signal %d)" % number
        if not self.begun:
            raise _StoppedError

    def _prepare(self) -> None:
        """Takes the directory, reads what earlier runs left there, and listens. Raises AgentError, StoreError."""
        call_ourselves(NAME)
        lower_priority()
        allow_descriptors()
        try:
            calls.tls_contexts(self.plan)
        except OSError as error:
            raise AgentError("tls: the certificate or key of the plan cannot be used: %s" % error) from None
        place = self.plan.place
        if not place.read_only:
            try:
                os.makedirs(place.incoming, mode=DIRECTORY_MODE, exist_ok=True)
                self.lock = lock_directory(place.incoming)
                self._take_over(place.incoming)
                find_room(self.plan)
            except OSError as error:
                raise trouble(error.filename or place.incoming, error) from None
        me = self.plan.members[self.plan.me]
        if not me.dials:
            self.door.open(me)

    def _take_over(self, folder: str) -> None:
        """Puts what the journals of earlier runs tell into one."""
        known = journal.read(folder)
        doubtful = sum(one.length for ranges in known.values() for one in ranges if not one.sure)
        if doubtful:
            self.progress.show("looking", "the host was restarted: %d bytes are compared with the journal" % doubtful)
        if known:
            journal.merge(folder, journal.believed(folder, known), [file.name for file in self.plan.files])

    # the loop

    def _loop(self) -> int:
        shown = 0.0
        while True:
            for key, _mask in self.selector.select(0.2):
                key.data(key.fileobj)
            now = time.monotonic()
            self.door.tick(now)
            self._reap()
            failed = next((worker.failed for worker in self.workers if worker.failed), "")
            if not failed and now - self.progress.began > self.plan.lifetime:
                failed = "it is not complete after %d s, which is the most it may take" % self.plan.lifetime
            ended = all(worker.ended for worker in self.workers)
            self._let_end()
            if failed or ended or self.stopping or now - shown >= STATUS_EVERY_S:
                shown = now
                self.progress.show(self._state(failed, ended), failed or self.stopping)
            if failed:
                complain(failed)
                return FAILED
            if self.stopping:
                return STOPPED
            if ended:
                return COMPLETE

    def _let_end(self) -> None:
        """Lets the lanes end when all of them are finished."""
        for worker in self.workers:
            if not (worker.ended or self.progress.lanes.get(worker.number, {}).get("finished")):
                self.let_end = False
                return
        if not self.let_end:
            self.let_end = True
            for worker in self.workers:
                if worker.channel is not None:
                    with contextlib.suppress(OSError):  # it is gone, and will be started again
                        calls.let_end(worker.channel)

    def _state(self, failed: str, ended: bool) -> str:
        if failed:
            return "failed"
        if self.stopping:
            return "stopped"
        if ended:
            return "done"
        lanes = self.progress.lanes
        complete = all(lanes.get(worker.number, {}).get("complete") for worker in self.workers)
        return "serving" if complete else "exchanging"

    # lanes

    def _channel_of(self, lane: int) -> socket.socket | None:
        return self.workers[lane].channel if lane < len(self.workers) else None

    def _start(self, worker: _Worker) -> None:
        """Starts the process of a lane."""
        ours, theirs = socket.socketpair()
        agent = os.getpid()
        pid = os.fork()
        if not pid:
            status = FAILED
            try:
                ours.close()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                self._close_others()
                end_with(agent, FAILED)
                status = run_lane(self.plan, worker.number, theirs)
            finally:
                os._exit(status)
        theirs.close()
        worker.pid, worker.channel, worker.text = pid, ours, b""
        self.selector.register(ours, selectors.EVENT_READ, lambda _channel: self._hear(worker))

    def _close_others(self) -> None:
        """In a new lane: closes what belongs to the agent and to other lanes. The lock stays: it is shared."""
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self.selector.close()

    def _hear(self, worker: _Worker) -> None:
        """Takes what a lane says."""
        assert worker.channel is not None
        try:
            data = worker.channel.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(worker.channel)
            worker.channel.close()
            worker.channel = None
            return
        *lines, worker.text = (worker.text + data).split(b"\n")
        for line in lines:
            message = json.loads(line.decode())
            if "status" in message:
                self.progress.lanes[worker.number] = message["status"]
            if "proven" in message:
                self._proven(worker, message["proven"])
            if "warning" in message:
                self.progress.warn(message["warning"])
            if "failed" in message:
                worker.failed = message["failed"]

    def _proven(self, worker: _Worker, name: str) -> None:
        """Keeps the proof of a file beside it."""
        incoming = self.plan.place.incoming
        try:
            note_proof(os.path.join(incoming, PROVEN), incoming, name, self.digests[name])
            self.progress.proven(name)
        except FileNotFoundError:
            pass  # it broke since, and is being brought again
        except OSError as error:
            worker.failed = str(trouble(error.filename or incoming, error))

    def _reap(self) -> None:
        for worker in self.workers:
            if not worker.pid:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if not pid:
                continue
            worker.pid = 0
            while worker.channel is not None:
                self._hear(worker)
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == COMPLETE:
                worker.ended = True
            elif not worker.failed:
                self._restart(worker, status)

    def _restart(self, worker: _Worker, status: int) -> None:
        said = self.progress.lanes.get(worker.number, {})
        # A lane that did something is not one that cannot live.
        if said.get("sent", 0) or said.get("bytes_done", 0) > said.get("bytes_before", 0):
            worker.restarts = 0
        worker.restarts += 1
        how = "signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "status %d" % os.WEXITSTATUS(status)
        if worker.restarts > MOST_RESTARTS:
            worker.failed = (
                "lane %d ended %d times without any progress, the last time with %s: look for a killer (dmesg, memory) "
                "and into the log of the agent" % (worker.number, worker.restarts, how)
            )
            return
        self.progress.warn("lane %d ended with %s and was started again" % (worker.number, how))
        self.progress.lane_ended(worker.number)
        self._start(worker)

    def _end_all(self) -> None:
        """Ends the lanes. What they noted is in the page cache at least, so nothing is lost."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for worker in self.workers:
                if worker.pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker.pid, number)
            until = time.monotonic() + END_S
            while any(worker.pid for worker in self.workers) and time.monotonic() < until:
                for worker in self.workers:
                    if worker.pid and os.waitpid(worker.pid, os.WNOHANG)[0]:
                        worker.pid = 0
                time.sleep(0.005)


def run_lane(plan: Plan, number: int, channel: socket.socket) -> int:
    """The process of a lane. Returns its exit status; what went wrong is told to the agent."""
    try:
        Lane(plan, number, channel).run()
        return COMPLETE
    except (LaneError, StoreError) as error:
        with contextlib.suppress(OSError):
            channel.sendall((json.dumps({"failed": str(error)}) + "\n").encode())
        return FAILED
    except Exception:
        # Where the process was started keeps its standard error; the agent starts the lane again.
        sys.excepthook(*sys.exc_info())
        return CRASHED

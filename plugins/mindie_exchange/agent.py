# SPDX-License-Identifier: Apache-2.0
"""The agent of a member: listens, starts a process for every lane, adds up how far they are, and ends with them."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import platform
import resource
import selectors
import signal
import socket
import sys
import tempfile
import time
from typing import Any

from mindie_exchange import calls, journal, wire
from mindie_exchange.lane import Lane, LaneError
from mindie_exchange.plan import Plan
from mindie_exchange.store import DIRECTORY_MODE, StoreError

# Of the process; at most 15 letters.
NAME = "mindie-exchange"
STATUS_EVERY_S = 1.0
GREETING_S = 5.0
MOST_GREETINGS = 256
# A lane that is killed is started again, so often without a byte of progress in between.
MOST_RESTARTS = 5
IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
IOPRIO_LOWEST_BEST_EFFORT = (2 << 13) | 7

# In the incoming directory: a line for every file that was proven, with its identity, sha256 and name.
PROVEN = ".proven"

# What the lanes count, added up.
COUNTS = (
    "bytes",
    "bytes_done",
    "bytes_before",
    "files",
    "files_done",
    "received",
    "sent",
    "again",
    "refused",
    "from_source",
)

COMPLETE, FAILED, STOPPED = 0, 1, 3


class AgentError(Exception):
    """The agent cannot begin; something to tell the operator."""


class _Worker:
    """A lane as the agent sees it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.channel: socket.socket | None = None
        self.text = b""
        self.status: dict[str, Any] = {}
        self.ended = False
        self.failed = ""
        self.restarts = 0
        self.done_at_start = -1


class Agent:
    """One run of one member."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.workers = [_Worker(number) for number in range(plan.lanes)]
        self.selector = selectors.DefaultSelector()
        self.began = time.monotonic()
        self.stopping = ""
        self.proven: list[str] = []
        self.warnings: list[str] = []
        self.rates: dict[str, tuple[float, float]] = {}
        self.before: tuple[float, dict[str, Any]] = (self.began, {})
        # the best second so far, in bytes
        self.peak_in = self.peak_out = 0.0
        self.greetings: dict[socket.socket, float] = {}
        self.lock: int | None = None

    def run(self) -> int:
        """Returns the exit status: 0 when everything is here and everywhere, 1 after a failure, 3 when stopped."""
        self._prepare()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            self.listener = None if self._alone() else self._listen()
            for worker in self.workers:
                self._start(worker)
            return self._loop()
        finally:
            self._end_all()

    def _alone(self) -> bool:
        """Whether nobody can call us: then there is no need to listen."""
        return self.plan.members[self.plan.me].dials

    def _prepare(self) -> None:
        call_ourselves(NAME)
        lower_priority()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536) if most > 0 else 65536, most))
        place = self.plan.place
        if place.read_only:
            return
        os.makedirs(place.incoming, mode=DIRECTORY_MODE, exist_ok=True)
        self.lock = lock_directory(place.incoming)
        known = journal.read(place.incoming)
        sure = {name: [one for one in rows if one.sure] for name, rows in known.items()}
        doubtful = {name: [one for one in rows if not one.sure] for name, rows in known.items()}
        for name, rows in doubtful.items():
            sure.setdefault(name, []).extend(journal.still_there(os.path.join(place.incoming, name), rows))
        journal.merge(place.incoming, sure, [file.name for file in self.plan.files])

    def _listen(self) -> socket.socket:
        me = self.plan.members[self.plan.me]
        family = socket.AF_INET6 if ":" in me.address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        until = time.monotonic() + 3.0
        while True:
            try:
                listener.bind((me.address, me.port))
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                    raise AgentError(cannot_listen(error, me.address, me.port)) from None
            time.sleep(0.05)
        listener.listen(256)
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, "listener")
        return listener

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
                self._close_others(theirs)
                end_with(agent)
                status = run_lane(self.plan, worker.number, theirs)
            finally:
                os._exit(status)
        theirs.close()
        worker.pid, worker.channel, worker.text = pid, ours, b""
        worker.done_at_start = int(worker.status.get("received", 0))
        self.selector.register(ours, selectors.EVENT_READ, worker)

    def _close_others(self, keep: socket.socket) -> None:
        """In a new lane: closes what belongs to the agent and to other lanes. The lock stays: it is shared."""
        for key in list(self.selector.get_map().values()):
            if key.fileobj is not keep:
                key.fileobj.close()  # type: ignore[union-attr]
        self.selector.close()
        for sock in self.greetings:
            with contextlib.suppress(OSError):
                sock.close()

    def _loop(self) -> int:
        shown = 0.0
        while True:
            for key, _mask in self.selector.select(0.2):
                if key.data == "listener":
                    self._accept()
                elif key.data == "greeting":
                    self._greeted(key.fileobj)  # type: ignore[arg-type]
                else:
                    self._hear(key.data)
            now = time.monotonic()
            for sock, since in list(self.greetings.items()):
                if now - since > GREETING_S:
                    self._forget(sock)
            self._reap()
            failed = next((worker.failed for worker in self.workers if worker.failed), "")
            ended = all(worker.ended for worker in self.workers)
            late = now - self.began > self.plan.lifetime
            if failed or ended or self.stopping or late or now - shown >= STATUS_EVERY_S:
                shown = now
                state = self._state(failed, ended, late)
                self._show(state, failed or self.stopping)
            if failed or late:
                return FAILED
            if self.stopping:
                return STOPPED
            if ended:
                return COMPLETE

    def _state(self, failed: str, ended: bool, late: bool) -> str:
        if failed or late:
            return "failed"
        if self.stopping:
            return "stopped"
        if ended:
            return "done"
        return "serving" if all(w.status.get("complete") for w in self.workers) else "exchanging"

    # connections

    def _accept(self) -> None:
        assert self.listener is not None
        with contextlib.suppress(BlockingIOError, ConnectionError):
            sock = self.listener.accept()[0]
            if len(self.greetings) >= MOST_GREETINGS:
                sock.close()
                return
            sock.setblocking(False)
            self.greetings[sock] = time.monotonic()
            self.selector.register(sock, selectors.EVENT_READ, "greeting")

    def _greeted(self, sock: socket.socket) -> None:
        """Looks which lane a caller wants, and hands the connection to it."""
        try:
            preface = sock.recv(wire.PREFACE.size, socket.MSG_PEEK)
            if 0 < len(preface) < wire.PREFACE.size and wire.MAGIC.startswith(preface[: len(wire.MAGIC)]):
                return
            magic, lane = wire.PREFACE.unpack(preface) if len(preface) == wire.PREFACE.size else (b"", 0)
            if magic != wire.MAGIC or lane >= len(self.workers) or self.workers[lane].channel is None:
                self._forget(sock)
                return
            sock.recv(wire.PREFACE.size)
            channel = self.workers[lane].channel
            assert channel is not None
            calls.send_socket(channel, sock)
        except OSError:
            pass  # the caller or the lane is gone; the caller calls again
        self._forget(sock)

    def _forget(self, sock: socket.socket) -> None:
        self.greetings.pop(sock, None)
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(sock)
        sock.close()

    # lanes

    def _hear(self, worker: _Worker) -> None:
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
                worker.status = message["status"]
            if "proven" in message:
                self._note_proven(message["proven"])
            if "warning" in message and len(self.warnings) < 100:
                self.warnings.append(message["warning"])
            if "failed" in message:
                worker.failed = message["failed"]

    def _note_proven(self, name: str) -> None:
        """Keeps the proof of a file beside it: which file it was when its sha256 was right."""
        file = next(file for file in self.plan.files if file.name == name)
        incoming = self.plan.place.incoming
        info = os.stat(os.path.join(incoming, name))
        row = "%d:%d:%d:%d\t%s\t%s\n" % (
            info.st_ino,
            info.st_size,
            info.st_mtime_ns,
            info.st_ctime_ns,
            file.sha256,
            name,
        )
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        number = os.open(os.path.join(incoming, PROVEN), flags, 0o600)
        try:
            os.write(number, row.encode())
        finally:
            os.close(number)
        self.proven.append(name)

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
        if int(worker.status.get("received", 0)) > 0 or worker.done_at_start < 0:
            worker.restarts = 0
        worker.restarts += 1
        how = "signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "status %d" % os.WEXITSTATUS(status)
        if worker.restarts > MOST_RESTARTS:
            worker.failed = "lane %d ended again and again, last with %s" % (worker.number, how)
            return
        self.warnings.append("lane %d ended with %s and was started again" % (worker.number, how))
        worker.status = {}
        self._start(worker)

    def _stop(self, number: int, _frame: Any) -> None:
        self.stopping = "it was told to stop (signal %d)" % number

    def _end_all(self) -> None:
        for worker in self.workers:
            if worker.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGTERM)
        for worker in self.workers:
            if worker.pid:
                os.waitpid(worker.pid, 0)
                worker.pid = 0

    # what is shown

    def _show(self, state: str, message: str) -> None:
        statuses = [worker.status for worker in self.workers if worker.status]
        now = time.monotonic()
        total = {key: sum(int(status.get(key, 0)) for status in statuses) for key in COUNTS}
        peers: dict[str, dict[str, int]] = {}
        for status in statuses:
            for name, row in status.get("peers", {}).items():
                sums = peers.setdefault(name, {"received": 0, "sent": 0})
                for key in sums:
                    sums[key] += row[key]
        since, old = self.before
        passed = max(0.001, now - since)
        came = total["received"] + total["from_source"] - old.get("received", 0) - old.get("from_source", 0)
        rate_in = max(0, came) / passed
        rate_out = max(0, total["sent"] - old.get("sent", 0)) / passed
        for name, row in peers.items():
            last = old.get("peers", {}).get(name, {})
            row["rate_in"] = int(max(0, row["received"] - last.get("received", 0)) / passed)
            row["rate_out"] = int(max(0, row["sent"] - last.get("sent", 0)) / passed)
        if passed >= STATUS_EVERY_S:
            self.peak_in, self.peak_out = max(self.peak_in, rate_in), max(self.peak_out, rate_out)
            self.before = (now, dict(total, peers=peers))
        unreached: dict[str, str] = {}
        for status in statuses:
            unreached.update(status.get("unreached", {}))
        line = dict(
            total,
            state=state,
            message=message,
            rate=int(rate_in),
            rate_out=int(rate_out),
            peak_in=int(self.peak_in),
            peak_out=int(self.peak_out),
            elapsed_s=round(now - self.began, 1),
            peers=peers,
            unreached=unreached,
            waits_for=sorted({name for status in statuses for name in status.get("waits_for", [])}),
            proven=len(self.proven),
            source_trouble=next((s["source_trouble"] for s in statuses if s.get("source_trouble")), ""),
            warnings=self.warnings[-20:],
            pid=os.getpid(),
        )
        write_status(self.plan.status_file, line)


def run_lane(plan: Plan, number: int, channel: socket.socket) -> int:
    """The process of a lane. Returns its exit status; what went wrong is told to the agent."""
    try:
        Lane(plan, number, channel).run()
        return COMPLETE
    except (LaneError, StoreError) as error:
        channel.setblocking(True)
        with contextlib.suppress(OSError):
            channel.sendall((json.dumps({"failed": str(error)}) + "\n").encode())
        return FAILED
    except Exception:
        # Where the process was started keeps its standard error; the agent starts the lane again.
        sys.excepthook(*sys.exc_info())
        return FAILED + 1


def end_with(agent: int) -> None:
    """Lets this process end when its agent ends, however that ends (PR_SET_PDEATHSIG of linux/prctl.h)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != agent:
        os._exit(FAILED)


def call_ourselves(name: str) -> None:
    """Gives this process, and those that it starts, the name by which a check knows its sockets."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as stream:
        stream.write(name)


def lower_priority() -> None:
    """Lets everything else on the host go first: a deployment may be running."""
    with contextlib.suppress(OSError):
        os.nice(10)
    number = IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, 1, 0, IOPRIO_LOWEST_BEST_EFFORT)


def lock_directory(path: str) -> int | None:
    """Keeps two agents out of one directory. Raises AgentError; returns None where the filesystem has no locks."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    until = time.monotonic() + 5.0
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                os.close(number)
                return None
            if time.monotonic() > until:
                os.close(number)
                raise AgentError("another transfer into %s is running" % path) from None
        time.sleep(0.1)


def cannot_listen(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return "port %d on %s is taken by another program; free it or choose another mindie_weights_port" % (
            port,
            address,
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return "%s is not an address of this host; set mindie_host_address to one that the other hosts reach" % address
    return "cannot listen on %s port %d: %s" % (address, port, error.strerror or error)


def write_status(path: str, line: dict[str, Any]) -> None:
    """Replaces the status file as a whole."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o750, exist_ok=True)
    number, name = tempfile.mkstemp(dir=folder, prefix=".status-")
    with os.fdopen(number, "w") as handle:
        os.fchmod(number, 0o640)
        handle.write(json.dumps(line) + "\n")
    os.rename(name, path)

# SPDX-License-Identifier: Apache-2.0
"""What the agent needs of the host that it runs on."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import signal
import time

from mindie_exchange.plan import Plan
from mindie_exchange.store import Store, free_bytes, is_file, taken_bytes

IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
IOPRIO_LOWEST_BEST_EFFORT = (2 << 13) | 7
PR_SET_PDEATHSIG = 1  # linux/prctl.h
DESCRIPTORS = 65536
LOCK_S = 5.0


class AgentError(Exception):
    """The agent cannot begin; something to tell the operator."""


def end_with(agent: int, status: int) -> None:
    """Lets this process end when its agent ends, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != agent:
        os._exit(status)


def call_ourselves(name: str) -> None:
    """Gives this process, and those that it starts, the name by which a check knows its sockets."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as stream:
        stream.write(name)


def lower_priority() -> None:
    """Lets everything else on the host go first: a deployment may be running."""
    with contextlib.suppress(OSError):
        os.nice(10)
    number = IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(number, 1, 0, IOPRIO_LOWEST_BEST_EFFORT)


def allow_descriptors() -> None:
    """Lets this process and its children have as many files open as they may."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, DESCRIPTORS) if most > 0 else DESCRIPTORS, most))


def lock_directory(path: str) -> int | None:
    """Keeps two agents out of one directory. Raises AgentError; returns None where the filesystem has no locks."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    until = time.monotonic() + LOCK_S
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
                raise AgentError("another transfer into %s is running; wait for it or end it" % path) from None
        time.sleep(0.1)


def find_room(plan: Plan) -> None:
    """Raises AgentError when the files that are missing cannot fit on the disk."""
    place = plan.place
    store = Store(place, plan.files)
    missing = 0
    for index, file in enumerate(plan.files):
        if not store.complete(index) and not is_file(store.arrived(index), file.size):
            missing += max(0, file.size - taken_bytes(store.partial(index)))
    free = free_bytes(place.incoming)
    if missing > free:
        raise AgentError(
            "the disk of %s is too small: %d bytes are missing and %d are free; make room for %d more and start the "
            "sync again" % (place.incoming, missing, free, missing - free)
        )


def cannot_listen(error: OSError, address: str, port: int) -> str:
    """Returns what to tell the operator."""
    if error.errno == errno.EADDRINUSE:
        return "port %d on %s is taken by another program; free it or choose another mindie_weights_port" % (
            port,
            address,
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return "%s is not an address of this host; set mindie_host_address to one that the other hosts reach" % address
    return "cannot listen on %s port %d: %s" % (address, port, error.strerror or error)

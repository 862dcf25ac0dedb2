#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Listens on ports for a moment, so that other hosts can try whether they reach them."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_listen
short_description: Listen on ports of a host for a moment
description:
  - Starts a process that accepts connections on the given ports, says one word and hangs up. It writes no file.
  - It ends when it is told to, and by itself when nobody has connected for I(quiet), after I(lifetime), and when a run
    takes the lock of the deployment, whatever happens to the controller. The ports are then free at once.
  - The process is called mindie-listen, so that another check knows its ports from those that are really taken.
  - Nothing on the host is changed by it, so check mode runs it too.
options:
  state:
    description: C(started) listens, C(stopped) ends the process that I(process) names.
    choices: [started, stopped]
    default: started
    type: str
  address:
    description: The address to listen on.
    type: str
  ports:
    description: The TCP ports. One that cannot be had is left out and named in the answer.
    type: list
    elements: int
    default: []
  word:
    description: What is said to everybody who connects.
    type: str
    default: ""
  lifetime:
    description: Seconds after which the process ends by itself.
    type: int
    default: 180
  quiet:
    description: Seconds without a connection after which the process ends by itself.
    type: int
    default: 60
  lock:
    description:
      - The lock file of the deployment. While a run other than I(run_id) holds it, that run may be about to start a
        daemon on the ports, so nothing listens.
    type: path
    default: ""
  run_id:
    description: Identity of this run, as the lock would name it.
    type: str
    default: ""
  process:
    description: What C(started) returned as C(process).
    type: dict
    default: {}
author:
  - mindie-deploy
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Listen where the leader will
  mindie_listen:
    address: 10.0.0.1
    ports: [1120]
    word: 5ae0c1
  register: listener

- name: Listen no more
  mindie_listen:
    state: stopped
    process: "{{ listener.process }}"
"""

RETURN = r"""
process:
  description: C(pid) and C(born) (its start by the kernel's count) of the process; empty where no port could be had.
  returned: when started
  type: dict
refused:
  description: The ports that could not be had, with the reason.
  returned: when started
  type: dict
was_running:
  description: Whether the process was there until it was stopped.
  returned: when stopped
  type: bool
"""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mindie_process import born

BACKLOG = 128
PATIENCE = 1.0  # seconds for a peer to take the word and hang up
LOCK_PAUSE = 0.5  # seconds between two looks at the lock
NAME = "mindie-listen"  # of the process, by which a collection tells our sockets


def opened(address, ports):
    """Returns the listening sockets, and why others could not be had, by port."""
    sockets, refused = [], {}
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in ports:
        link = socket.socket(family, socket.SOCK_STREAM)
        try:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            link.bind((address, port))
            link.listen(BACKLOG)
            link.setblocking(False)
            sockets.append(link)
        except (OSError, OverflowError) as problem:
            link.close()
            refused[str(port)] = getattr(problem, "strerror", None) or str(problem)
    return sockets, refused


def call_ourselves():
    """Gives this process, and those that it forks, the name by which its sockets are told from others."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as stream:  # else they look like anybody's
        stream.write(NAME)


def holder(path, run_id):
    """Returns in words which other run holds the lock, or None."""
    try:
        with open(path, "rb") as stream:
            text = stream.read(65536).decode("utf-8", "backslashreplace")
    except (OSError, ValueError):
        return None
    try:
        lock = dict(json.loads(text))
    except (TypeError, ValueError):
        lock = {}
    if run_id and lock.get("run_id") == run_id:
        return None
    return "not tried: %s holds the lock of the deployment (%s, run %s)" % (
        lock.get("owner") or "somebody",
        lock.get("reason") or "no reason given",
        lock.get("run_id") or "unknown",
    )


def serve(listeners, word, until, quiet, unwanted):
    """Says the word to everybody until the time is over, nobody has come for `quiet` seconds, or unwanted() is true.

    The other side hangs up first: else the kernel would remember the connection here for a minute, and a daemon that
    starts meanwhile would find its port in use. For the same reason one that does not hang up is cut off, also when
    this process is killed.
    """
    heard = {}  # connections that have the word, and when each is cut
    last = time.monotonic()
    while True:
        now = time.monotonic()
        for link in [link for link, end in heard.items() if end <= now]:
            del heard[link]
            link.close()
        end = min(until, last + quiet)
        if end <= now or unwanted():
            break
        first = min(end, now + LOCK_PAUSE, *heard.values())
        for ready in select.select([*listeners, *heard], [], [], first - now)[0]:
            if ready in heard:
                if hung_up(ready):
                    del heard[ready]
                    ready.close()
                continue
            with contextlib.suppress(OSError):  # one that hung up meanwhile
                link, _unused = ready.accept()
                last = time.monotonic()
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                link.setblocking(False)
                heard[link] = last + PATIENCE
                link.sendall(word)
    for link in [*listeners, *heard]:
        link.close()


def hung_up(link):
    """Tells whether the other side of a connection that can be read is gone."""
    try:
        return not link.recv(1024)
    except OSError:
        return True


def become_nobody(sockets):
    """Lets go of everything but the sockets: Ansible waits for whoever still holds its streams."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    kept = {link.fileno() for link in sockets} | {0, 1, 2}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the one of this very listing
                os.close(int(name))


def detach(sockets, *how):
    """Starts the process, which serves as `how` says, in a session of its own and returns its number."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        os.waitpid(child, 0)
        with os.fdopen(read_end, "rb") as stream:
            return int(stream.read() or b"0")
    try:
        os.setsid()
        call_ourselves()
        own = os.fork()
        if own:
            os.write(write_end, b"%d" % own)
        else:
            become_nobody(sockets)
            serve(sockets, *how)
    finally:
        os._exit(0)


def stop(process):
    """Ends the process, if it is still the one that was started; tells whether it was."""
    pid = int(process.get("pid") or 0)
    if pid < 2 or process.get("born") is None or born(pid) != int(process["born"]):
        return False
    with contextlib.suppress(OSError):  # it has just ended by itself
        os.kill(pid, signal.SIGTERM)
    return True


def main():
    """Starts or stops the listener, and ends."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "address": {"type": "str"},
            "ports": {"type": "list", "elements": "int", "default": []},
            "word": {"type": "str", "default": ""},
            "lifetime": {"type": "int", "default": 180},
            "quiet": {"type": "int", "default": 60},
            "lock": {"type": "path", "default": ""},
            "run_id": {"type": "str", "default": ""},
            "process": {"type": "dict", "default": {}},
        },
        required_if=[("state", "started", ["address"])],
        supports_check_mode=True,
    )
    if module.params["state"] == "stopped":
        module.exit_json(changed=False, was_running=stop(module.params["process"]))
    ports, lock, run_id = module.params["ports"], module.params["lock"], module.params["run_id"]
    held = holder(lock, run_id) if lock else None
    if held:
        module.exit_json(changed=False, process={}, refused=dict.fromkeys(map(str, ports), held))
    sockets, refused = opened(module.params["address"], ports)
    process = {}
    if sockets:
        pid = detach(
            sockets,
            module.params["word"].encode(),
            time.monotonic() + module.params["lifetime"],
            module.params["quiet"],
            lambda: bool(lock) and holder(lock, run_id) is not None,
        )
        process = {"pid": pid, "born": born(pid)}
    module.exit_json(changed=False, process=process, refused=refused)


if __name__ == "__main__":
    main()

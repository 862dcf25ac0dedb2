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
  - Starts a process that accepts connections on the given ports, says one word and hangs up. It reads nothing and
    writes no file. It ends when it is told to, and by itself after I(lifetime), whatever happens to the controller.
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
    default: 60
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
import os
import select
import signal
import socket
import struct
import time

from ansible.module_utils.basic import AnsibleModule

BACKLOG = 128
PATIENCE = 1.0  # seconds for a peer to take the word and hang up


def born(pid):
    """Returns when a process started, in the kernel's ticks, or None where there is none."""
    try:
        with open("/proc/%d/stat" % pid) as stream:
            return int(stream.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


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


def greet(link, word):
    """Says the word and lets the other side hang up first.

    Whoever hangs up first keeps the port busy for a minute (TIME_WAIT): a daemon that starts meanwhile would find it
    taken. For the same reason a peer that does not hang up is cut off without ceremony.
    """
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.settimeout(PATIENCE)
    link.sendall(word)
    while link.recv(64):
        pass


def serve(listeners, word, until):
    """Says the word to everybody until the time is over.

    The other side hangs up first: else the kernel would remember the connection here for a minute, and a daemon that
    starts meanwhile would find its port in use.
    """
    heard = {}  # connections that have the word, and when each is cut
    while True:
        now = time.monotonic()
        for link in [link for link, end in heard.items() if end <= now]:
            cut(link)
            del heard[link]
        if until <= now:
            return
        first = min(until, *heard.values()) if heard else until
        for ready in select.select([*listeners, *heard], [], [], first - now)[0]:
            with contextlib.suppress(OSError):  # one that hung up meanwhile
                if ready not in heard:
                    link, _unused = ready.accept()
                    link.setblocking(False)
                    heard[link] = time.monotonic() + PATIENCE
                    link.sendall(word)
                elif not ready.recv(1024):
                    del heard[ready]
                    ready.close()


def cut(link):
    """Ends a connection at once, so that the kernel forgets it."""
    with contextlib.suppress(OSError):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


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


def detach(sockets, word, lifetime):
    """Starts the process in a session of its own and returns its number."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        os.waitpid(child, 0)
        with os.fdopen(read_end, "rb") as stream:
            return int(stream.read() or b"0")
    try:
        os.setsid()
        own = os.fork()
        if own:
            os.write(write_end, b"%d" % own)
        else:
            become_nobody(sockets)
            serve(sockets, word, time.monotonic() + lifetime)
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
            "lifetime": {"type": "int", "default": 60},
            "process": {"type": "dict", "default": {}},
        },
        required_if=[("state", "started", ["address"])],
        supports_check_mode=True,
    )
    if module.params["state"] == "stopped":
        module.exit_json(changed=False, was_running=stop(module.params["process"]))
    sockets, refused = opened(module.params["address"], module.params["ports"])
    process = {}
    if sockets:
        pid = detach(sockets, module.params["word"].encode(), module.params["lifetime"])
        process = {"pid": pid, "born": born(pid)}
    module.exit_json(changed=False, process=process, refused=refused)


if __name__ == "__main__":
    main()

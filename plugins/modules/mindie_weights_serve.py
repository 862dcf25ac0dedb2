#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Starts and stops a small file server that hands the model's files to the other hosts during a sync."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_weights_serve
short_description: Serve the files of a model directory to other hosts for the time of a sync
description:
  - Starts a detached process that serves the named files, and nothing else, over HTTP with byte ranges. Each request
    must carry the secret of the run. The process ends by itself when nobody asked for anything for I(idle_limit)
    seconds, and after I(lifetime) seconds in any case.
  - A server that an earlier run left behind is ended first.
options:
  state:
    description: Whether the server runs.
    type: str
    choices: [started, stopped]
    required: true
  state_directory:
    description: Where the pid file and the log are, in C(weights/) below it.
    type: path
    required: true
  directory:
    description: The model directory to serve. Needed for V(started).
    type: path
  files:
    description: The names that may be asked for. Needed for V(started).
    type: list
    elements: str
    default: []
  address:
    description: The IP address of this host to listen on. Needed for V(started).
    type: str
  port:
    description: The TCP port to listen on.
    type: int
    default: 11200
  secret_file:
    description: File of mode 0600 with the secret. Needed for V(started); removed by V(stopped).
    type: path
    required: true
  lifetime:
    description: Seconds after which the server ends whatever happens.
    type: int
    default: 172800
  idle_limit:
    description: Seconds without a request after which the server ends.
    type: int
    default: 900
author:
  - mindie-deploy
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Serve the weights
  mindie_weights_serve:
    state: started
    state_directory: /var/lib/mindie-deploy
    directory: /data/models/DeepSeek-R1-BF16
    files: [config.json]
    address: 10.0.0.1
    secret_file: /var/lib/mindie-deploy/weights/secret
"""

RETURN = r"""
pid:
  description: Process id of the server, 0 when none runs.
  returned: always
  type: int
url:
  description: Where the files are, with a "/" at the end.
  returned: when started
  type: str
"""

import contextlib
import errno
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import stat
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from urllib.parse import quote, unquote

from ansible.module_utils.basic import AnsibleModule

SECRET_HEADER = "X-Mindie-Deploy-Secret"
# A peer that takes nothing for this long is gone; it comes back with a new connection.
SOCKET_TIMEOUT_S = 60
MOST_CONNECTIONS = 128
PORT_PATIENCE_S = 2.0
PIECE = 8 * 1024 * 1024
RANGE = re.compile(r"bytes=([0-9]{1,18})-\Z")


class ServeError(Exception):
    """Something to tell the operator without a traceback."""


class Server(ThreadingMixIn, HTTPServer):
    """Serves an allow list of files of one directory."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address, directory, files, secret):
        self.directory = directory
        # Only these can be asked for, so no path leads anywhere else.
        self.targets = {"/" + quote(name): name for name in files}
        self.secret = secret
        self.last_used = time.monotonic()
        self.slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.active = 0
        self.lock = threading.Lock()
        HTTPServer.__init__(self, address, Handler)

    def count(self, change):
        with self.lock:
            self.active += change
            self.last_used = time.monotonic()

    def process_request(self, request, client_address):
        if not self.slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        ThreadingMixIn.process_request(self, request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            ThreadingMixIn.process_request_thread(self, request, client_address)
        finally:
            self.slots.release()

    def handle_error(self, request, client_address):
        """A peer that hangs up is everyday; anything else belongs in the log."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, socket.timeout)):
            sys.stderr.write("%s: %r\n" % (client_address[0], error))
            sys.stderr.flush()


class Server6(Server):
    """The same for an IPv6 address."""

    address_family = socket.AF_INET6


class Handler(BaseHTTPRequestHandler):
    """Answers GET for a file, from an offset to its end."""

    protocol_version = "HTTP/1.1"
    timeout = SOCKET_TIMEOUT_S

    def version_string(self):
        return "mindie-deploy"

    def log_message(self, format, *args):  # noqa: A002  (the name is the base class's)
        pass

    def refuse(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def do_GET(self):
        given = self.headers.get(SECRET_HEADER) or ""
        # Strangers learn nothing, not even which files there are.
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.server.secret):
            self.refuse(403)
            return
        name = self.server.targets.get(quote(unquote(self.path)))
        if name is None:
            self.refuse(404)
            return
        self.server.count(1)
        try:
            self.send_file(os.path.join(self.server.directory, name))
        finally:
            self.server.count(-1)

    def send_file(self, path):
        try:
            number = os.open(path, os.O_RDONLY)
        except OSError:
            self.refuse(404)
            return
        with os.fdopen(number, "rb", buffering=0) as handle:
            info = os.fstat(handle.fileno())
            offset = self.offset(info.st_size)
            if not stat.S_ISREG(info.st_mode) or offset is None:
                self.refuse(416 if offset is None else 404)
                return
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Content-Length", str(info.st_size - offset))
            if "Range" in self.headers:
                self.send_header("Content-Range", "bytes %d-%d/%d" % (offset, info.st_size - 1, info.st_size))
            self.end_headers()
            self.wfile.flush()
            while offset < info.st_size:
                self.connection.settimeout(SOCKET_TIMEOUT_S)
                sent = self.connection.sendfile(handle, offset, min(PIECE, info.st_size - offset))
                if not sent:  # the file became shorter: end the connection, so that the peer sees it
                    self.close_connection = True
                    return
                offset += sent
                self.server.last_used = time.monotonic()

    def offset(self, size):
        """Returns the first byte asked for, or None when the range cannot be given."""
        if "Range" not in self.headers:
            return 0
        found = RANGE.match(self.headers["Range"])
        if not found or int(found.group(1)) >= size:
            return None
        return int(found.group(1))


def started_at(pid):
    """Returns when the process started in the kernel's ticks (with the pid it names one process), or None."""
    try:
        with open("/proc/%d/stat" % pid) as handle:
            fields = handle.read().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def running(pid_file):
    """Returns what the pid file says when the process that wrote it still runs, else None."""
    try:
        with open(pid_file) as handle:
            note = json.loads(handle.read(65536))
        pid, begun = int(note["pid"]), int(note["started_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return note if started_at(pid) == begun else None


def end(note, pid_file):
    """Ends the server of the note: asks, then insists."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(note["pid"], number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + 5
        while started_at(note["pid"]) == note["started_at"] and time.monotonic() < deadline:
            time.sleep(0.02)
        if started_at(note["pid"]) != note["started_at"]:
            break
    remove(pid_file)


def remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def read_secret(path):
    """Returns the secret. The file must be nobody else's business."""
    try:
        info = os.stat(path)
        with open(path, "rb") as handle:
            secret = handle.read(4096).strip()
    except OSError as error:
        raise ServeError("the secret file %s cannot be read: %s" % (path, error.strerror)) from None
    if info.st_mode & 0o077:
        raise ServeError("the secret file %s may be read by others (mode %04o)" % (path, info.st_mode & 0o7777))
    if len(secret) < 32:
        raise ServeError("the secret in %s is shorter than 32 characters" % path)
    return secret


def bind(parameters, secret):
    address, port = parameters["address"], parameters["port"]
    kind = Server6 if ":" in address else Server
    # A server of ours that was just ended may hold the port for a moment, until its last thread is gone.
    deadline = time.monotonic() + PORT_PATIENCE_S
    while True:
        try:
            return kind((address, port), parameters["directory"], parameters["files"], secret)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                refuse_address(error, address, port)
        time.sleep(0.05)


def refuse_address(error, address, port):
    """Raises ServeError with what the operator can do about it."""
    if error.errno == errno.EADDRINUSE:
        raise ServeError(
            "port %d on %s is taken by another program; free it or choose another mindie_weights_port" % (port, address)
        ) from error
    if error.errno == errno.EADDRNOTAVAIL:
        raise ServeError(
            "%s is not an address of this host; set mindie_host_address to one that the other hosts reach" % address
        ) from error
    raise ServeError("cannot listen on %s port %d: %s" % (address, port, error.strerror or error)) from error


def detach(server, parameters, pid_file, wanted):
    """Leaves the server running in a process of its own; returns its pid once it has noted itself."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        os.waitpid(child, 0)
        with os.fdopen(read_end) as pipe:
            answer = pipe.read()
        if not answer.isdigit():
            raise ServeError("the file server could not be started: %s" % (answer or "it ended at once"))
        return int(answer)
    os.close(read_end)
    os.setsid()
    if os.fork():
        os._exit(0)
    status = 1
    try:
        os.chdir("/")
        log = os.open(pid_file + ".log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, target in ((0, nothing), (1, log), (2, log)):
            os.dup2(target, number)
        note = dict(wanted, pid=os.getpid(), started_at=started_at(os.getpid()))
        with open(pid_file + ".new", "w") as handle:
            json.dump(note, handle)
        os.rename(pid_file + ".new", pid_file)
        os.write(write_end, str(os.getpid()).encode())
        # Ansible's own pipes must not stay open, or the task would not end before this process does.
        os.closerange(3, server.fileno())
        os.closerange(server.fileno() + 1, 4096)
        serve(server, parameters)
        if running(pid_file) == note:
            remove(pid_file)
        status = 0
    except Exception as error:  # the process ends here either way; the reason belongs in the log
        sys.stderr.write("%r\n" % error)
        sys.stderr.flush()
    finally:
        os._exit(status)


def serve(server, parameters):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    deadline = time.monotonic() + parameters["lifetime"]

    def watch():
        while True:
            time.sleep(min(1.0, parameters["idle_limit"]))
            idle = not server.active and time.monotonic() - server.last_used > parameters["idle_limit"]
            if idle or time.monotonic() > deadline:
                server.shutdown()
                return

    threading.Thread(target=watch, daemon=True).start()
    server.serve_forever()


def start(module, pid_file):
    parameters = module.params
    missing = [name for name in ("directory", "address", "files") if not parameters[name]]
    if missing:
        raise ServeError("state started needs %s" % ", ".join(missing))
    if not os.path.isdir(parameters["directory"]):
        raise ServeError("%s is not a directory" % parameters["directory"])
    if module.check_mode:
        return True, 0
    secret = read_secret(parameters["secret_file"])
    wanted = {name: parameters[name] for name in ("directory", "address", "port", "lifetime", "idle_limit")}
    described = json.dumps([sorted(parameters["files"]), hashlib.sha256(secret).hexdigest()])
    wanted["serves"] = hashlib.sha256(described.encode()).hexdigest()
    note = running(pid_file)
    if note is not None:
        if all(note.get(name) == value for name, value in wanted.items()):
            return False, note["pid"]
        end(note, pid_file)
    os.makedirs(os.path.dirname(pid_file), mode=0o750, exist_ok=True)
    server = bind(parameters, secret)
    pid = detach(server, parameters, pid_file, wanted)
    server.socket.close()
    return True, pid


def stop(module, pid_file):
    note = running(pid_file)
    changed = note is not None or os.path.exists(module.params["secret_file"])
    if not module.check_mode:
        if note is not None:
            end(note, pid_file)
        remove(pid_file)
        remove(module.params["secret_file"])
    return changed, 0


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
            "state_directory": {"type": "path", "required": True},
            "directory": {"type": "path"},
            "files": {"type": "list", "elements": "str", "default": []},
            "address": {"type": "str"},
            "port": {"type": "int", "default": 11200},
            "secret_file": {"type": "path", "required": True, "no_log": False},
            "lifetime": {"type": "int", "default": 172800},
            "idle_limit": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    pid_file = os.path.join(module.params["state_directory"], "weights", "serve.pid")
    try:
        changed, pid = (start if module.params["state"] == "started" else stop)(module, pid_file)
    except ServeError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or pid_file, error.strerror or error))
    address = module.params["address"] or ""
    url = "http://%s:%d/" % ("[%s]" % address if ":" in address else address, module.params["port"])
    module.exit_json(changed=changed, pid=pid, url=url if address else "")


if __name__ == "__main__":
    main()

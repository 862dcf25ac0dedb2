# SPDX-License-Identifier: Apache-2.0
"""Action mindie_weights_push: sends what a host lacks of the model from the controller, over Ansible's own connection.

Arguments: `from` (directory on the controller), `directory`, `state_directory`, `manifest`, `owner`, `group` as of
mindie_weights_fetch, and `piece_mib`. The pieces are appended to the host's partial files, so that a run that was cut
off goes on where it was; mindie_weights_fetch proves them there and gives them their place.
"""

from __future__ import annotations

import errno
import json
import shlex
import time
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.errors import MindieDeployError
from mindie_deploy.plain import plain
from mindie_deploy.weights.manifest import Manifest
from mindie_deploy.weights.plan import size_text

display = Display()
MIB = 1024 * 1024
# So much is sent before the host proves it: an error is found early, and a module call costs little beside it.
PROVE_EVERY = 4 * 1024 * MIB
SHOW_EVERY_S = 2.0
# A connection that breaks is made again this often without a byte of progress in between.
MOST_FAILURES = 5

# Runs on the host with its own Python (3.7 or later). Standard input: one line of JSON, [[name, offset, length], ...],
# then the bytes of all pieces one after the other.
RECEIVER = """
import json, os, sys
pipe = sys.stdin.buffer
pieces = json.loads(pipe.readline().decode())
os.chdir(sys.argv[1])
os.umask(0o077)
written = 0
try:
    for name, offset, length in pieces:
        if os.path.dirname(name):
            os.makedirs(os.path.dirname(name), exist_ok=True)
        number = os.open(name + ".partial", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if not offset:
            os.ftruncate(number, 0)
        os.lseek(number, offset, os.SEEK_SET)
        while length:
            block = pipe.read(min(length, 1048576))
            if not block:
                raise OSError(5, "the connection ended too early")
            length -= len(block)
            while block:
                count = os.write(number, block)
                block = block[count:]
                written += count
        os.close(number)
    print(json.dumps({"written": written}))
except OSError as error:
    print(json.dumps({"errno": error.errno, "error": error.strerror or str(error)}))
"""


class ActionModule(ActionBase):
    """Sends to one host."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = plain(self._task.args)
        try:
            manifest = Manifest.from_dict(arguments["manifest"])
        except MindieDeployError as error:
            return {**result, "failed": True, "msg": str(error)}
        self._task_vars = task_vars
        self._host = task_vars["inventory_hostname"]
        self._arguments = arguments
        if self._task.check_mode:
            return {**result, **self._module("present")}
        source = Path(arguments["from"])
        sending = Sending(self._host, source, manifest)
        try:
            self._send_all(sending)
        except Failure as failure:
            return {**result, "failed": True, "msg": str(failure)}
        answer = self._module("present")
        if not answer.get("failed"):
            answer["sent_bytes"] = sending.sent
            answer["fetched"] = sorted(sending.names)
        return {**result, **answer}

    def _send_all(self, sending):
        failures, before = 0, -1
        refused, lacked = set(), None
        while True:
            try:
                prepared = self._answer("prepared")
                missing = {row["name"]: int(row["have"]) for row in prepared["missing"]}
                if not missing:
                    return
                if (missing, sending.sent) == lacked:
                    raise Failure(f"{self._host} does not keep what it is sent of {sorted(missing)[0]}")
                lacked = (missing, sending.sent)
                self._send(sending, missing, prepared)
                wrong = set(self._answer("verified")["wrong"])
                if wrong & refused:
                    name = sorted(wrong & refused)[0]
                    raise Failure(
                        f"{name} on {self._host} has another sha256 than the manifest; it came twice like this from "
                        f"{sending.source} on the controller: it was changed since it was read, or the disk is bad"
                    )
                refused |= wrong
            except AnsibleConnectionFailure as error:
                failures = 1 if sending.sent > before else failures + 1
                before = sending.sent
                if failures > MOST_FAILURES:
                    raise
                display.warning(f"{self._host}: the connection broke, it is made again: {error}")
                time.sleep(min(30, 2**failures))

    def _send(self, sending, missing, prepared):
        """Sends pieces until all is sent or it is time to prove what came."""
        command = " ".join(shlex.quote(part) for part in (prepared["python"], "-c", RECEIVER, prepared["incoming"]))
        largest = max(1, int(self._arguments.get("piece_mib") or 16)) * MIB
        until = sending.sent + PROVE_EVERY
        for pieces, content in sending.batches(missing, largest):
            answer = self._low_level_execute_command(command, in_data=json.dumps(pieces).encode() + b"\n" + content)
            lines = answer.get("stdout", "").strip().splitlines()
            try:
                said = json.loads(lines[-1])
            except (ValueError, IndexError):
                reason = (answer.get("stderr") or answer.get("stdout") or "no answer").strip()[-500:]
                raise Failure(f"{self._host} did not take a piece of {pieces[0][0]}: {reason}") from None
            if said.get("errno") == errno.ENOSPC:
                raise Failure(f"the disk of {prepared['incoming']} on {self._host} is full")
            if said.get("written") != len(content):
                raise Failure(f"{self._host} did not take a piece of {pieces[0][0]}: {said.get('error')}")
            sending.note(pieces)
            if sending.sent >= until:
                return

    def _module(self, state):
        arguments = {
            key: self._arguments[key] for key in ("directory", "state_directory", "manifest", "owner", "group")
        }
        arguments.update(state=state, host=self._host, source={"kind": "received"})
        return self._execute_module(
            module_name="mindie_weights_fetch", module_args=arguments, task_vars=self._task_vars
        )

    def _answer(self, state):
        answer = self._module(state)
        if answer.get("failed"):
            raise Failure(str(answer.get("msg") or answer.get("module_stderr") or "the module failed"))
        return answer


class Failure(Exception):
    """Ends the transfer with a message for the operator."""


class Sending:
    """The controller's side: which bytes go next, and how far it is."""

    def __init__(self, host, source, manifest):
        self.host, self.source, self.manifest = host, source, manifest
        self.sent = 0
        self.names = set()
        self._total = self._done = 0
        self._started = time.monotonic()
        self._shown = 0.0

    def batches(self, missing, largest):
        """Yields ([[name, offset, length], ...], bytes): one big piece, or many small files in one."""
        self._total = sum(self.manifest.by_name[name].size for name in missing)
        self._done = sum(missing.values())
        pieces, parts, room = [], [], largest
        for name, offset in sorted(missing.items()):
            size = self.manifest.by_name[name].size
            self.names.add(name)
            with self._open(name, size) as handle:
                handle.seek(offset)
                while offset < size:
                    part = handle.read(min(room, size - offset))
                    if not part:
                        raise Failure(f"{self.source / name} on the controller became shorter while it was sent")
                    pieces.append([name, offset, len(part)])
                    parts.append(part)
                    offset += len(part)
                    room -= len(part)
                    if not room:
                        yield pieces, b"".join(parts)
                        pieces, parts, room = [], [], largest
        if pieces:
            yield pieces, b"".join(parts)

    def _open(self, name, size):
        path = self.source / name
        try:
            found = path.stat().st_size
            if found != size:
                raise Failure(f"{path} on the controller has {found} bytes and the manifest says {size}")
            return path.open("rb")
        except OSError as error:
            raise Failure(f"{path} on the controller: {error.strerror}") from None

    def note(self, pieces):
        """Counts what arrived, and shows it now and then."""
        came = sum(length for _name, _offset, length in pieces)
        self.sent += came
        self._done += came
        elapsed = time.monotonic() - self._started
        if elapsed - self._shown < SHOW_EVERY_S:
            return
        self._shown = elapsed
        rate = int(self.sent / elapsed)
        percent = 100 * self._done // self._total if self._total else 100
        message = f"sending {pieces[-1][0]}: {percent} % of {size_text(self._total)}, {size_text(rate)}/s"
        line = {
            "host": self.host,
            "state": "sending",
            "message": message,
            "elapsed_s": round(elapsed, 1),
            "bytes": self._total,
            "bytes_done": self._done,
            "rate": rate,
        }
        display.display("mindie-deploy: " + json.dumps(line, ensure_ascii=False))

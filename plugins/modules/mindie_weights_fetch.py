#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Brings a model directory to one host: what is missing or wrong, proven before it appears at its place."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_weights_fetch
short_description: Make a model directory agree with a manifest
description:
  - Brings the files of the manifest that are missing or wrong in I(directory), each into a C(.partial) file in a hidden
    directory beside it, and goes on where an earlier run was cut off. A file gets its name when its sha256 is right.
  - A directory that did not exist appears as a whole, by one rename, when all its files are proven. In one that exists
    files are renamed into place one by one, the shards first, index and config.json last. Other files are left alone.
  - Whether a file that stands there is right is taken from what mindie_weights_scan remembers; run that first.
  - A second run into the same directory waits for the first.
options:
  directory:
    description: The model directory.
    type: path
    required: true
  state_directory:
    description: Where proofs, the manifest and the progress are kept, in C(weights/) below it.
    type: path
    required: true
  manifest:
    description: The wanted files, as C(files), a list of mappings with name, size (bytes) and sha256.
    type: dict
    required: true
  state:
    description:
      - V(present) brings everything and publishes it. V(prepared) checks the disk, makes the hidden directory and says
        what it lacks. V(verified) proves the complete C(.partial) files that somebody else wrote there. V(noted) only
        keeps the manifest for the next time.
    type: str
    choices: [present, prepared, verified, noted]
    default: present
  source:
    description: Where the files come from.
    type: dict
    default: {}
    suboptions:
      kind:
        description: V(http), V(directory) (on this host), or V(received) when they were written already.
        type: str
        choices: [http, directory, received]
        default: received
      url:
        description: For V(http), the URL of the directory.
        type: str
      secret_file:
        description: For V(http), the file with the secret of the run.
        type: path
      path:
        description: For V(directory), the directory.
        type: path
  owner:
    description: Numeric user id of files and directories made.
    type: int
    default: 0
  group:
    description: Numeric group id of files and directories made.
    type: int
    default: 0
  streams:
    description: Files brought at once.
    type: int
    default: 4
  timeout:
    description: Seconds without a byte after which a connection is given up and made again.
    type: int
    default: 60
  retries:
    description: How often one file is tried again without a byte of progress.
    type: int
    default: 10
  lock_wait:
    description: Seconds to wait for another run into the same directory.
    type: int
    default: 86400
  host:
    description: How messages name this host; its own name when empty.
    type: str
    default: ""
author:
  - mindie-deploy
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Fetch the weights from the leader
  mindie_weights_fetch:
    directory: /data/models/DeepSeek-R1-BF16
    state_directory: /var/lib/mindie-deploy
    manifest: "{{ weights_plan.manifest }}"
    source:
      kind: http
      url: http://10.0.0.1:11200/
      secret_file: /var/lib/mindie-deploy/weights/secret
"""

RETURN = r"""
fetched:
  description: Names of the files that were brought, or would be in check mode.
  returned: always
  type: list
  elements: str
missing:
  description: What is still lacking, with name, size and the bytes already there.
  returned: always
  type: list
  elements: dict
wrong:
  description: Files that were complete and had another sha256; what was there of them is removed.
  returned: always
  type: list
  elements: str
incoming:
  description: The hidden directory.
  returned: always
  type: str
python:
  description: The interpreter that ran this.
  returned: always
  type: str
"""

import errno
import fcntl
import hashlib
import http.client
import os
import re
import shutil
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mindie_weights_source import BrokenError, Directory, FetchError, Http
from ansible.module_utils.mindie_weights_state import (
    identity,
    incoming_directory,
    read_json,
    state_paths,
    write_json,
)

BLOCK = 1024 * 1024
FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
MOST_FILES = 20000
LARGEST_FILE = 1 << 50
# These tell a reader that the shards are there, so they come last.
LAST = ("model.safetensors.index.json", "config.json")


def flush_directory(path):
    """Makes renames in the directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_manifest(value):
    """Returns {name: (size, sha256)} in the order of publishing. Raises FetchError for what must not be believed."""
    rows = value.get("files")
    if not isinstance(rows, list) or not rows or len(rows) > MOST_FILES:
        raise FetchError("the manifest has no files, or too many")
    files, folders = {}, set()
    for row in rows:
        row = row if isinstance(row, dict) else {}
        name, size, digest = row.get("name"), row.get("size"), row.get("sha256")
        parts = name.split("/") if isinstance(name, str) else []
        if not parts or "\\" in name or not name.isprintable() or any(p in ("", "..") or p[0] == "." for p in parts):
            raise FetchError("the manifest names the file %r, which leads elsewhere or is hidden" % (name,))
        if name in files:
            raise FetchError("the manifest names %r twice" % name)
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= LARGEST_FILE:
            raise FetchError("the manifest gives %r the size %r" % (name, size))
        if not isinstance(digest, str) or not SHA256.match(digest):
            raise FetchError("the manifest gives %r the sha256 %r" % (name, digest))
        files[name] = (size, digest)
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if folders & set(files):
        raise FetchError("the manifest names %r as a file and as a directory" % sorted(folders & set(files))[0])
    weight = {name: index for index, name in enumerate(LAST, 2)}
    return {
        name: files[name]
        for name in sorted(files, key=lambda n: (weight.get(n, 0 if n.endswith(".safetensors") else 1), n))
    }


class Proof(object):
    """sha256 by identity of the file, shared with mindie_weights_scan."""

    def __init__(self, path):
        self.path = path
        self.stored = read_json(path) or {}
        files = self.stored.get("files")
        self.files = files if isinstance(files, dict) else {}
        self.lock = threading.Lock()
        self.saved = time.monotonic()

    def of(self, path):
        """Returns the sha256 of the file at path if it is proven and untouched, else None."""
        try:
            info = os.stat(path)
        except OSError:
            return None
        return self.files.get(identity(info)) if stat.S_ISREG(info.st_mode) else None

    def record(self, path, digest):
        with self.lock:
            self.files[identity(os.stat(path))] = digest
            # What was not written yet when the process is killed is read again; writing each time would cost more.
            if time.monotonic() - self.saved > 2:
                self.save()

    def save(self):
        self.stored["files"] = self.files
        write_json(self.path, self.stored, 0o600)
        self.saved = time.monotonic()


class Transfer(object):
    """One run into one directory."""

    def __init__(self, module):
        self.parameters = parameters = module.params
        self.host = parameters["host"] or os.uname().nodename
        self.directory = parameters["directory"].rstrip("/")
        self.files = read_manifest(parameters["manifest"])
        self.proof_path, self.manifest_path, self.status_file = state_paths(
            parameters["state_directory"], self.directory
        )
        self.source = None
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.done_bytes = self.done_files = self.new_bytes = 0
        self.total_bytes = 0
        self.fetched, self.wrong = [], []
        self.started = time.time()
        self.held = []
        self.look()

    def look(self):
        """Finds out what is there."""
        self.final = os.path.realpath(self.directory)
        if os.path.exists(self.final) and not os.path.isdir(self.final):
            raise FetchError("%s on %s is not a directory" % (self.directory, self.host))
        self.incoming = incoming_directory(self.final)
        self.proof = Proof(self.proof_path)
        self.lacking = [n for n in self.files if self.proof.of(os.path.join(self.final, n)) != self.files[n][1]]
        self.missing = [n for n in self.lacking if self.proof.of(os.path.join(self.incoming, n)) != self.files[n][1]]

    def partial(self, name):
        return os.path.join(self.incoming, name + ".partial")

    def have(self, name):
        """Bytes of a missing file that an earlier run left, 0 when they cannot be a part of it."""
        for path in (self.partial(name), os.path.join(self.incoming, name)):
            if os.path.isfile(path) and not os.path.islink(path):
                size = os.path.getsize(path)
                return size if size <= self.files[name][0] else 0
        return 0

    def check_disk(self):
        """Raises FetchError when what is missing does not fit."""
        needed = sum(self.files[name][0] - self.have(name) for name in self.missing)
        path = self.incoming
        while not os.path.isdir(path) and path != "/":
            path = os.path.dirname(path)
        usage = os.statvfs(path)
        free = usage.f_bavail * usage.f_frsize
        if needed > free:
            raise FetchError(
                "the disk of %s on %s has %d bytes free and the weights need %d more; nothing was copied"
                % (path, self.host, free, needed)
            )

    def prepare(self):
        """Makes the hidden directory, takes it for this run, and removes what does not belong in it any more."""
        deadline = time.monotonic() + self.parameters["lock_wait"]
        while True:
            os.makedirs(os.path.dirname(self.incoming), mode=0o755, exist_ok=True)
            if not os.path.isdir(self.incoming):
                os.makedirs(self.incoming, mode=0o700, exist_ok=True)
            handle = os.open(self.incoming, os.O_RDONLY | os.O_DIRECTORY)
            if not self.locked(handle):
                os.close(handle)
                self.release()
                if time.monotonic() > deadline:
                    raise FetchError("another transfer into %s is running on %s" % (self.directory, self.host))
                self.show("waiting")
                time.sleep(0.5)
                continue
            # The run before us may have renamed this very directory to its final place.
            if os.path.isdir(self.incoming) and os.path.samestat(os.fstat(handle), os.stat(self.incoming)):
                self.held.append(handle)
                break
            os.close(handle)
            self.release()
        self.look()
        self.tidy()

    def locked(self, handle):
        """Locks the hidden directory itself: the kernel lets go of it however this process ends."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            if error.errno not in (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP):
                raise
            # NFS locks no directories; a file of this host at least keeps two runs on it apart.
            self.held.append(os.open(self.proof_path + ".lock", os.O_WRONLY | os.O_CREAT, 0o600))
            try:
                fcntl.flock(self.held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def release(self):
        while self.held:
            os.close(self.held.pop())

    def tidy(self):
        """Removes what does not belong to this manifest; a whole file whose proof is lost is read again."""
        keep = set()
        for name in self.lacking:
            ready, partial = os.path.join(self.incoming, name), self.partial(name)
            if name in self.missing and os.path.lexists(ready):
                os.rename(ready, partial)
            if os.path.isfile(partial) and os.path.getsize(partial) > self.files[name][0]:
                os.unlink(partial)
            keep.add(partial if name in self.missing else ready)
        for folder, _folders, names in os.walk(self.incoming):
            for name in names:
                path = os.path.join(folder, name)
                if path not in keep or os.path.islink(path):
                    os.unlink(path)

    def bring(self, names):
        """Fetches or proves the files with several threads; raises the first error after all have stopped."""
        self.total_bytes = sum(self.files[name][0] for name in names)
        errors = []

        def one(name):
            if self.stop.is_set():
                return
            try:
                self.bring_one(name)
            except (FetchError, OSError) as error:
                self.stop.set()
                errors.append(error)

        with ThreadPoolExecutor(max(1, self.parameters["streams"])) as pool:
            futures = [pool.submit(one, name) for name in names]
            shown = 0.0
            for future in futures:
                while not future.done():
                    if time.monotonic() - shown >= 1:
                        shown = time.monotonic()
                        self.show("fetching" if self.source else "proving", len(names))
                    time.sleep(0.02)
                future.result()
        self.proof.save()
        if errors:
            raise errors[0]

    def bring_one(self, name):
        size, wanted = self.files[name]
        partial = self.partial(name)
        self.make_folder(os.path.dirname(partial))
        for again in (False, True):
            number = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with os.fdopen(number, "r+b", buffering=0) as out:
                if again or os.fstat(number).st_size > size:
                    os.ftruncate(number, 0)
                digest = self.receive(name, out)
                if self.stop.is_set():
                    return
                if digest == wanted:
                    os.fchmod(number, FILE_MODE)
                    if os.geteuid() == 0:
                        os.fchown(number, self.parameters["owner"], self.parameters["group"])
                    os.fsync(number)
                    os.rename(partial, os.path.join(self.incoming, name))
                    self.proof.record(os.path.join(self.incoming, name), wanted)
                    with self.lock:
                        self.done_files += 1
                        self.fetched.append(name)
                    return
            with self.lock:
                self.done_bytes -= size
            if self.source is None:
                break
        os.unlink(partial)
        self.wrong.append(name)
        if self.source is not None:
            raise FetchError(
                "%s on %s has the sha256 %s... and the manifest says %s...; it came twice like this from %s"
                % (name, self.host, digest[:16], wanted[:16], self.source.label)
            )

    def receive(self, name, out):
        """Reads what is there, appends the rest from the source. Returns the sha256 of it all."""
        size = self.files[name][0]
        block = bytearray(BLOCK)
        view = memoryview(block)
        digest = hashlib.sha256()
        at = 0
        while at < size and not self.stop.is_set():
            count = out.readinto(block)
            if not count:
                break
            digest.update(view[:count])
            at += count
            self.add(count)
        failures, pause = 0, 0.2
        while at < size and not self.stop.is_set():
            before = at
            try:
                stream = self.source.open(name, at, size)
                while at < size and not self.stop.is_set():
                    count = stream.readinto(view[: min(BLOCK, size - at)])
                    if not count:
                        raise BrokenError("it ended %d bytes too early" % (size - at))
                    self.write(out, view[:count])
                    digest.update(view[:count])
                    at += count
                    self.add(count, new=True)
                stream.close()
                if at < size:
                    self.source.forget()
            except (BrokenError, http.client.HTTPException, OSError) as error:
                self.source.forget()
                if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                    raise FetchError("the disk of %s on %s is full" % (self.incoming, self.host)) from None
                failures, pause = (0, 0.2) if at > before else (failures + 1, min(10.0, pause * 2))
                if failures > self.parameters["retries"]:
                    raise FetchError(
                        "%s cannot be brought to %s from %s: %s" % (name, self.host, self.source.label, error)
                    ) from None
                self.stop.wait(pause)
        return digest.hexdigest()

    @staticmethod
    def write(out, data):
        while data:
            data = data[out.write(data) :]

    def add(self, count, new=False):
        with self.lock:
            self.done_bytes += count
            self.new_bytes += count if new else 0

    def make_folder(self, path):
        if not os.path.isdir(path):
            os.makedirs(path, mode=DIRECTORY_MODE, exist_ok=True)

    def publish(self):
        """Gives the proven files their place."""
        if not self.lacking:
            shutil.rmtree(self.incoming)
            return
        for folder, _folders, _names in os.walk(self.incoming, topdown=False):
            os.chmod(folder, DIRECTORY_MODE)
            if os.geteuid() == 0:
                os.chown(folder, self.parameters["owner"], self.parameters["group"])
            flush_directory(folder)
        parent = os.path.dirname(self.final)
        if not os.path.isdir(self.final) or not os.listdir(self.final):
            os.rename(self.incoming, self.final)
            flush_directory(parent)
            return
        folders = set()
        for name in self.lacking:
            target = os.path.join(self.final, name)
            if os.path.isdir(target):
                raise FetchError("%s on %s is a directory where a file should be" % (target, self.host))
            folder = os.path.dirname(target)
            if not os.path.isdir(folder):
                os.makedirs(folder, mode=DIRECTORY_MODE, exist_ok=True)
            if name in LAST:
                for one in folders:
                    flush_directory(one)
            os.rename(os.path.join(self.incoming, name), target)
            self.proof.record(target, self.files[name][1])
            folders.add(folder)
        for one in folders:
            flush_directory(one)
        self.proof.save()
        shutil.rmtree(self.incoming)

    def remember_manifest(self):
        """Keeps the manifest beside the proof; returns whether it was another one."""
        manifest = self.parameters["manifest"]
        if read_json(self.manifest_path) == manifest:
            return False
        write_json(self.manifest_path, manifest, FILE_MODE)
        return True

    def show(self, state, files=0):
        with self.lock:
            done_bytes, done_files, new_bytes = self.done_bytes, self.done_files, self.new_bytes
        elapsed = max(0.001, time.time() - self.started)
        line = {
            "state": state,
            "files": files,
            "files_done": done_files,
            "bytes": self.total_bytes,
            "bytes_done": done_bytes,
            "rate": int((new_bytes or done_bytes) / elapsed),
            "elapsed_s": round(elapsed, 1),
        }
        write_json(self.status_file, line, FILE_MODE)

    def open_source(self):
        source = self.parameters["source"] or {}
        if source.get("kind") == "http":
            self.source = Http(source.get("url") or "", source.get("secret_file") or "", self.parameters["timeout"])
        elif source.get("kind") == "directory":
            self.source = Directory(source.get("path") or "", self.host)

    def result(self, changed):
        return {
            "changed": changed,
            "fetched": sorted(self.fetched),
            "missing": [
                {"name": name, "size": self.files[name][0], "have": self.have(name)} for name in sorted(self.missing)
            ],
            "wrong": sorted(self.wrong),
            "fetched_bytes": self.new_bytes,
            "seconds": round(time.time() - self.started, 2),
            "incoming": self.incoming,
            "python": sys.executable,
        }


def would(transfer):
    """What a real run would do."""
    changed = bool(transfer.lacking) or read_json(transfer.manifest_path) != transfer.parameters["manifest"]
    transfer.fetched = list(transfer.lacking)
    result = transfer.result(changed)
    if transfer.lacking:
        lines = "".join("%s %d bytes\n" % (name, transfer.files[name][0]) for name in sorted(transfer.lacking))
        header = "%s on %s" % (transfer.directory, transfer.host)
        result["diff"] = {"before_header": header, "after_header": header, "before": "", "after": lines}
    return result


def run(module):
    transfer = Transfer(module)
    state = module.params["state"]
    if state == "noted":
        same = read_json(transfer.manifest_path) == module.params["manifest"]
        return transfer.result(not same if module.check_mode else transfer.remember_manifest())
    transfer.check_disk()
    if module.check_mode:
        return would(transfer)
    if state == "present" and not transfer.lacking and not os.path.isdir(transfer.incoming):
        return transfer.result(transfer.remember_manifest())
    if state == "present" and transfer.missing:
        transfer.open_source()
    lacked = bool(transfer.lacking)
    try:
        transfer.prepare()
        return transfer.result(lacked) if state == "prepared" else receive(transfer, state)
    finally:
        transfer.release()


def receive(transfer, state):
    """Brings or proves the files; with state present gives them their place."""
    complete = [name for name in transfer.missing if transfer.have(name) == transfer.files[name][0]]
    transfer.bring(complete if transfer.source is None else transfer.missing)
    transfer.missing = [name for name in transfer.missing if name not in transfer.fetched]
    if state == "verified":
        return transfer.result(bool(transfer.fetched))
    if transfer.missing:
        raise FetchError(
            "%d files did not arrive on %s, such as %s" % (len(transfer.missing), transfer.host, transfer.missing[0])
        )
    transfer.publish()
    transfer.remember_manifest()
    transfer.show("done", len(transfer.fetched))
    return transfer.result(True)


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "state_directory": {"type": "path", "required": True},
            "manifest": {"type": "dict", "required": True},
            "state": {"type": "str", "choices": ["present", "prepared", "verified", "noted"], "default": "present"},
            "source": {
                "type": "dict",
                "default": {},
                "options": {
                    "kind": {"type": "str", "choices": ["http", "directory", "received"], "default": "received"},
                    "url": {"type": "str"},
                    "secret_file": {"type": "path", "no_log": False},
                    "path": {"type": "path"},
                },
            },
            "owner": {"type": "int", "default": 0},
            "group": {"type": "int", "default": 0},
            "streams": {"type": "int", "default": 4},
            "timeout": {"type": "int", "default": 60},
            "retries": {"type": "int", "default": 10},
            "lock_wait": {"type": "int", "default": 86400},
            "host": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except FetchError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        where = error.filename or module.params["directory"]
        module.fail_json(msg="%s: %s" % (where, error.strerror or error))


if __name__ == "__main__":
    main()

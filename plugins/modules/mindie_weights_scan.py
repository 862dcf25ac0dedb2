#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Says what stands in a model directory, and proves it by sha256 without reading twice what nobody touched."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_weights_scan
short_description: Look at a model directory and prove its files
description:
  - Lists the files of a model directory with their sizes, and the sha256 of every file that was read before and not
    touched since (same size, modification time, inode and change time).
  - Reads the small files and the headers of the safetensors shards, never the tensors, unless I(mode) asks for sha256.
  - Writes only into I(state_directory), where it remembers what it has read. In check mode it neither writes nor
    hashes.
options:
  directory:
    description: The model directory; it may be absent.
    type: path
    required: true
  state_directory:
    description: Where proofs are remembered, in C(weights/) below it.
    type: path
    required: true
  mode:
    description:
      - V(stat) hashes nothing. V(remembered) hashes the files that were never read or were touched since.
        V(full) hashes all files, whatever is remembered.
    type: str
    choices: [stat, remembered, full]
    default: stat
  names:
    description: Hash only these of the files; an empty list means all.
    type: list
    elements: str
    default: []
  workers:
    description: Files hashed at once; 0 means one for each core, at most 16.
    type: int
    default: 0
author:
  - mindie-deploy
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Look at the weights
  mindie_weights_scan:
    directory: /data/models/DeepSeek-R1-BF16
    state_directory: /var/lib/mindie-deploy
"""

RETURN = r"""
files:
  description: Every file with name, size and sha256; sha256 is null for a file that is not proven.
  returned: always
  type: list
  elements: dict
unreadable:
  description: Files that could not be read, with the reason.
  returned: always
  type: dict
model:
  description: What config.json, the index and the headers of the shards say.
  returned: always
  type: dict
incoming:
  description: What an unfinished transfer left, by file, in bytes that arrived.
  returned: always
  type: dict
reserved:
  description: What those files take of the disk already, in bytes.
  returned: always
  type: dict
cores:
  description: Cores of the host.
  returned: always
  type: int
disk:
  description: Path and available bytes of the disk that the directory is or would be on.
  returned: always
  type: dict
manifest:
  description: The manifest that the last sync left on this host, or null.
  returned: always
  type: dict
status_file:
  description: Where the progress of a running scan or transfer of this directory is written.
  returned: always
  type: str
"""

import collections
import hashlib
import json
import os
import stat
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mindie_weights_state import (
    arrived_bytes,
    identity,
    incoming_directory,
    read_json,
    state_paths,
    write_json,
)

BLOCK = 4 * 1024 * 1024
INDEX = "model.safetensors.index.json"
CHECKSUMS = "SHA256SUMS"
MOST_FILES = 20000
DEEPEST = 8
# Beyond these a file is not what its name says, and is not read into memory.
LARGEST_CONFIGURATION = 4 * 1024 * 1024
LARGEST_INDEX = 256 * 1024 * 1024
LARGEST_HEADER = 100 * 1000 * 1000  # the safetensors format's own limit


class ScanError(Exception):
    """Something to tell the operator without a traceback."""


def acceptable(name):
    """Whether a name may be a model file: printable UTF-8 without backslash; hidden ones were left out before."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return name.isprintable() and "\\" not in name and len(name) <= 1024


def walk(root, below="", depth=0):
    """Yields (name, stat or None, reason) of every visible file; reason tells why a file does not count."""
    for entry in sorted(os.scandir(os.path.join(root, below)), key=lambda one: one.name):
        name = below + entry.name
        if entry.name.startswith("."):
            continue
        try:
            info = entry.stat()
        except OSError as error:
            yield name, None, "a link to nothing" if entry.is_symlink() else error.strerror
            continue
        if stat.S_ISDIR(info.st_mode):
            if entry.is_symlink() or depth + 1 >= DEEPEST:
                yield name, None, "a link to a directory" if entry.is_symlink() else "too deep"
                continue
            for found in walk(root, name + "/", depth + 1):
                yield found
        elif not stat.S_ISREG(info.st_mode):
            yield name, None, "neither a file nor a directory"
        elif not acceptable(name):
            yield name, None, "a name that cannot be shown"
        else:
            yield name, info, None


class Hashing(object):
    """Hashes files with several threads (hashlib and read let go of the interpreter) and writes its progress."""

    def __init__(self, root, status_file, workers):
        self.root, self.status_file = root, status_file
        self.workers = workers or min(16, os.cpu_count() or 1)
        self.lock = threading.Lock()
        self.done_bytes = self.done_files = 0
        self.started = time.time()

    def one(self, name):
        """Returns (name, identity, sha256, problem)."""
        try:
            digest, info = self.read(os.path.join(self.root, name))
        except OSError as error:
            return name, None, None, error.strerror or str(error)
        except ScanError as error:
            return name, None, None, str(error)
        with self.lock:
            self.done_files += 1
        return name, identity(info), digest, None

    def read(self, path):
        digest = hashlib.sha256()
        block = bytearray(BLOCK)
        view = memoryview(block)
        with open(path, "rb", buffering=0) as handle:
            before = os.fstat(handle.fileno())
            # File times move in ticks of some milliseconds: a write right after this reading, within the tick of the
            # last change, would leave no trace. So let that tick pass first.
            age = time.time() - before.st_ctime
            if 0 <= age < 0.05:
                time.sleep(0.05)
            while True:
                count = handle.readinto(block)
                if not count:
                    break
                digest.update(view[:count])
                with self.lock:
                    self.done_bytes += count
            after = os.fstat(handle.fileno())
        if identity(before) != identity(after):
            raise ScanError("it was written while it was read")
        return digest.hexdigest(), after

    def run(self, names, total_bytes, report):
        """Hashes all; calls report(results so far) now and then, and at the end, also when it is stopped."""
        results = []
        shown = kept = time.time()
        with ThreadPoolExecutor(self.workers) as pool:
            futures = collections.deque(pool.submit(self.one, name) for name in names)
            while futures:
                if futures[0].done():
                    results.append(futures.popleft().result())
                else:
                    time.sleep(0.02)
                now = time.time()
                if now - shown >= 1:
                    shown = now
                    self.progress(len(names), total_bytes)
                if now - kept >= 15:
                    kept = now
                    report(results)
        return results

    def progress(self, files, total_bytes):
        elapsed = max(0.001, time.time() - self.started)
        with self.lock:
            done_bytes, done_files = self.done_bytes, self.done_files
        line = {
            "state": "hashing",
            "files": files,
            "files_done": done_files,
            "bytes": total_bytes,
            "bytes_done": done_bytes,
            "rate": int(done_bytes / elapsed),
            "elapsed_s": round(elapsed, 1),
        }
        write_json(self.status_file, line, 0o640)


def shard_header(path, size):
    """Returns the tensors of a safetensors file as {name: dtype}. Raises ScanError when the file is not whole."""
    with open(path, "rb") as handle:
        start = handle.read(8)
        if len(start) < 8:
            raise ScanError("it has %d bytes" % size)
        length = struct.unpack("<Q", start)[0]
        if length > LARGEST_HEADER or 8 + length > size:
            raise ScanError("its header would have %d bytes and the file has %d" % (length, size))
        try:
            header = json.loads(handle.read(length).decode("utf-8"))
        except (ValueError, RecursionError):
            raise ScanError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise ScanError("its header is not a JSON object")
    tensors, ends, covered = {}, 0, 0
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        try:
            begin, end = tensor["data_offsets"]
            tensors[name] = str(tensor["dtype"])[:20]
            covered += end - begin
            ends = max(ends, end)
        except (TypeError, KeyError, ValueError):
            raise ScanError("its header describes %s in an unknown way" % name[:100]) from None
    if ends != size - 8 - length or covered != ends:
        raise ScanError("its header promises %d bytes of tensors and the file has %d" % (ends, size - 8 - length))
    return tensors


def read_text(path, largest):
    if os.stat(path).st_size > largest:
        raise ScanError("it has more than %d bytes" % largest)
    try:
        with open(path, "rb") as handle:
            return handle.read().decode("utf-8")
    except UnicodeDecodeError:
        raise ScanError("it is not UTF-8 text") from None


def read_object(path, largest):
    try:
        value = json.loads(read_text(path, largest))
    except (ValueError, RecursionError) as error:
        raise ScanError("it is not JSON: %s" % error) from None
    if not isinstance(value, dict):
        raise ScanError("it is not a JSON object")
    return value


def model_facts(root, sizes):
    """Returns what the small files and the headers say; a file that says nothing usable carries the reason."""
    facts = {"configuration": None, "configuration_error": None, "index_present": INDEX in sizes, "index_error": None}
    placed = {}
    try:
        if "config.json" in sizes:
            facts["configuration"] = read_object(os.path.join(root, "config.json"), LARGEST_CONFIGURATION)
    except (ScanError, OSError) as error:
        facts["configuration_error"] = str(error)
    try:
        if INDEX in sizes:
            index = read_object(os.path.join(root, INDEX), LARGEST_INDEX).get("weight_map")
            if not isinstance(index, dict) or not all(isinstance(shard, str) for shard in index.values()):
                raise ScanError("it has no weight_map of names")
            for tensor, shard in index.items():
                placed.setdefault(shard, []).append(tensor)
    except (ScanError, OSError) as error:
        facts["index_error"] = str(error)
    facts["index_shards"] = sorted(placed)[:MOST_FILES]
    facts["shards"] = {}
    for name in sizes:
        if not name.endswith(".safetensors"):
            continue
        shard = {"tensors": 0, "dtypes": {}, "absent": 0, "absent_names": [], "error": None}
        try:
            tensors = shard_header(os.path.join(root, name), sizes[name])
            shard["tensors"] = len(tensors)
            shard["dtypes"] = dict(collections.Counter(tensors.values()))
            absent = sorted(set(placed.get(name, ())) - set(tensors))
            shard["absent"], shard["absent_names"] = len(absent), absent[:5]
        except (ScanError, OSError) as error:
            shard["error"] = str(error)
        facts["shards"][name] = shard
    return facts


def left_by_transfer(incoming):
    """Returns what an unfinished transfer left: ({name: bytes that arrived}, {name: bytes of the disk}, identities)."""
    arrived, reserved, identities = arrived_bytes(incoming), {}, set()
    if os.path.isdir(incoming):
        for name, info, _reason in walk(incoming):
            if info is None:
                continue
            identities.add(identity(info))
            if name.endswith(".partial"):
                reserved[name[: -len(".partial")]] = info.st_blocks * 512
            else:
                arrived[name] = reserved[name] = info.st_size
    return arrived, reserved, identities


def disk_of(path):
    """Returns the nearest existing directory at or above path, and the bytes free there for a normal user."""
    while not os.path.isdir(path) and path != "/":
        path = os.path.dirname(path)
    usage = os.statvfs(path)
    return {"path": path, "available_bytes": usage.f_bavail * usage.f_frsize}


class Proof(object):
    """sha256 by identity of the file, and the facts of the model by the identity of all files."""

    def __init__(self, path):
        self.path = path
        stored = read_json(path) or {}
        files, model = stored.get("files"), stored.get("model")
        self.files = files if isinstance(files, dict) else {}
        self.model = model if isinstance(model, dict) else {}
        self.before = json.dumps([self.files, self.model], sort_keys=True)

    def save(self, keep):
        """Writes what still belongs to a file (identities in keep), when it differs from what is written."""
        self.files = {key: digest for key, digest in self.files.items() if key in keep}
        now = json.dumps([self.files, self.model], sort_keys=True)
        if now != self.before:
            write_json(self.path, {"files": self.files, "model": self.model}, 0o600)
            self.before = now


def scan(module):
    parameters = module.params
    directory = parameters["directory"].rstrip("/") or "/"
    real = os.path.realpath(directory)
    proof_path, manifest_path, status_file = state_paths(parameters["state_directory"], directory)
    if os.path.exists(real) and not os.path.isdir(real):
        raise ScanError("%s is not a directory" % directory)
    infos, unreadable, skipped = {}, {}, {}
    if os.path.isdir(real):
        for name, info, reason in walk(real):
            if info is not None:
                infos[name] = info
            elif len(skipped) < 50:
                skipped[os.fsencode(name).decode("utf-8", "backslashreplace")] = reason
            if len(infos) > MOST_FILES:
                raise ScanError("%s holds more than %d files: it is not a model directory" % (directory, MOST_FILES))
    proof = Proof(proof_path)
    incoming = incoming_directory(real)
    left, reserved, left_identities = left_by_transfer(incoming)
    now = {name: identity(info) for name, info in infos.items()}
    seconds, hashed = 0.0, []

    def remember(results):
        for name, key, digest, problem in results:
            if problem:
                unreadable[name] = problem
            else:
                now[name] = key
                proof.files[key] = digest
        proof.save(set(now.values()) | left_identities)

    if parameters["mode"] != "stat" and not module.check_mode:
        wanted = set(parameters["names"]) or set(infos)
        full = parameters["mode"] == "full"
        hashed = [name for name in sorted(infos) if name in wanted and (full or now[name] not in proof.files)]
        if hashed:
            hashing = Hashing(real, status_file, parameters["workers"])
            # A file that was proven and cannot be read now is not proven any more.
            for name in hashed:
                proof.files.pop(now[name], None)
            remember(hashing.run(hashed, sum(infos[name].st_size for name in hashed), remember))
            seconds = time.time() - hashing.started
    everything = hashlib.sha256(json.dumps(sorted(now.items())).encode()).hexdigest()
    if proof.model.get("of") != everything or not isinstance(proof.model.get("facts"), dict):
        sizes = {name: info.st_size for name, info in infos.items()}
        proof.model = {"of": everything, "facts": model_facts(real, sizes)}
    if not module.check_mode and infos:
        proof.save(set(now.values()) | left_identities)
    checksums = None
    if CHECKSUMS in infos and infos[CHECKSUMS].st_size <= LARGEST_CONFIGURATION:
        checksums = read_text(os.path.join(real, CHECKSUMS), LARGEST_CONFIGURATION)
    return {
        "directory": directory,
        "real_directory": real,
        "present": os.path.isdir(real),
        "files": [
            {"name": name, "size": infos[name].st_size, "sha256": proof.files.get(now[name])} for name in sorted(infos)
        ],
        "unreadable": unreadable,
        "skipped": skipped,
        "hashed": len(hashed),
        "hashed_bytes": sum(infos[name].st_size for name in hashed),
        "seconds": round(seconds, 2),
        "model": proof.model["facts"],
        "incoming": left,
        "reserved": reserved,
        "cores": os.cpu_count() or 1,
        "disk": disk_of(incoming),
        "checksums": checksums,
        "manifest": read_json(manifest_path),
        "manifest_path": manifest_path,
        "status_file": status_file,
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "state_directory": {"type": "path", "required": True},
            "mode": {"type": "str", "choices": ["stat", "remembered", "full"], "default": "stat"},
            "names": {"type": "list", "elements": "str", "default": []},
            "workers": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, **scan(module))
    except ScanError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        where = error.filename or module.params["directory"]
        module.fail_json(msg="%s: %s" % (where, error.strerror or error))


if __name__ == "__main__":
    main()

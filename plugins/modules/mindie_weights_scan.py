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
  - Whoever hashes a file keeps the crc32 of every piece of it, too, so that a later reading can say where a file is
    broken, and can look at some pieces instead of all.
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
        V(full) hashes all files, whatever is remembered. V(sample) reads some pieces of every file and compares them
        with what is remembered of them.
      - V(full) and V(sample) read from the disk what the page cache holds, too. A file that a sample finds broken is
        not proven any more.
    type: str
    choices: [stat, remembered, full, sample]
    default: stat
  file:
    description:
      - Look at this file alone, whatever else the directory holds. What is remembered of it is kept apart from what is
        remembered of the directory.
    type: str
    default: ""
  names:
    description: Read only these of the files; an empty list means all.
    type: list
    elements: str
    default: []
  pieces:
    description: Pieces of each file that a sample reads; 0 means about 1 %, at least one.
    type: int
    default: 0
  seed:
    description: Decides which pieces a sample reads; another one each time when empty.
    type: str
    default: ""
  workers:
    description: Files read at once; 0 means one for each core, at most 16.
    type: int
    default: 0
  lease:
    description:
      - A file that does not exist yet, as RV(lease) of an earlier look. It is made while files are read, and whoever
        waits for that touches it. Once touched, a reading whose lease was not touched for five minutes ends itself;
        what it has read is remembered.
    type: path
    default: ""
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
broken:
  description:
    - Where files are not what they should be, as lists of offset and length in bytes, by name. That is what the
      manifest says, or what was proven before. Files of which no pieces are remembered are not in it.
  returned: always
  type: dict
sampled:
  description: How many pieces of each file were compared, by name.
  returned: always
  type: dict
unsampled:
  description: Files of which no pieces are remembered, so that a sample said nothing of them.
  returned: always
  type: list
  elements: str
seed:
  description: What decided about the pieces of the sample.
  returned: always
  type: str
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
lease:
  description: A path for the lease of a reading that follows, another one each time.
  returned: always
  type: str
"""

import hashlib
import json
import os
import stat
import sys
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mindie_weights_lease import LEASE_S, Lease
from ansible.module_utils.mindie_weights_model import LARGEST_CONFIGURATION, UnusableError, model_facts, read_text
from ansible.module_utils.mindie_weights_pieces import Pieces
from ansible.module_utils.mindie_weights_reading import Reading, read_sample, read_whole
from ansible.module_utils.mindie_weights_state import (
    arrived_bytes,
    identity,
    incoming_directory,
    pieces_path,
    read_json,
    state_paths,
    write_json,
)

CHECKSUMS = "SHA256SUMS"
MOST_FILES = 20000
DEEPEST = 8
# Raised when model_facts says more than before: what is remembered is then read once more.
FACTS_VERSION = 2


class ScanError(Exception):
    """Something to tell the operator without a traceback."""


def acceptable(name):
    """Whether a name may be a model file: printable UTF-8 without backslash; hidden ones were left out before."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return name.isprintable() and "\\" not in name and len(name) <= 1024


def walk(root, below="", depth=0, alone=""):
    """Yields (name, stat or None, reason) of every visible file; reason tells why a file does not count.

    With `alone` only of what has this name.
    """
    for entry in sorted(os.scandir(os.path.join(root, below)), key=lambda one: one.name):
        name = below + entry.name
        if entry.name.startswith(".") or (alone and entry.name != alone):
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
        self.files, self.model = self.stored()
        self.before = set(self.files)
        self.news = {}
        self.facts_changed = False

    def stored(self):
        stored = read_json(self.path) or {}
        files, model = stored.get("files"), stored.get("model")
        return files if isinstance(files, dict) else {}, model if isinstance(model, dict) else {}

    def note(self, key, digest):
        """Notes the sha256 of a file; None: it is not proven any more."""
        self.news[key] = digest
        self.files.pop(key, None)
        if digest is not None:
            self.files[key] = digest

    def note_model(self, of, facts):
        self.model = {"of": of, "facts": facts}
        self.facts_changed = True

    def save(self, keep):
        """Writes what still belongs to a file (identities in keep), when it differs from what is written.

        What somebody else has written since this reading began stays.
        """
        files, _model = self.stored()
        kept = {key: digest for key, digest in files.items() if key in keep or key not in self.before}
        for key, digest in self.news.items():
            kept.pop(key, None)
            if digest is not None and key in keep:
                kept[key] = digest
        if kept != files or self.facts_changed:
            write_json(self.path, {"files": kept, "model": self.model}, 0o600)
            self.before |= set(kept)
            self.news, self.facts_changed = {}, False


class Directory(object):
    """One model directory, looked at once."""

    def __init__(self, module):
        self.module, self.parameters, self.check_mode = module, module.params, module.check_mode
        self.directory = self.parameters["directory"].rstrip("/") or "/"
        self.real = os.path.realpath(self.directory)
        state, alone = self.parameters["state_directory"], self.parameters["file"]
        kept_for = os.path.join(self.directory, alone) if alone else self.directory
        proof_path, self.manifest_path, self.status_file = state_paths(state, kept_for)
        if os.path.exists(self.real) and not os.path.isdir(self.real):
            raise ScanError("%s is not a directory" % self.directory)
        self.infos, self.skipped, self.unreadable = {}, {}, {}
        self.look()
        self.now = {name: identity(info) for name, info in self.infos.items()}
        self.proof = Proof(proof_path)
        self.pieces = Pieces(pieces_path(state, kept_for))
        self.incoming = incoming_directory(self.real)
        self.left, self.reserved, self.left_identities = left_by_transfer(self.incoming)
        self.manifest = read_json(self.manifest_path)
        self.known = digests_of(self.manifest)
        # What each file was before this reading: where no manifest tells, a change of it is a fault.
        self.proven_before = {name: self.proof.files.get(key) for name, key in self.now.items()}
        self.read, self.read_bytes, self.seconds = [], 0, 0.0
        self.sampled, self.unsampled, self.seed = {}, [], ""
        self.broken_in_sample = {}

    def look(self):
        if not os.path.isdir(self.real):
            return
        for name, info, reason in walk(self.real, alone=self.parameters["file"]):
            if info is not None:
                self.infos[name] = info
            elif len(self.skipped) < 50:
                self.skipped[os.fsencode(name).decode("utf-8", "backslashreplace")] = reason
            if len(self.infos) > MOST_FILES:
                words = "%s holds more than %d files: it is not a model directory"
                raise ScanError(words % (self.directory, MOST_FILES))

    def wanted(self):
        names = set(self.parameters["names"]) or set(self.infos)
        return [name for name in sorted(self.infos) if name in names]

    def expected(self, name):
        """Returns the sha256 that a file should have, as far as this host knows, or None."""
        return self.known.get(name) or self.proven_before[name]

    def hash(self, full):
        """Hashes the files that are not proven, or all."""
        self.read = [name for name in self.wanted() if full or self.now[name] not in self.proof.files]
        self.read_bytes = sum(self.infos[name].st_size for name in self.read)
        jobs = {name: self.hash_job(name, full) for name in self.read}
        self.carry_out("hashing", jobs, self.keep_hashes)

    def hash_job(self, name, full):
        path = os.path.join(self.real, name)
        return lambda tell: read_whole(path, tell, full)

    def keep_hashes(self, results):
        for name, value, problem in results:
            if problem:
                # A file that was proven and cannot be read now is not proven any more.
                self.unreadable[name] = problem
                self.proof.note(self.now[name], None)
            else:
                digest, sums, self.now[name] = value
                self.proof.note(self.now[name], digest)
                if self.pieces.of(digest, sums.size) is None:
                    self.pieces.add(digest, sums)
        self.save()

    def sample(self):
        """Compares some pieces of every file with what is remembered of them."""
        self.seed = self.parameters["seed"] or os.urandom(8).hex()
        jobs = {}
        for name in self.wanted():
            sums = self.pieces.of(self.expected(name), self.infos[name].st_size)
            if sums is None:
                self.unsampled.append(name)
                continue
            numbers = sums.chosen(self.parameters["pieces"], self.seed + name)
            self.sampled[name] = len(numbers)
            self.read_bytes += sum(sums.length(number) for number in numbers)
            jobs[name] = self.sample_job(name, sums, numbers)
        self.read = list(jobs)
        self.carry_out("sampling", jobs, self.keep_samples)

    def sample_job(self, name, sums, numbers):
        path = os.path.join(self.real, name)
        return lambda tell: (read_sample(path, sums, numbers, tell), sums)

    def keep_samples(self, results):
        for name, value, problem in results:
            if problem:
                self.unreadable[name] = problem
                self.sampled.pop(name, None)
                continue
            (numbers, _identity), sums = value
            if numbers:
                self.broken_in_sample[name] = sums.ranges(numbers)
                if self.proof.files.get(self.now[name]) == self.expected(name):
                    self.proof.note(self.now[name], None)
        self.save()

    def carry_out(self, word, jobs, keep):
        if not jobs:
            return
        reading = Reading(self.status_file, word, self.read_bytes, self.parameters["workers"])
        with Lease(self.parameters["lease"]) as lease:

            def report(results):
                keep(results)
                if lease.ended():
                    self.give_up(lease)

            keep(reading.run(jobs, report))
        self.seconds = time.time() - reading.started

    def give_up(self, lease):
        """Ends this process at once: its threads would read all files to their end."""
        words = "nobody has waited for this reading for %d min, so it ended itself; what it has read is remembered"
        lease.__exit__()
        try:
            self.module.fail_json(msg=words % (LEASE_S // 60))
        except SystemExit:
            sys.stdout.flush()
            os._exit(1)

    def broken(self):
        """Returns where files are not what they should be: what a sample saw, or what two proofs tell together."""
        found = dict(self.broken_in_sample)
        for name, info in self.infos.items():
            is_now, should_be = self.proof.files.get(self.now[name]), self.expected(name)
            if name in found or is_now is None or should_be is None or is_now == should_be:
                continue
            sums = self.pieces.of(should_be, info.st_size)
            numbers = sums.differing(self.pieces.of(is_now, info.st_size)) if sums is not None else None
            if numbers is not None:
                found[name] = sums.ranges(numbers)
        return found

    def facts(self):
        """Returns what the small files and the headers say, from memory when no file was touched."""
        everything = json.dumps([FACTS_VERSION, sorted(self.now.items())])
        of = hashlib.sha256(everything.encode()).hexdigest()
        if self.proof.model.get("of") != of or not isinstance(self.proof.model.get("facts"), dict):
            self.proof.note_model(of, model_facts(self.real, {name: one.st_size for name, one in self.infos.items()}))
        return self.proof.model["facts"]

    def save(self):
        """Remembers what was read. The pieces go first: they may be there without a proof that needs them."""
        if self.read:
            needed = set(self.proof.files.values()) | set(self.known.values()) | set(self.proven_before.values())
            self.pieces.save(needed)
        self.proof.save(set(self.now.values()) | self.left_identities)

    def checksums(self):
        if CHECKSUMS not in self.infos or self.infos[CHECKSUMS].st_size > LARGEST_CONFIGURATION:
            return None
        return read_text(os.path.join(self.real, CHECKSUMS), LARGEST_CONFIGURATION)

    def result(self):
        facts = self.facts()
        if not self.check_mode and self.infos:
            self.save()
        return {
            "directory": self.directory,
            "real_directory": self.real,
            "present": os.path.isdir(self.real),
            "files": [
                {"name": name, "size": self.infos[name].st_size, "sha256": self.proof.files.get(self.now[name])}
                for name in sorted(self.infos)
            ],
            "broken": self.broken(),
            "sampled": self.sampled,
            "unsampled": self.unsampled,
            "seed": self.seed,
            "unreadable": self.unreadable,
            "skipped": self.skipped,
            "hashed": len(self.read),
            "hashed_bytes": self.read_bytes,
            "seconds": round(self.seconds, 2),
            "model": facts,
            "incoming": self.left,
            "reserved": self.reserved,
            "cores": os.cpu_count() or 1,
            "disk": disk_of(self.incoming),
            "checksums": self.checksums(),
            "manifest": self.manifest,
            "manifest_path": self.manifest_path,
            "status_file": self.status_file,
            "lease": "%s.%s.lease" % (self.status_file, os.urandom(8).hex()),
        }


def digests_of(manifest):
    """Returns {name: sha256} of a manifest that a sync left; {} when there is none, or it is damaged."""
    rows = (manifest or {}).get("files")
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    pairs = [(row.get("name"), row.get("sha256")) for row in rows]
    return {name: digest for name, digest in pairs if isinstance(name, str) and isinstance(digest, str)}


def scan(module):
    directory = Directory(module)
    mode = module.params["mode"]
    if not module.check_mode:
        if mode == "sample":
            directory.sample()
        elif mode != "stat":
            directory.hash(mode == "full")
    return directory.result()


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "state_directory": {"type": "path", "required": True},
            "mode": {"type": "str", "choices": ["stat", "remembered", "full", "sample"], "default": "stat"},
            "file": {"type": "str", "default": ""},
            "names": {"type": "list", "elements": "str", "default": []},
            "pieces": {"type": "int", "default": 0},
            "seed": {"type": "str", "default": ""},
            "workers": {"type": "int", "default": 0},
            "lease": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, **scan(module))
    except (ScanError, UnusableError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        where = error.filename or module.params["directory"]
        module.fail_json(msg="%s: %s" % (where, error.strerror or error))


if __name__ == "__main__":
    main()

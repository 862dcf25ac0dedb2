#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Brings a model directory to one host: what is missing or wrong, proven before it appears at its place."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_weights_place
short_description: Give the files of a model their place on a host, before and after they are brought
description:
  - Makes the hidden directory that files are brought into, beside the model directory, and removes from it what does
    not belong there; gives the files their names in the model directory when all of them are there and proven.
  - A directory that did not exist appears as a whole, by one rename. In one that exists files are renamed into place
    one by one, the shards first, index and config.json last. Other files are left alone.
  - Whether a file that stands there is right is taken from what mindie_weights_scan remembers, and whether one that was
    brought is right from the proof that the exchange left beside it.
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
      - V(prepared) checks the disk, makes the hidden directory and says what it lacks. V(published) gives everything
        its place. V(noted) only keeps the manifest for the next time. V(cleared) removes the files of I(names) from
        the model directory, which may not be in the manifest.
    type: str
    choices: [prepared, published, noted, cleared]
    required: true
  owner:
    description: Numeric user id of directories made.
    type: int
    default: 0
  group:
    description: Numeric group id of directories made.
    type: int
    default: 0
  host:
    description: How messages name this host; its own name when empty.
    type: str
    default: ""
  names:
    description: For V(cleared), names relative to the model directory.
    type: list
    elements: str
    default: []
  engine:
    description:
      - A container engine's client. V(prepared) asks it which containers run, and refuses when one of them has
        I(directory) mounted and files would change there. Empty asks nobody.
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
- name: Give the weights their place
  mindie_weights_place:
    state: published
    directory: /data/models/DeepSeek-R1-BF16
    state_directory: /var/lib/mindie-deploy
    manifest: "{{ weights_planned.plan.manifest }}"
"""

RETURN = r"""
placed:
  description: Names of the files that got their place, or would in check mode.
  returned: always
  type: list
  elements: str
missing:
  description: What is still lacking, with name, size and the bytes already there.
  returned: always
  type: list
  elements: dict
incoming:
  description: The hidden directory.
  returned: always
  type: str
"""

import os
import shutil
import stat

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mindie_mounts import MountsError, running_mounts
from ansible.module_utils.mindie_weights_incoming import Incoming, flush_directory
from ansible.module_utils.mindie_weights_pieces import PIECE, Pieces, PieceSums, read_sums
from ansible.module_utils.mindie_weights_proof import Proof
from ansible.module_utils.mindie_weights_reading import ReadingError, read_whole
from ansible.module_utils.mindie_weights_reuse import reuse
from ansible.module_utils.mindie_weights_state import (
    WeightsError,
    arrived_bytes,
    incoming_directory,
    is_sums,
    pieces_path,
    read_json,
    read_proven,
    state_paths,
    write_json,
)
from ansible.module_utils.mindie_weights_wanted import LAST, read_manifest

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750


class Placing(object):
    """One run into one directory."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.host = parameters["host"] or os.uname().nodename
        self.directory = parameters["directory"].rstrip("/")
        self.files = read_manifest(parameters["manifest"])
        state = parameters["state_directory"]
        self.proof_path, self.manifest_path, self.status_file = state_paths(state, self.directory)
        self.pieces = Pieces(pieces_path(state, self.directory))
        self.final = os.path.realpath(self.directory)
        self.incoming = Incoming(incoming_directory(self.final), self.directory, self.host)
        self.placed = []
        self.look()

    def look(self):
        """Finds out what is there."""
        if os.path.exists(self.final) and not os.path.isdir(self.final):
            raise WeightsError("%s on %s is not a directory" % (self.directory, self.host))
        self.proof = Proof(self.proof_path)
        self.proof.files.update(read_proven(self.incoming.path))
        self.lacking = [n for n in self.files if self.proof.of(os.path.join(self.final, n)) != self.files[n][1]]
        self.missing = [n for n in self.lacking if self.proof.of(self.incoming.ready(n)) != self.files[n][1]]

    def reserved(self, name):
        """Bytes of the disk that a missing file has already."""
        try:
            info = os.lstat(self.incoming.partial(name))
        except OSError:
            return 0
        return min(self.files[name][0], info.st_blocks * 512) if stat.S_ISREG(info.st_mode) else 0

    def check_disk(self):
        """Raises WeightsError when what is missing does not fit.

        A broken file stays until its successor is whole, so that it counts as one that is not there.
        """
        needed = sum(self.files[name][0] - self.reserved(name) for name in self.missing)
        path = self.incoming.path
        while not os.path.isdir(path) and path != "/":
            path = os.path.dirname(path)
        usage = os.statvfs(path)
        free = usage.f_bavail * usage.f_frsize
        if needed > free:
            raise WeightsError(
                "the disk of %s on %s has %d bytes free and the weights need %d more; nothing was copied"
                % (path, self.host, free, needed)
            )

    def check_targets(self):
        """Raises WeightsError when something that is no file stands where a file must go, before anything moves."""
        for name in self.lacking:
            target = os.path.join(self.final, name)
            if os.path.isdir(target):
                raise WeightsError("%s on %s is a directory where a file should be" % (target, self.host))
            folder = os.path.dirname(target)
            while folder != self.final:
                if os.path.lexists(folder) and not os.path.isdir(folder):
                    raise WeightsError("%s on %s is a file where a directory should be" % (folder, self.host))
                folder = os.path.dirname(folder)

    def prepare(self):
        """Removes what does not belong to this manifest; a whole file whose proof is lost is proven again.

        What is good of broken files is taken over.
        """
        keep = self.incoming.notes()
        for name in self.lacking:
            ready, partial = self.incoming.ready(name), self.incoming.partial(name)
            if name in self.missing and os.path.isfile(ready):
                os.rename(ready, partial)
            if os.path.isfile(partial) and os.path.getsize(partial) > self.files[name][0]:
                os.unlink(partial)
            keep.add(partial if name in self.missing else ready)
        self.incoming.clear(keep)
        self.proof.save()
        reuse(self.final, self.incoming, self.broken(), self.status_file)

    def broken(self):
        """Returns the missing files that stand there with other bytes, as far as pieces of them are remembered:
        {name: (PieceSums of what it must be, PieceSums of what it is or None)}."""
        found = {}
        for name in self.missing:
            path = os.path.join(self.final, name)
            size, digest = self.files[name]
            wanted = self.pieces.of(digest, size)
            if wanted is not None and os.path.isfile(path):
                found[name] = (wanted, self.pieces.of(self.proof.of(path), os.stat(path).st_size))
        return found

    def prove(self):
        """Reads what has its name and no proof: its agent was killed between giving the one and noting the other."""
        for name in self.missing:
            path, digest = self.incoming.ready(name), self.files[name][1]
            if not os.path.isfile(path) or os.path.islink(path):
                continue
            try:
                found, sums, key = read_whole(path, lambda _count: None, False)
            except ReadingError:
                continue  # somebody writes to it: it did not arrive
            if found == digest:
                self.proof.files[key] = digest
                self.pieces.add(digest, sums)
        self.missing = [n for n in self.missing if self.proof.of(self.incoming.ready(n)) != self.files[n][1]]

    def remember_pieces(self):
        """Keeps the checksums that the exchange left of the files that get their place now, with what is remembered."""
        folder = self.incoming.path
        left = read_sums(folder, [name for name in os.listdir(folder) if is_sums(name)])
        for name in self.lacking:
            size, digest = self.files[name]
            sums = left.get(digest) if size else PieceSums(0, PIECE, [])
            if sums is not None and sums.size == size and self.pieces.of(digest, size) is None:
                self.pieces.add(digest, sums)
        self.pieces.save()

    def publish(self):
        """Gives the proven files their place."""
        self.remember_pieces()
        self.proof.save()
        if not self.lacking:
            shutil.rmtree(self.incoming.path)
            return
        self.incoming.clear({self.incoming.ready(name) for name in self.lacking})
        for folder, _folders, _names in os.walk(self.incoming.path, topdown=False):
            self.give_folder(folder)
            flush_directory(folder)
        parent = os.path.dirname(self.final)
        if not os.path.isdir(self.final) or not os.listdir(self.final):
            os.rename(self.incoming.path, self.final)
            flush_directory(parent)
            return
        folders = set()
        for name in self.lacking:
            target = os.path.join(self.final, name)
            folder = os.path.dirname(target)
            self.make_folder(folder)
            if name in LAST:
                for one in folders:
                    flush_directory(one)
            os.rename(self.incoming.ready(name), target)
            self.proof.record(target, self.files[name][1])
            folders.add(folder)
        for one in folders:
            flush_directory(one)
        self.proof.save()
        shutil.rmtree(self.incoming.path)

    def make_folder(self, folder):
        """Makes a directory, and those above it that are missing, as the container needs them."""
        if not os.path.isdir(folder):
            self.make_folder(os.path.dirname(folder))
            os.mkdir(folder)
            self.give_folder(folder)

    def give_folder(self, folder):
        os.chmod(folder, DIRECTORY_MODE)
        if os.geteuid() == 0:
            os.chown(folder, self.parameters["owner"], self.parameters["group"])

    def remember_manifest(self):
        """Keeps the manifest beside the proof; returns whether it was another one."""
        manifest = self.parameters["manifest"]
        if read_json(self.manifest_path) == manifest:
            return False
        write_json(self.manifest_path, manifest, FILE_MODE)
        return True

    def result(self, changed):
        arrived = arrived_bytes(self.incoming.path)
        return {
            "changed": changed,
            "placed": sorted(self.placed),
            "missing": [
                {"name": name, "size": self.files[name][0], "have": arrived.get(name, 0)}
                for name in sorted(self.missing)
            ],
            "incoming": self.incoming.path,
        }


def would(placing):
    """What a real run would do."""
    changed = bool(placing.lacking) or read_json(placing.manifest_path) != placing.parameters["manifest"]
    placing.placed = list(placing.lacking)
    result = placing.result(changed)
    if placing.lacking:
        lines = "".join("%s %d bytes\n" % (name, placing.files[name][0]) for name in sorted(placing.lacking))
        header = "%s on %s" % (placing.directory, placing.host)
        result["diff"] = {"before_header": header, "after_header": header, "before": "", "after": lines}
    return result


def run(module):
    placing = Placing(module.params)
    state = module.params["state"]
    if state == "noted":
        same = read_json(placing.manifest_path) == module.params["manifest"]
        return placing.result(not same if module.check_mode else placing.remember_manifest())
    if state == "cleared":
        return clear(placing, module.check_mode)
    placing.check_targets()
    if module.check_mode:
        placing.check_disk()
        return would(placing)
    if not placing.lacking and not os.path.isdir(placing.incoming.path):
        return placing.result(placing.remember_manifest() if state == "published" else False)
    if state == "prepared":
        placing.check_disk()
        refuse_in_use(placing, len(placing.lacking))
    try:
        placing.incoming.take()
        placing.look()
        if state == "prepared":
            placing.prepare()
            return placing.result(False)
        return publish(placing)
    finally:
        placing.incoming.release()


def clear(placing, check_mode):
    """Removes files that the model does not have, never a directory and nothing outside of the model's."""
    names = placing.parameters["names"]
    for name in names:
        if name in placing.files or any(part in ("", ".", "..") for part in name.split("/")):
            raise WeightsError("%r belongs to the model or leads elsewhere; it is not removed" % name)
    paths = [os.path.join(placing.final, name) for name in names]
    there = [path for path in paths if os.path.lexists(path) and (os.path.islink(path) or os.path.isfile(path))]
    for path in there:
        folder = os.path.realpath(os.path.dirname(path))
        if folder != placing.final and not folder.startswith(placing.final + "/"):
            raise WeightsError("%s leads out of %s; it is not removed" % (path, placing.final))
    result = placing.result(bool(there))
    result["diff"] = {
        "before_header": placing.directory,
        "after_header": placing.directory,
        "before": "".join(path[len(placing.final) + 1 :] + "\n" for path in there),
        "after": "",
    }
    if there and not check_mode:
        refuse_in_use(placing, len(there))
        for path in there:
            os.unlink(path)
        for folder in {os.path.dirname(path) for path in there}:
            flush_directory(folder)
    return result


def refuse_in_use(placing, changes):
    """Raises WeightsError when a running container has the directory mounted: its files must not change under it."""
    engine = placing.parameters["engine"]
    if not engine or not os.path.isdir(placing.final):
        return
    try:
        mounts = running_mounts(engine)
    except MountsError as error:
        raise WeightsError("%s: %s" % (placing.host, error)) from None
    for name, source in mounts:
        if os.path.realpath(source) == placing.final:
            raise WeightsError(
                "%d files would change in %s on %s, which the running container %s has mounted; nothing was changed. "
                "End that deployment first (mindie-deploy down), or bring the weights to another directory"
                % (changes, placing.directory, placing.host, name)
            )


def publish(placing):
    placing.prove()
    if placing.missing:
        raise WeightsError(
            "%d files did not arrive on %s, such as %s" % (len(placing.missing), placing.host, placing.missing[0])
        )
    placing.placed = list(placing.lacking)
    placing.publish()
    return placing.result(placing.remember_manifest() or bool(placing.placed))


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "state_directory": {"type": "path", "required": True},
            "manifest": {"type": "dict", "required": True},
            "state": {"type": "str", "choices": ["prepared", "published", "noted", "cleared"], "required": True},
            "owner": {"type": "int", "default": 0},
            "group": {"type": "int", "default": 0},
            "host": {"type": "str", "default": ""},
            "names": {"type": "list", "elements": "str", "default": []},
            "engine": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except WeightsError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        where = error.filename or module.params["directory"]
        module.fail_json(msg="%s: %s" % (where, error.strerror or error))


if __name__ == "__main__":
    main()

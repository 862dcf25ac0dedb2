# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""The hidden directory that files are brought into, beside the model directory: who has it, and what may be in it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import os
import time

from ansible.module_utils.mindie_weights_state import PARTIAL, PROVEN, WeightsError, is_journal, is_sums

LOCK_PATIENCE_S = 5.0


class Incoming(object):
    """`path`: the hidden directory; `directory`, `host`: how messages name what it is for, and where."""

    def __init__(self, path, directory, host):
        self.path, self.directory, self.host = path, directory, host
        self._held = []

    def ready(self, name):
        """Returns where a file stands that arrived."""
        return os.path.join(self.path, name)

    def partial(self, name):
        """Returns where a file stands that is on its way."""
        return os.path.join(self.path, name + PARTIAL)

    def notes(self):
        """Returns the paths of what the exchange keeps about the files."""
        names = [n for n in os.listdir(self.path) if n == PROVEN or is_journal(n) or is_sums(n)]
        return {os.path.join(self.path, name) for name in names}

    def take(self):
        """Takes it for this run, however long; the kernel lets go of it when this process ends.

        Raises WeightsError when somebody else has it.
        """
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        until = time.monotonic() + LOCK_PATIENCE_S
        while True:
            if not os.path.isdir(self.path):
                os.makedirs(self.path, mode=0o700, exist_ok=True)
            self._held.append(os.open(self.path, os.O_RDONLY | os.O_DIRECTORY))
            while not self._locked():
                if time.monotonic() > until:
                    raise WeightsError("another transfer into %s is running on %s" % (self.directory, self.host))
                time.sleep(0.1)
            if self._is_there():
                return
            # The run that we waited for has published it, or removed it.
            self.release()

    def release(self):
        while self._held:
            os.close(self._held.pop())

    def _is_there(self):
        """Whether what is locked is still the hidden directory."""
        try:
            return os.path.samestat(os.fstat(self._held[0]), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _locked(self):
        try:
            fcntl.flock(self._held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            if error.errno not in (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP):
                raise
            # NFS locks no directories; the lock of the deployment keeps our own runs apart.
        return True

    def clear(self, keep):
        """Removes everything but the paths in keep, and follows no link."""
        for folder, folders, names in os.walk(self.path, topdown=False):
            for name in names:
                path = os.path.join(folder, name)
                if path not in keep or os.path.islink(path):
                    os.unlink(path)
            for name in folders:
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    os.unlink(path)
                elif not os.listdir(path):
                    # Of another manifest; it would be published with the others, or be where a file must come.
                    os.rmdir(path)


def flush_directory(path):
    """Makes renames in the directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

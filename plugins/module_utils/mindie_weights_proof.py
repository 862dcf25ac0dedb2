# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Which files are proven: their sha256, by what each file was when it was read."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import stat

from ansible.module_utils.mindie_weights_state import identity, read_json, write_json


class Proof(object):
    """sha256 by identity of the file, shared with mindie_weights_scan."""

    def __init__(self, path):
        self.path = path
        self.stored = read_json(path) or {}
        files = self.stored.get("files")
        self.files = files if isinstance(files, dict) else {}

    def of(self, path):
        """Returns the sha256 of the file at path if it is proven and untouched, else None."""
        try:
            info = os.stat(path)
        except OSError:
            return None
        return self.files.get(identity(info)) if stat.S_ISREG(info.st_mode) else None

    def record(self, path, digest):
        self.files[identity(os.stat(path))] = digest

    def save(self):
        self.stored["files"] = self.files
        write_json(self.path, self.stored, 0o600)

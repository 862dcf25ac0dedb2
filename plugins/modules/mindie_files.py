#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Writes a set of small text files of one directory in one round trip."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_files
short_description: Write a set of small text files in one round trip
description:
  - Makes a directory and the given files in it agree with their wanted content, mode and owner.
  - Each file is written beside its place, flushed to disk and renamed, so that a reader sees the old or the new one.
  - Files that are not named are left alone.
options:
  directory:
    description: The directory that holds the files; made with its parents when it is missing.
    type: path
    required: true
  directory_mode:
    description: Mode of the directory, as octal text.
    type: str
    default: "0750"
  files:
    description: The wanted files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path, directly in I(directory).
        type: path
        required: true
      content:
        description: The whole text.
        type: str
        required: true
      mode:
        description: Mode as octal text.
        type: str
        default: "0640"
  owner:
    description: Numeric user id of the directory and the files.
    type: int
    default: 0
  group:
    description: Numeric group id of the directory and the files.
    type: int
    default: 0
author:
  - mindie-deploy
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Write the files of the deployment
  mindie_files:
    directory: /var/lib/mindie-deploy/deepseek-r1
    files:
      - path: /var/lib/mindie-deploy/deepseek-r1/config.json
        content: "{}"
        mode: "0640"
"""

RETURN = r"""
written:
  description: Paths whose content, mode or owner changed, or would change in check mode.
  returned: always
  type: list
  elements: str
"""

import os
import stat
import tempfile

from ansible.module_utils.basic import AnsibleModule

# A file of ours is far smaller; anything larger at that path is not ours to read into memory.
LARGEST_FILE = 16 * 1024 * 1024


class NotOursError(Exception):
    """Something stands at the path that must not be replaced."""


def current(path):
    """Returns (content, mode, uid, gid) of the regular file at path, all None where nothing stands there."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return None, None, None, None
    if not stat.S_ISREG(info.st_mode):
        raise NotOursError("%s is not a regular file (MindIE refuses links); move it away" % path)
    if info.st_size > LARGEST_FILE:
        raise NotOursError("%s has %d bytes, which no file of ours has; move it away" % (path, info.st_size))
    with open(path, "rb") as handle:
        content = handle.read().decode("utf-8", "backslashreplace")
    return content, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid


def write(path, content, mode, owner, group):
    """Writes beside the path, flushes, renames."""
    directory = os.path.dirname(path)
    handle, beside = tempfile.mkstemp(prefix="." + os.path.basename(path) + ".", dir=directory)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content.encode("utf-8"))
            out.flush()
            os.fchmod(out.fileno(), mode)
            if os.geteuid() == 0:
                os.fchown(out.fileno(), owner, group)
            os.fsync(out.fileno())
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    flush_directory(directory)


def flush_directory(directory):
    """Makes a rename in the directory survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def ensure_directory(path, mode, owner, group, check):
    """Makes the directory agree; returns what changed as (before, after) texts, or None."""
    try:
        info = os.stat(path)
    except FileNotFoundError:
        if not check:
            os.makedirs(path, exist_ok=True)
            os.chmod(path, mode)
            if os.geteuid() == 0:
                os.chown(path, owner, group)
        return "absent\n", "directory %04o %d:%d\n" % (mode, owner, group)
    if not stat.S_ISDIR(info.st_mode):
        raise NotOursError("%s is not a directory; move it away" % path)
    wanted = (mode, owner, group) if os.geteuid() == 0 else (mode, info.st_uid, info.st_gid)
    found = (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
    if found == wanted:
        return None
    if not check:
        os.chmod(path, mode)
        if os.geteuid() == 0:
            os.chown(path, owner, group)
    return "directory %04o %d:%d\n" % found, "directory %04o %d:%d\n" % wanted


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "directory_mode": {"type": "str", "default": "0750"},
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str", "required": True},
                    "mode": {"type": "str", "default": "0640"},
                },
            },
            "owner": {"type": "int", "default": 0},
            "group": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    directory = module.params["directory"].rstrip("/")
    owner, group = module.params["owner"], module.params["group"]
    written, diffs = [], []
    try:
        change = ensure_directory(directory, int(module.params["directory_mode"], 8), owner, group, module.check_mode)
        if change:
            written.append(directory)
            diffs.append(
                {"before_header": directory, "after_header": directory, "before": change[0], "after": change[1]}
            )
        for wanted in module.params["files"]:
            path = wanted["path"]
            if os.path.dirname(path) != directory:
                module.fail_json(msg="%s does not lie directly in %s" % (path, directory))
            mode = int(wanted["mode"], 8)
            content, found_mode, uid, gid = current(path)
            same_owner = os.geteuid() != 0 or (uid, gid) == (owner, group)
            if content == wanted["content"] and found_mode == mode and same_owner:
                continue
            if not module.check_mode:
                write(path, wanted["content"], mode, owner, group)
            written.append(path)
            before = "" if content is None else content
            if content == wanted["content"]:
                before, after = "mode %04o %s:%s\n" % (found_mode, uid, gid), "mode %04o %d:%d\n" % (mode, owner, group)
            else:
                after = wanted["content"]
            diffs.append(
                {
                    "before_header": path if content is not None else "%s (absent)" % path,
                    "after_header": path,
                    "before": before,
                    "after": after,
                }
            )
    except NotOursError as error:
        module.fail_json(msg=str(error), written=written)
    except OSError as error:
        module.fail_json(
            msg="%s: %s" % (getattr(error, "filename", None) or directory, error.strerror or error), written=written
        )
    module.exit_json(changed=bool(written), written=written, diff=diffs)


if __name__ == "__main__":
    main()

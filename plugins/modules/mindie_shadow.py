#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Makes a directory of links to a model's files, in which a few small files are changed copies."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_shadow
short_description: Make a directory of links to a model's files, with changed copies of its small ones
description:
  - The model directory is only read. Every file of it is linked; the JSON files named in I(changes) are copies with
    these values set.
  - A new shadow is made beside the old one and takes its place by a rename.
options:
  model:
    description: The model directory.
    type: path
    required: true
  directory:
    description: The shadow.
    type: path
    required: true
  changes:
    description: Values to set, by file name. A file that the model lacks is made.
    type: dict
    required: true
  owner:
    description: Numeric user id of the directory and the copies.
    type: int
    default: 0
  group:
    description: Numeric group id of the directory and the copies.
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
- name: Serve the model with another base of its positions
  mindie_shadow:
    model: /data/models/DeepSeek-R1-BF16
    directory: /var/lib/mindie-deploy/deepseek-r1/model
    changes:
      config.json:
        rope_theta: 20000
"""

RETURN = r"""
files:
  description: Names of all files in the shadow.
  returned: always
  type: list
  elements: str
"""

import json
import os
import shutil

from ansible.module_utils.basic import AnsibleModule

# config.json and generation_config.json have a few KB; MindIE itself takes no JSON above 500 MB.
LARGEST_JSON = 16 * 1024 * 1024


class ShadowError(Exception):
    """The model's files do not allow a shadow."""


def changed_copy(path, values):
    """Returns the text of a JSON file with the values set; of an empty object where there is no file."""
    base = {}
    if os.path.exists(path):
        if os.path.getsize(path) > LARGEST_JSON:
            raise ShadowError("%s has more than %d bytes, which no such file has" % (path, LARGEST_JSON))
        with open(path, "rb") as handle:
            try:
                base = json.loads(handle.read().decode("utf-8"))
            except ValueError as error:
                raise ShadowError("%s is no JSON: %s" % (path, error)) from None
        if not isinstance(base, dict):
            raise ShadowError("%s is no JSON object" % path)
    base.update(values)
    return json.dumps(base, indent=2, sort_keys=True) + "\n"


def wanted(model, changes):
    """Returns {name: (kind, target or text)} of the shadow's entries."""
    entries = {}
    if os.path.isdir(model):
        for name in os.listdir(model):
            if not name.startswith(".") and os.path.isfile(os.path.join(model, name)):
                entries[name] = ("link", os.path.join(model, name))
    for name, values in changes.items():
        if os.path.basename(name) != name or not isinstance(values, dict):
            raise ShadowError("changes must be dictionaries by plain file name, got %r" % name)
        entries[name] = ("text", changed_copy(os.path.join(model, name), values))
    return entries


def present(directory):
    """Returns the entries that are there, in the same form; other things count as neither link nor text."""
    entries = {}
    if not os.path.isdir(directory):
        return entries
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if os.path.islink(path):
            entries[name] = ("link", os.readlink(path))
        elif os.path.isfile(path) and os.path.getsize(path) <= LARGEST_JSON:
            with open(path, "rb") as handle:
                entries[name] = ("text", handle.read().decode("utf-8", "backslashreplace"))
        else:
            entries[name] = ("other", "")
    return entries


def make(directory, entries, owner, group):
    """Makes the whole shadow beside its place, then puts it there."""
    beside, old = directory + ".new", directory + ".old"
    for left in (beside, old):
        shutil.rmtree(left, ignore_errors=True)
    os.makedirs(beside, mode=0o750)
    for name, (kind, value) in entries.items():
        path = os.path.join(beside, name)
        if kind == "link":
            os.symlink(value, path)
            continue
        with open(path, "wb") as handle:
            handle.write(value.encode("utf-8"))
            os.fchmod(handle.fileno(), 0o640)
            if os.geteuid() == 0:
                os.fchown(handle.fileno(), owner, group)
            handle.flush()
            os.fsync(handle.fileno())
    os.chmod(beside, 0o750)
    if os.geteuid() == 0:
        os.chown(beside, owner, group)
    if os.path.isdir(directory):
        os.rename(directory, old)
    os.rename(beside, directory)
    shutil.rmtree(old, ignore_errors=True)


def difference(directory, before, after):
    """Returns what changes, as Ansible's diff: the texts that differ, and the links by name."""
    shown = []
    for name in sorted(set(before) | set(after)):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        path = os.path.join(directory, name)
        if new is not None and new[0] == "text":
            shown.append(
                {
                    "before_header": path if old else "%s (absent)" % path,
                    "after_header": path,
                    "before": old[1] if old and old[0] == "text" else "",
                    "after": new[1],
                }
            )
    links = sorted(name for name, entry in after.items() if entry[0] == "link" and before.get(name) != entry)
    gone = sorted(set(before) - set(after))
    if links or gone:
        shown.append(
            {
                "before_header": directory,
                "after_header": directory,
                "before": "".join("%s\n" % name for name in gone),
                "after": "%d links\n" % len(links) if links else "",
            }
        )
    return shown


def main():
    module = AnsibleModule(
        argument_spec={
            "model": {"type": "path", "required": True},
            "directory": {"type": "path", "required": True},
            "changes": {"type": "dict", "required": True},
            "owner": {"type": "int", "default": 0},
            "group": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    directory = parameters["directory"].rstrip("/")
    try:
        if not os.path.isdir(parameters["model"]) and not module.check_mode:
            raise ShadowError("%s does not exist on this host; run sync first" % parameters["model"])
        after = wanted(parameters["model"], parameters["changes"])
        before = present(directory)
        changed = before != after
        if changed and not module.check_mode:
            make(directory, after, parameters["owner"], parameters["group"])
    except ShadowError as error:
        module.fail_json(msg=str(error), files=[])
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or directory, error.strerror or error), files=[])
    module.exit_json(changed=changed, files=sorted(after), diff=difference(directory, before, after))


if __name__ == "__main__":
    main()

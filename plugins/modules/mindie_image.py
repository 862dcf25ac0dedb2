#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Has one image on a host, loaded from an archive where it is missing."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_image
short_description: Look for an image, and load it from an archive where it is missing
options:
  engine:
    description: The engine's client.
    type: str
    default: docker
  reference:
    description: Name and tag of the image.
    type: str
    required: true
  archive:
    description: A file on the host, made by C(docker save). Without it the module only looks.
    type: path
  archive_directory:
    description:
      - A directory that archives alone are brought to. It is removed after every try to load one, with what a transfer
        left beside it; where the image is there already, what stands there is told.
    type: path
  timeout:
    description: Longest time for loading, in seconds.
    type: int
    default: 3600
author:
  - mindie-deploy
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Look for the image
  mindie_image:
    reference: mindie:2.0.RC2-800I-A2-py311-openeuler24.03-lts

- name: Load the image
  mindie_image:
    reference: mindie:2.0.RC2-800I-A2-py311-openeuler24.03-lts
    archive: /var/lib/mindie-deploy/image_archive/mindie.tar
    archive_directory: /var/lib/mindie-deploy/image_archive
"""

RETURN = r"""
image:
  description: Id and architecture of the image, or null where there is none.
  returned: always
  type: dict
left:
  description: Directories of archives that nobody needs, because the image is there.
  returned: success
  type: list
  elements: str
"""

import json
import os
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mindie_weights_state import incoming_directory


class ImageError(Exception):
    """Something to tell the operator without a traceback."""


def run(command, limit):
    """Returns (status, stdout, stderr); 127 for a missing client and 124 past the limit."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=limit,
            check=False,
        )
    except FileNotFoundError:
        return 127, "", "%s is not installed on this host" % command[0]
    except subprocess.TimeoutExpired:
        return 124, "", "%s gave no answer within %d s" % (" ".join(command[:2]), limit)
    decode = [done.stdout.decode("utf-8", "backslashreplace"), done.stderr.decode("utf-8", "backslashreplace")]
    return done.returncode, decode[0], decode[1]


def look(client, reference):
    """Returns the image's id and architecture, or None where there is none. Raises ImageError."""
    status, text, words = run([client, "image", "inspect", reference], 120)
    if status == 0:
        found = json.loads(text)[0]
        return {"id": found.get("Id", ""), "architecture": found.get("Architecture", "")}
    if "no such image" in words.lower() or "not known" in words.lower():
        return None
    raise ImageError("cannot look for the image %s: %s" % (reference, words.strip()[-1000:]))


def load(client, reference, archive, limit):
    """Loads the archive; returns what look() then says. Raises ImageError."""
    status, text, words = run([client, "load", "--input", archive], limit)
    if status != 0:
        raise ImageError("%s load failed: %s" % (client, words.strip()[-1000:]))
    image = look(client, reference)
    if image is None:
        raise ImageError(
            "the archive %s was loaded, but holds other images than %s: %s"
            % (os.path.basename(archive), reference, text.strip()[-500:])
        )
    return image


def spare(directory):
    """Returns which of an archive's directories exist: its place, and what a transfer left beside it."""
    if not directory:
        return []
    return [path for path in (directory, incoming_directory(directory)) if os.path.isdir(path)]


def work(parameters, check_mode):
    """Returns the result. Raises ImageError, OSError."""
    client, reference, archive = (parameters[name] for name in ("engine", "reference", "archive"))
    directory = parameters["archive_directory"]
    image = look(client, reference)
    if image is not None or not archive:
        return {"changed": False, "image": image, "left": spare(directory) if image else []}
    if not check_mode:
        try:
            image = load(client, reference, archive, parameters["timeout"])
        finally:
            for path in spare(directory):
                shutil.rmtree(path)
    after = "loaded from %s\n" % os.path.basename(archive)
    told = {"before_header": reference, "after_header": reference, "before": "", "after": after}
    return {"changed": True, "image": image, "left": [], "diff": told}


def main():
    """Looks, and loads where the image is missing."""
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "default": "docker"},
            "reference": {"type": "str", "required": True},
            "archive": {"type": "path"},
            "archive_directory": {"type": "path", "default": ""},
            "timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**work(module.params, module.check_mode))
    except ImageError as error:
        module.fail_json(msg=str(error), image=None)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or "the archive", error.strerror or error), image=None)


if __name__ == "__main__":
    main()

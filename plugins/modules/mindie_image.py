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
    support: none
"""

EXAMPLES = r"""
- name: Look for the image
  mindie_image:
    reference: mindie:2.0.RC2-800I-A2-py311-openeuler24.03-lts
"""

RETURN = r"""
image:
  description: Id and architecture of the image, or null where there is none.
  returned: always
  type: dict
"""

import json
import subprocess

from ansible.module_utils.basic import AnsibleModule


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


def main():
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "default": "docker"},
            "reference": {"type": "str", "required": True},
            "archive": {"type": "path"},
            "timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    client, reference = module.params["engine"], module.params["reference"]

    def look():
        status, text, words = run([client, "image", "inspect", reference], 120)
        if status == 0:
            found = json.loads(text)[0]
            return {"id": found.get("Id", ""), "architecture": found.get("Architecture", "")}
        if "no such image" in words.lower() or "not known" in words.lower():
            return None
        return module.fail_json(msg="cannot look for the image %s: %s" % (reference, words.strip()[-1000:]), image=None)

    image = look()
    if image is not None or not module.params["archive"]:
        module.exit_json(changed=False, image=image)
    if module.check_mode:
        module.exit_json(changed=True, image=None)
    status, text, words = run([client, "load", "--input", module.params["archive"]], module.params["timeout"])
    if status != 0:
        module.fail_json(msg="%s load failed: %s" % (client, words.strip()[-1000:]), image=None)
    image = look()
    if image is None:
        module.fail_json(
            msg="the archive %s was loaded, but holds other images than %s: %s"
            % (module.params["archive"], reference, text.strip()[-500:]),
            image=None,
        )
    module.exit_json(changed=True, image=image)


if __name__ == "__main__":
    main()

# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""A host as mindie_fix sees it: its container engine and hccn_tool, asked with a limit."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import random
import re
import time

from ansible.module_utils.mindie_child import Child, Program, wait_for
from ansible.module_utils.mindie_read import decoded, locate, search_path

LABEL = "mindie-deploy.deployment"
OUTPUT_LIMIT = 4 << 20  # bytes of a command's output that are kept
ENGINE_LIMIT = 120.0  # seconds; an engine that says nothing for this long is stuck
HCCN_LIMIT = 30.0  # seconds; the tool itself would ask a dead device for five minutes
ATTEMPTS = 5  # for a device that is busy with another command
PAUSE = 0.5  # seconds between them, doubled each time
BUSY = re.compile(r"is busy|[Pp]lease try again|occupied\. Please try")


class RefusedError(Exception):
    """A change that is not made, or did not work, with the reason."""


def command(words, limit, environment=None):
    """Returns (status, stdout, stderr) of a program. Raises RefusedError where it is missing or does not end."""
    path = locate([words[0]])
    if path is None:
        raise RefusedError("%s is not installed on this host, or not on root's PATH" % words[0])
    variables = dict(os.environ, LC_ALL="C", PATH=os.pathsep.join(search_path()))
    for name, value in (environment or {}).items():
        variables.setdefault(name, value)
    child = Child(Program(path, words, variables), limit, OUTPUT_LIMIT)
    try:
        while not child.finished(time.monotonic()):
            wait_for([child], 0.05)
    finally:
        child.clear()
    if child.timed_out:
        raise RefusedError("%s gave no answer within %g s" % (" ".join(words[:4]), limit))
    return child.status, decoded(child.text(0)), decoded(child.text(1))


class Host(object):
    """The programs and places of this host."""

    def __init__(self, parameters):
        self.engine = parameters["engine"]
        self.deployment = parameters["deployment"]
        self.hccn_tool = parameters["hccn_tool"]
        self.libraries = parameters["libraries"]
        self.shared_memory = parameters["shared_memory"].rstrip("/")
        self.log_tail = None

    def ask_engine(self, *words):
        """Returns what the engine prints. Raises RefusedError with its words when it does not do it."""
        status, out, err = command([self.engine, *list(words)], ENGINE_LIMIT)
        if status != 0:
            raise RefusedError("%s %s: %s" % (self.engine, words[0], err.strip()[-2000:] or "status %s" % status))
        return out

    def require_stopped(self):
        """Raises RefusedError where a container of the deployment runs, or where nobody can tell."""
        label = "label=%s=%s" % (LABEL, self.deployment)
        if self.ask_engine("ps", "--quiet", "--no-trunc", "--filter", label).strip():
            raise RefusedError(
                "the deployment %s runs on this host: stop it first (mindie-deploy down)" % self.deployment
            )

    def hccn(self, npu, *words):
        """Returns what hccn_tool prints for an NPU. A device takes one command at a time: a busy one is asked again."""
        if not self.hccn_tool:
            raise RefusedError("hccn_tool was not found on this host")
        if not re.match(r"^[0-9]{1,3}$", npu):
            raise RefusedError("%s is no index of an NPU" % npu)
        environment = {"LD_LIBRARY_PATH": self.libraries} if self.libraries else {}
        for attempt in range(ATTEMPTS):
            status, out, err = command([self.hccn_tool, "-i", npu, *list(words)], HCCN_LIMIT, environment)
            if not BUSY.search(out + err):
                break
            time.sleep(PAUSE * 2**attempt * random.uniform(0.5, 1.5))
        if status != 0:
            said = (err.strip() or out.strip()).splitlines()
            raise RefusedError(
                "hccn_tool -i %s %s: %s" % (npu, " ".join(words), said[0] if said else "status %s" % status)
            )
        return out

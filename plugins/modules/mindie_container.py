#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Makes one container agree with its specification, through the engine's own command line."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_container
short_description: Create, start, stop or remove one container through the engine's command line
description:
  - Needs nothing on the host but Python and the engine's client (docker or podman).
  - A container carries the digest of everything that shaped it as a label.
  - One with another digest than the wanted one is replaced by C(created).
  - Only a container that carries the label of this deployment is ever touched.
options:
  engine:
    description: The engine's client.
    type: str
    default: docker
  name:
    description: Name of the container.
    type: str
    required: true
  deployment:
    description: Value of the label C(mindie-deploy.deployment) that marks containers as ours.
    type: str
    required: true
  state:
    description:
      - C(observed) only looks. C(created) makes it exist with the wanted digest, not running.
      - C(started) starts an existing one. C(stopped) stops it and keeps it for inspection.
      - C(absent) stops and removes it.
    type: str
    choices: [observed, created, started, stopped, absent]
    required: true
  specification:
    description: What the container is made of, for C(created).
    type: dict
    default: {}
  removed_before:
    description:
      - In check mode, take the container as removed by an earlier task that only would have removed it.
    type: bool
    default: false
  stop_timeout:
    description: Seconds between the polite signal and the kill.
    type: int
    default: 60
  tail:
    description: Number of log lines to return.
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
- name: Look at the container
  mindie_container:
    name: deepseek-r1
    deployment: deepseek-r1
    state: observed
"""

RETURN = r"""
container:
  description: The container after the task, or null where there is none.
  returned: always
  type: dict
log_tail:
  description: The last lines that it printed.
  returned: when tail is positive
  type: str
"""

import json
import subprocess

from ansible.module_utils.basic import AnsibleModule

LABEL = "mindie-deploy.deployment"
DIGEST = "mindie-deploy.digest"
# An engine under load answers slowly; one that says nothing for this long is stuck.
ENGINE_LIMIT = 120


class EngineError(Exception):
    """The engine refused or did not answer."""


class Engine(object):
    """The engine's client, one command at a time."""

    def __init__(self, client):
        self.client = client

    def run(self, arguments, limit=ENGINE_LIMIT, merge=False):
        """Returns stdout (with stderr in order when merge). Raises EngineError with the engine's words."""
        command = [self.client, *arguments]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merge else subprocess.PIPE,
                timeout=limit,
                check=False,
            )
        except FileNotFoundError:
            raise EngineError("%s is not installed on this host, or not on root's PATH" % self.client) from None
        except subprocess.TimeoutExpired:
            raise EngineError("%s gave no answer within %d s" % (" ".join(command[:3]), limit)) from None
        text = done.stdout.decode("utf-8", "backslashreplace")
        if done.returncode != 0:
            words = text if merge else done.stderr.decode("utf-8", "backslashreplace")
            raise EngineError(
                "%s: %s" % (" ".join(command[:3]), words.strip()[-2000:] or "status %d" % done.returncode)
            )
        return text

    def inspect(self, name):
        """Returns the inspected container, or None where there is none."""
        listed = self.run(["ps", "-a", "--no-trunc", "--filter", "name=^/?%s$" % name, "--format", "{{.ID}}"]).split()
        if not listed:
            return None
        return json.loads(self.run(["inspect", "--type", "container", listed[0]]))[0]


def summary(found):
    """The few facts about a container that the controller needs."""
    if found is None:
        return None
    state, config = found.get("State") or {}, found.get("Config") or {}
    return {
        "id": found.get("Id", ""),
        "name": found.get("Name", "").lstrip("/"),
        "image_id": found.get("Image", ""),
        "status": state.get("Status", ""),
        "running": bool(state.get("Running")),
        "pid": state.get("Pid") or 0,
        "exit_code": state.get("ExitCode"),
        "error": state.get("Error") or "",
        "out_of_memory": bool(state.get("OOMKilled")),
        "started_at": state.get("StartedAt", ""),
        "finished_at": state.get("FinishedAt", ""),
        "labels": config.get("Labels") or {},
    }


def create_arguments(wanted):
    """Returns the arguments of `create` for a specification. Nothing secret is in them: the environment is a file."""
    arguments = ["create", "--name", wanted["name"], "--restart", "no", "--network", wanted.get("network", "host")]
    for option, key in (("--user", "user"), ("--ipc", "ipc"), ("--shm-size", "shm_size"), ("--env-file", "env_file")):
        if wanted.get(key):
            arguments += [option, str(wanted[key])]
    if wanted.get("pids_limit") is not None:
        arguments += ["--pids-limit", str(wanted["pids_limit"])]
    if wanted.get("stop_timeout"):
        arguments += ["--stop-timeout", str(wanted["stop_timeout"])]
    if wanted.get("privileged"):
        arguments.append("--privileged")
    for device in wanted.get("devices") or []:
        arguments += ["--device", device]
    for mount in wanted.get("mounts") or []:
        arguments += ["--volume", mount]
    for name, limit in sorted((wanted.get("ulimits") or {}).items()):
        arguments += ["--ulimit", "%s=%s" % (name, limit)]
    for name, value in sorted((wanted.get("log_options") or {}).items()):
        arguments += ["--log-opt", "%s=%s" % (name, value)]
    for name, value in sorted((wanted.get("labels") or {}).items()):
        arguments += ["--label", "%s=%s" % (name, value)]
    command = [str(word) for word in wanted.get("command") or []]
    if command:
        arguments += ["--entrypoint", command[0]]
    return [*arguments, wanted.get("image_id") or wanted["image"], *command[1:]]


def remove(engine, found, stop_timeout):
    """Stops politely, then removes with its anonymous volumes."""
    if (found.get("State") or {}).get("Running"):
        engine.run(["stop", "--time", str(stop_timeout), found["Id"]], limit=stop_timeout + ENGINE_LIMIT)
    engine.run(["rm", "--volumes", found["Id"]])


def change_of(state, found, wanted):
    """Returns (before, after) words of the change that the state asks for, or None when nothing is to do."""
    running = bool(found) and bool((found.get("State") or {}).get("Running"))
    digest = ((found or {}).get("Config") or {}).get("Labels", {}).get(DIGEST, "")
    before = "absent" if not found else "%s, digest %s" % ("running" if running else "stopped", digest[:19] or "none")
    if state == "absent" and found:
        return before, "absent"
    if state == "stopped" and running:
        return before, "stopped, digest %s" % digest[:19]
    if state == "started" and not running:
        return before, "running, digest %s" % ((wanted.get("labels") or {}).get(DIGEST, digest))[:19]
    if state == "created":
        aim = (wanted.get("labels") or {}).get(DIGEST, "")
        if not found or digest != aim:
            return before, "created, digest %s" % aim[:19]
    return None


def apply(engine, state, found, wanted, stop_timeout):
    """Carries the change out."""
    if state == "absent":
        remove(engine, found, stop_timeout)
    elif state == "stopped":
        engine.run(["stop", "--time", str(stop_timeout), found["Id"]], limit=stop_timeout + ENGINE_LIMIT)
    elif state == "started":
        if not found:
            raise EngineError("there is no container to start")
        engine.run(["start", found["Id"]])
    elif state == "created":
        if found:
            remove(engine, found, stop_timeout)
        engine.run(create_arguments(wanted))


def main():
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "default": "docker"},
            "name": {"type": "str", "required": True},
            "deployment": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "required": True,
                "choices": ["observed", "created", "started", "stopped", "absent"],
            },
            "specification": {"type": "dict", "default": {}},
            "removed_before": {"type": "bool", "default": False},
            "stop_timeout": {"type": "int", "default": 60},
            "tail": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    engine, name, state = Engine(parameters["engine"]), parameters["name"], parameters["state"]
    wanted = dict(parameters["specification"], name=name)
    result = {"changed": False, "container": None}
    try:
        found = engine.inspect(name)
        labels = ((found or {}).get("Config") or {}).get("Labels") or {}
        if found and labels.get(LABEL) != parameters["deployment"] and state != "observed":
            module.fail_json(
                msg="a container named %s exists on this host and is not ours (label %s is %s); remove or rename it"
                % (name, LABEL, labels.get(LABEL) or "missing"),
                **result,
            )
        there = None if module.check_mode and parameters["removed_before"] else found
        change = change_of(state, there, wanted)
        if change:
            result["changed"] = True
            header = "container %s" % name
            result["diff"] = {
                "before_header": header,
                "after_header": header,
                "before": change[0] + "\n",
                "after": change[1] + "\n",
            }
            if not module.check_mode:
                apply(engine, state, found, wanted, parameters["stop_timeout"])
                found = engine.inspect(name)
        result["container"] = summary(found)
        if parameters["tail"] and found:
            result["log_tail"] = engine.run(["logs", "--tail", str(parameters["tail"]), found["Id"]], merge=True)
    except EngineError as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

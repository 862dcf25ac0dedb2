#!/usr/bin/python
# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Looks at a member of a deployment from its own host: the container, its log, and whether the model answers."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: mindie_observe
short_description: Look at a member of a deployment, for some seconds or until something happens
description:
  - Reads the state of the container and the end of its log, and on the leader asks the HTTP API from the host itself.
  - Comes back early when the container has ended, when I(wanted_line) was printed or when the model answered.
options:
  engine:
    description: The engine's client.
    type: str
    default: docker
  name:
    description: Name of the container.
    type: str
    required: true
  window:
    description: Longest time to look, in seconds. 0 looks once.
    type: float
    default: 0
  tail:
    description: Number of log lines to return.
    type: int
    default: 50
  wanted_line:
    description: A text that the daemon prints when it has started.
    type: str
    default: ""
  service_url:
    description: Base address of the business plane, on the leader; empty on followers.
    type: str
    default: ""
  chat:
    description: Body of a chat request. Sent when I(service_url) is given and the API listens.
    type: dict
    default: {}
  chat_timeout:
    description: Longest wait for the answer of the chat request, in seconds.
    type: float
    default: 120
author:
  - mindie-deploy
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Look at a follower
  mindie_observe:
    name: deepseek-r1
"""

RETURN = r"""
observation:
  description:
    - What was seen. C(exists), C(running), C(exit_code), C(started_at) and C(age_s) are of the container.
    - C(line_seen), C(listening), C(answer), C(problem) and C(log_tail) are of the daemon.
  returned: always
  type: dict
"""

import calendar
import json
import subprocess
import time

try:
    from urllib.error import HTTPError, URLError
    from urllib.request import ProxyHandler, Request, build_opener
except ImportError:  # Python 2 is not supported; this keeps the documentation tools of Ansible from failing
    HTTPError = URLError = ProxyHandler = Request = build_opener = None

from ansible.module_utils.basic import AnsibleModule

ENGINE_LIMIT = 60
PAUSE = 1.0
LARGEST_ANSWER = 4 * 1024 * 1024


def engine(client, arguments):
    """Returns (status, output with errors in order)."""
    try:
        done = subprocess.run(
            [client, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ENGINE_LIMIT,
            check=False,
        )
    except FileNotFoundError:
        return 127, "%s is not installed on this host" % client
    except subprocess.TimeoutExpired:
        return 124, "%s gave no answer within %d s" % (client, ENGINE_LIMIT)
    return done.returncode, done.stdout.decode("utf-8", "backslashreplace")


def container(client, name):
    """Returns (inspected or None, problem)."""
    status, text = engine(client, ["inspect", "--type", "container", name])
    if status == 0:
        return json.loads(text)[0], ""
    if "no such" in text.lower():
        return None, ""
    return None, text.strip()[-500:]


def ask(url, body, limit):
    """Sends one request past any proxy. Returns (status, parsed body, problem); status 0: nothing listens there."""
    # The API is on this very host: a proxy from the environment would only be in the way.
    opener = build_opener(ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode("utf-8")
    request = Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with opener.open(request, timeout=limit) as answer:
            text = answer.read(LARGEST_ANSWER).decode("utf-8", "backslashreplace")
            status = answer.getcode()
    except HTTPError as error:
        words = error.read(4096).decode("utf-8", "backslashreplace")
        return error.code, None, "%s answered %d: %s" % (url, error.code, words.strip()[:500])
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ConnectionRefusedError):
            return 0, None, ""
        return -1, None, "%s: %s" % (url, reason)
    try:
        return status, json.loads(text), ""
    except ValueError:
        return status, None, "%s answered something that is not JSON: %s" % (url, text[:200])


def answer_text(body):
    """Returns the text of a chat answer, or None when the body has no such form."""
    try:
        message = body["choices"][0]["message"]
        text = message.get("content") or message.get("reasoning_content") or ""
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    return text if isinstance(text, str) else None


def age(started_at):
    """Returns how long ago the engine says the container was started, in seconds; None when it does not say."""
    try:
        return max(0.0, time.time() - calendar.timegm(time.strptime(started_at[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return None


def look(parameters):
    """One look. Returns the observation."""
    found, problem = container(parameters["engine"], parameters["name"])
    seen = {
        "exists": found is not None,
        "running": False,
        "exit_code": None,
        "labels": {},
        "error": "",
        "started_at": "",
        "finished_at": "",
        "age_s": None,
        "line_seen": False,
        "listening": False,
        "answer": None,
        "problem": problem,
        "log_tail": "",
    }
    if found is None:
        return seen
    seen["labels"] = (found.get("Config") or {}).get("Labels") or {}
    state = found.get("State") or {}
    for key, name in (("Running", "running"), ("ExitCode", "exit_code"), ("Error", "error")):
        seen[name] = state.get(key)
    seen["started_at"], seen["finished_at"] = state.get("StartedAt", ""), state.get("FinishedAt", "")
    seen["age_s"] = age(seen["started_at"])
    lines = ["logs", "--tail", str(max(parameters["tail"], 1)), parameters["name"]]
    seen["log_tail"] = engine(parameters["engine"], lines)[1]
    if parameters["wanted_line"]:
        since = ["logs", "--since", seen["started_at"], parameters["name"]]
        text = seen["log_tail"]
        if parameters["wanted_line"] not in text:
            text = engine(parameters["engine"], since)[1]
        seen["line_seen"] = parameters["wanted_line"] in text
    return seen


def try_chat(parameters, seen):
    """Asks for an answer where the API listens; fills listening, answer and problem."""
    base = parameters["service_url"].rstrip("/")
    status, _body, problem = ask(base + "/v1/models", None, 10)
    seen["listening"] = status > 0
    if status != 200:
        seen["problem"] = problem
        return
    if not parameters["chat"]:
        return
    status, body, problem = ask(base + "/v1/chat/completions", parameters["chat"], parameters["chat_timeout"])
    text = answer_text(body) if status == 200 else None
    if text is not None:
        seen["answer"] = text
    else:
        seen["problem"] = problem or "the chat request was answered without a text: %s" % json.dumps(body)[:300]


def main():
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "default": "docker"},
            "name": {"type": "str", "required": True},
            "window": {"type": "float", "default": 0},
            "tail": {"type": "int", "default": 50},
            "wanted_line": {"type": "str", "default": ""},
            "service_url": {"type": "str", "default": ""},
            "chat": {"type": "dict", "default": {}},
            "chat_timeout": {"type": "float", "default": 120},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    end = time.time() + parameters["window"]
    while True:
        seen = look(parameters)
        if seen["running"] and parameters["service_url"]:
            try_chat(parameters, seen)
            if seen["answer"] is None:
                # The request may have failed because the daemon has just ended.
                again = look(parameters)
                if not again["running"]:
                    again["problem"] = seen["problem"]
                    seen = again
        over = not seen["running"] or seen["answer"] is not None
        over = over or (seen["line_seen"] and not parameters["service_url"])
        if over or time.time() >= end:
            break
        time.sleep(min(PAUSE, max(0.0, end - time.time())))
    module.exit_json(changed=False, observation=seen)


if __name__ == "__main__":
    main()

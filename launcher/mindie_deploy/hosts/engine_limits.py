"""What the engine puts on every container: limits of processes, and proxies."""

from __future__ import annotations

import json
import re

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import Reading, Unknown
from mindie_deploy.hosts.facts_surroundings import UNLIMITED
from mindie_deploy.hosts.text import assignments, lines_of

# The kernel's words in /proc/PID/limits, and the engine's for the same. What a check judges, and no more: the memory
# that HCCL registers is the NPU's, so that a limit of locked memory, small by default, says nothing of a launch.
WORDS = {"Max open files": "nofile", "Max processes": "nproc"}
ROW = re.compile(r"(?P<words>Max [a-z ]+?) {2,}(?P<soft>\d{1,18}|unlimited) +(?P<hard>\d{1,18}|unlimited)\b", re.ASCII)
FLAG = re.compile(
    r'--default-ulimit[= ]"?(?P<name>[a-z]{1,16})=(?P<soft>-?\d{1,18})(?::(?P<hard>-?\d{1,18}))?', re.ASCII
)
PROXY = re.compile(r'"(?P<key>(?:http|https|ftp|all|no)Proxy)"\s*:\s*"(?P<value>[^"]*)"')


def limits(answer: Answer) -> Reading[dict[str, tuple[int, int]]]:
    """Reads the daemon's own limits, over which its defaults for containers count. Soft and hard, by name."""
    if answer.status != 0 or answer.truncated:
        return answer.failure("reading the engine's limits")
    found: dict[str, tuple[int, int]] = {}
    defaults: dict[str, tuple[int, int]] = {}
    for line in lines_of(answer.stdout):
        if (row := ROW.match(line)) and row["words"] in WORDS:
            found[WORDS[row["words"]]] = (_number(row["soft"]), _number(row["hard"]))
        elif flag := FLAG.fullmatch(line):
            defaults[flag["name"]] = (int(flag["soft"]), int(flag["hard"] or flag["soft"]))
        elif line.startswith('"default-ulimits"'):
            configured = _configured(line)
            if isinstance(configured, Unknown):
                return configured
            defaults |= configured
    if not found and not defaults:
        return Unknown("no process of the engine was found")
    return found | defaults


def proxies(answer: Answer) -> Reading[dict[str, str]]:
    """Reads the proxies of the client's configuration (Docker), or of the environment (Podman), by Docker's keys."""
    if answer.status != 0 or answer.truncated:
        return answer.failure("reading the engine's proxies")
    found = {match["key"]: match["value"] for match in PROXY.finditer("\n".join(lines_of(answer.stdout)))}
    for name, value in assignments(answer.stdout).items():
        if match := re.fullmatch(r"(http|https|ftp|all|no)_proxy", name, re.IGNORECASE):
            found[f"{match[1].lower()}Proxy"] = value
    return {key: value for key, value in found.items() if value}


def _configured(line: str) -> Reading[dict[str, tuple[int, int]]]:
    """Reads `"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}}`."""
    try:
        told = json.loads("{" + line + "}")["default-ulimits"]
        return {
            str(name): (_whole(value["Soft"]), _whole(value["Hard"]))
            for name, value in told.items()
            if name in WORDS.values()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Unknown("default-ulimits of the engine's configuration have no known form")


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("no whole number")
    return value


def _number(text: str) -> int:
    return UNLIMITED if text == "unlimited" else int(text)

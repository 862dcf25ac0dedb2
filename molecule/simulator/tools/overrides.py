"""Answers that the state file replaces, slows or withholds (`tools:`), and the counts that `times: N` needs."""

from __future__ import annotations

import os

from .answer import Answer
from .light import Any
from .state import hold


def rule_for(state: dict[str, Any], tool: str, arguments: list[str], run: str) -> dict[str, Any] | None:
    """The first rule that matches the call and is not used up; a limited rule counts the call."""
    if not state["tools"]:
        return None
    import re  # most hosts have no such rule, and the module takes long to load

    line = " ".join(arguments)
    for index, rule in enumerate(state["tools"]):
        if rule["tool"] != tool or not re.search(rule["match"], line):
            continue
        if rule["times"] is None or next_count(run, f"rule-{index}", state["stamp_ns"]) < rule["times"]:
            return dict(rule)
    return None


def next_count(run: str, name: str, stamp: int) -> int:
    """How often this was asked before since the state last changed; counts this time. Calls may come at once."""
    with open(os.path.join(run, f"{name}.count"), "a+", encoding="utf-8") as counter:
        hold(counter)
        counter.seek(0)
        known = counter.read().split()
        count = int(known[1]) if len(known) == 2 and known[0] == str(stamp) else 0
        counter.seek(0)
        counter.truncate()
        counter.write(f"{stamp} {count + 1}")
    return count


def replaces(rule: dict[str, Any]) -> bool:
    """Whether the rule has an answer of its own (otherwise it only delays)."""
    return any(rule[key] is not None for key in ("stdout", "stderr", "exit_status"))


def own_answer(rule: dict[str, Any]) -> Answer:
    """The answer a replacing rule gives; what it leaves out is empty, or status 0."""
    return Answer(rule["stdout"] or "", rule["stderr"] or "", rule["exit_status"] or 0)

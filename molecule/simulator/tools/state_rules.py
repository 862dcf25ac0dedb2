"""Rules of the state file that look at more than one field."""

from __future__ import annotations

import re
from typing import Any

from .schema_npu import HCCN


def cross_problems(state: dict[str, Any]) -> list[str]:
    """Every broken rule as "path: rule"."""
    problems: list[str] = []
    ids = [npu["id"] for npu in state["npus"]]
    for index, number in enumerate(ids):
        if number in ids[:index]:
            problems.append(f"npus[{index}].id: {number} is used twice")
    for section, key in (("driver", "compatible_firmware"), ("firmware", "compatible_driver")):
        for index, pair in enumerate(state[section][key]):
            if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(bound, str) for bound in pair)):
                problems.append(f"{section}.{key}[{index}]: must be a pair of quoted versions [lowest, highest]")
    for index, pair in enumerate(state["topology"]["pairs"]):
        if len(pair["npus"]) != 2 or len(set(pair["npus"])) != 2 or not set(pair["npus"]) <= set(ids):
            problems.append(f"topology.pairs[{index}].npus: must be two different NPU ids of the host")
    for index, process in enumerate(state["foreign_processes"]):
        if process["npu"] not in ids:
            problems.append(f"foreign_processes[{index}].npu: the host has no NPU {process['npu']}")
    for index, rule in enumerate(state["tools"]):
        problems.extend(_rule_problems(rule, f"tools[{index}]"))
    for index, npu in enumerate(state["npus"]):
        problems.extend(_port_problems(npu["hccn"], f"npus[{index}].hccn"))
    return problems


def _rule_problems(rule: dict[str, Any], path: str) -> list[str]:
    try:
        re.compile(rule["match"])
    except re.error as error:
        return [f"{path}.match: not a regular expression: {error}"]
    if rule["busy"] and rule["tool"] != "hccn_tool":
        return [f"{path}.busy: npu-smi has no busy answer"]
    return []


def _port_problems(port: dict[str, Any], path: str) -> list[str]:
    problems = []
    optical = port["optical"]
    for key in ("tx_power_mw", "rx_power_mw", "tx_bias_ma"):
        if len(optical[key]) != 4:
            problems.append(f"{path}.optical.{key}: must have four values")
    if port["link_never_up"] and port["link_history"]:
        problems.append(f"{path}.link_never_up: contradicts link_history")
    for key in ("stat", "stat_growth"):
        for name, value in port[key].items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                problems.append(f"{path}.{key}.{name}: must be a whole number, not negative")
    unknown = [name for name in port["fails"] if not re.fullmatch("[a-z_]+", name)]
    if unknown:
        problems.append(f"{path}.fails: option names without dash, is {unknown}")
    if set(HCCN) - set(port):
        problems.append(f"{path}: incomplete")
    return problems

"""Runs one tool on this host: reads the state, waits as a real tool would, prints, and ends with the tool's status."""

from __future__ import annotations

import os
import sys
import time

from . import overrides, state
from .answer import Answer
from .light import TYPE_CHECKING, Iterator

if TYPE_CHECKING:
    from .claims import Claim
    from .hccn_ping import End

BROKEN = 70  # the simulator itself cannot work (EX_SOFTWARE); no tool ends with it


def main(tool: str, arguments: list[str]) -> int:
    """The exit status of `tool ARGUMENTS`; everything is printed."""
    try:
        answer = {"npu-smi": _npu_smi, "hccn_tool": _hccn_tool, "lspci": _lspci}[tool](arguments)
    except state.StateError as error:
        sys.stderr.write(f"simulated {tool}: {error}\n")
        return BROKEN
    try:
        sys.stdout.write(answer.stdout)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader is gone, as with `| head`
        sys.stdout = None
    sys.stderr.write(answer.stderr)
    return answer.status


def _claims() -> list[Claim]:
    from .claims import read_claims

    claims, problems = read_claims(state.now(), os.environ.get("SIMULATOR_PROC", "/proc"))
    for problem in problems:
        sys.stderr.write(f"simulated npu-smi: {problem}\n")
    return claims


def _npu_smi(arguments: list[str]) -> Answer:
    from .smi import answer

    host = state.load(state.own_name())
    rule = overrides.rule_for(host, "npu-smi", arguments, state.run_directory())
    if rule is not None:
        _pause(rule)
        if overrides.replaces(rule):
            return overrides.own_answer(rule)
    time.sleep(host["pace"]["npu_smi_s"])
    return answer(arguments, host, _claims())


def _hccn_tool(arguments: list[str]) -> Answer:
    from . import hccn

    name = state.own_name()
    host = state.load(name)
    run = state.run_directory()
    rule = overrides.rule_for(host, "hccn_tool", arguments, run)
    if rule is not None:
        _pause(rule)
        if overrides.replaces(rule):
            return overrides.own_answer(rule)
    asked = hccn.request(arguments, host)
    if isinstance(asked, Answer):
        return asked

    def network() -> Iterator[End]:
        from .hccn_ping import ends

        return ends((other, state.load(other)) for other in state.host_names())

    around = hccn.Surroundings(name, state.now(), network, _set_tls, time.sleep, _set_netdetect, os.geteuid() == 0)
    refusal = hccn.device_refusal(asked, host, around)
    if refusal is not None:
        return refusal
    if rule is not None and rule["busy"]:
        return hccn.busy_answer(asked.name)
    with open(os.path.join(run, f"hccn-{asked.number}.lock"), "w", encoding="utf-8") as device:
        if not state.hold(device, wait=False):  # a device takes one command at a time
            return hccn.busy_answer(asked.name)
        if asked.name == "stat" and asked.npu["hccn"]["stat_growth"]:
            around.calls = overrides.next_count(run, f"stat-{asked.number}", host["stamp_ns"])
        time.sleep(host["pace"]["hccn_s"])
        return hccn.answer(asked, host, around)


def _set_tls(number: int, enable: int) -> None:
    """Writes the switch to the state file, where the next query and /etc/hccn.conf (tls_enable_N) find it."""

    def edit(raw: state.State) -> None:
        for npu in raw["npus"]:
            if npu.get("id") == number:
                port = npu.setdefault("hccn", {})
                port["tls"] = {**(port.get("tls") or {}), "switch": enable}
                port["tls_recorded"] = enable

    state.change(state.path_of(state.own_name()), edit)
    _record("tls_enable", number, str(enable))


def _set_netdetect(number: int, address: str) -> None:
    """Writes the address to the state file and to /etc/hccn.conf (netdetect_N); 0.0.0.0 is none."""

    def edit(raw: state.State) -> None:
        for npu in raw["npus"]:
            if npu.get("id") == number:
                npu.setdefault("hccn", {})["netdetect"] = None if address == "0.0.0.0" else address

    state.change(state.path_of(state.own_name()), edit)
    _record("netdetect", number, address)


def _record(key: str, number: int, value: str) -> None:
    from .conf import record

    if os.path.isfile(state.NAME_FILES[0]):  # never on a machine that only runs the tests
        record(key, number, value)


def _lspci(arguments: list[str]) -> Answer:
    from .lspci import answer

    return answer(arguments, state.load(state.own_name()))


def _pause(rule: dict[str, object]) -> None:
    if rule["hang"]:
        while True:
            time.sleep(3600)
    time.sleep(float(str(rule["delay_s"])))

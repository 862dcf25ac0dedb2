"""The registry of checks: what a check declares, and the list of all of them.

`check`, `explain`, docs/checks.md and the tests read the same registry. A check is one function under the decorator
`check`. It yields a Problem for everything that is wrong and nothing for what is right. Its scope says what it gets:

- host: the facts of one host, and the context
- cluster: the facts of all hosts by name in rank order, and the context
- unreachable: the name of a host that gave no facts, and the reason

`needs` names the facts without which the check cannot say anything. Where one is Unknown, the check reports *unknown*
for that host with the reason, and the function does not see the host. Three forms: the name of an attribute of
HostFacts ("overview"), a part of what surrounds a container ("surroundings.kernel"), and a value for each NPU
("hccn.link_up", "boards", "npu_error_codes"), where only the NPUs concerned are unknown and the function sees the
others. A function that judges the absence of evidence itself leaves the fact out of `needs`.

`caused_by` names the checks whose findings explain a finding of this one at the same place: on the same host and NPU,
or the cause is the host's as a whole. `caused_by_any_npu` names those where a single NPU of the host is enough to
explain what is said of the whole host or not known there (a lost NPU and the topology matrix). A cause that is itself
explained by another passes that one on.

`fix` is the kind of remedy that `mindie-deploy fix` can carry out itself (FIXES); most checks have none.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal, TypeAlias, TypeVar

from mindie_deploy.hosts.facts import HccnDevice, HostFacts, Surroundings
from mindie_deploy.preflight.finding import Problem, Severity

Scope = Literal["host", "cluster", "unreachable"]
Function: TypeAlias = Callable[..., Iterable[Problem]]
AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Iterable[Problem]])

# Remedies that are safe and can be taken back, by kind, and what each does. preflight.fix_kinds plans them.
FIXES: Mapping[str, str] = {
    "tls": "switches TLS off on every NPU where it is on",
    "netdetect": "sets the gateway of the NPU, where it has one",
    "weights-modes": "takes away what the modes allow too much",
    "device-modes": "gives the group of the node read and write",
    "container": "removes the stopped container; its last log lines are kept in the record of the run",
    "shared-memory": "removes files that no process has open",
}

HCCN = "hccn."
SURROUNDINGS = "surroundings."
PER_NPU = ("boards", "npu_error_codes", "ecc")
_NEEDS = {
    *(field.name for field in fields(HostFacts)),
    *(HCCN + field.name for field in fields(HccnDevice)),
    *(SURROUNDINGS + field.name for field in fields(Surroundings)),
}


@dataclass(frozen=True)
class Check:
    """What a check declares. `title` is what is wrong, in words that fit one place as well as many.

    `unknown` is the severity of missing evidence: that of the check unless declared otherwise, because what is not
    proven to work may not work. `command` is how we know. A check that is not `skippable` concerns the evidence itself.
    """

    id: str
    title: str
    severity: Severity
    scope: Scope
    needs: tuple[str, ...]
    command: str
    why: str
    remedy: str
    source: str
    caused_by: tuple[str, ...]
    caused_by_any_npu: tuple[str, ...]
    unknown: Severity
    skippable: bool
    function: Function
    fix: str | None = None


_checks: dict[str, Check] = {}


def check(
    check_id: str,
    *,
    title: str,
    severity: Severity,
    command: str,
    why: str,
    remedy: str,
    source: str,
    scope: Scope = "host",
    needs: Iterable[str] = (),
    caused_by: Iterable[str] = (),
    caused_by_any_npu: Iterable[str] = (),
    unknown: Severity | None = None,
    skippable: bool = True,
    fix: str | None = None,
) -> Callable[[AnyFunction], AnyFunction]:
    """Declares a check. Raises ValueError for an id that is taken, a need that is no fact, and a fix of no kind."""

    def register(function: AnyFunction) -> AnyFunction:
        if check_id in _checks:
            raise ValueError(f"two checks are named {check_id}")
        for need in needs:
            if need not in _NEEDS:
                raise ValueError(f"{check_id} needs {need}, which is no fact of a host")
        if fix is not None and fix not in FIXES:
            raise ValueError(f"{check_id} has a fix of the kind {fix}, which is none")
        _checks[check_id] = Check(
            id=check_id,
            title=title,
            severity=severity,
            scope=scope,
            needs=tuple(needs),
            command=command,
            why=why,
            remedy=remedy,
            source=source,
            caused_by=tuple(caused_by),
            caused_by_any_npu=tuple(caused_by_any_npu),
            unknown=unknown or severity,
            skippable=skippable,
            function=function,
            fix=fix,
        )
        return function

    return register


@cache
def all_checks() -> Mapping[str, Check]:
    """Returns all checks by id, causes before what they cause, else in alphabetical order.

    Raises ValueError when a check names a cause that does not exist, or when causes go in a circle.
    """
    checks: Any = importlib.import_module("mindie_deploy.preflight.checks")
    for module in pkgutil.iter_modules(checks.__path__):
        importlib.import_module(f"{checks.__name__}.{module.name}")
    ordered: dict[str, Check] = {}
    for check_id in sorted(_checks):
        _place(check_id, ordered, ())
    return ordered


def causes_of(check: Check) -> Iterator[str]:
    """Yields the ids of the checks that may explain this one directly; a host without facts explains everything."""
    yield from check.caused_by
    yield from check.caused_by_any_npu
    if check.scope != "unreachable":
        yield from (other.id for other in _checks.values() if other.scope == "unreachable")


def _place(check_id: str, ordered: dict[str, Check], path: tuple[str, ...]) -> None:
    if check_id in path:
        raise ValueError(f"checks cause one another: {' -> '.join((*path, check_id))}")
    if check_id not in _checks:
        raise ValueError(f"{path[-1]} is caused by {check_id}, which is no check")
    if check_id in ordered:
        return
    for cause in causes_of(_checks[check_id]):
        _place(cause, ordered, (*path, check_id))
    ordered[check_id] = _checks[check_id]

"""What a case of the matrix is: what is done to the hosts, and what `check` must say above the severity info."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

# What no RoCE port and no interface has to do with is found in the first round trip: the second one is spared there.
FIRST_TRIP_ONLY: Mapping[str, object] = {"mindie_check_pings": "off", "mindie_check_ports": False}
HOSTS = ("host1", "host2", "host3")
NPUS = tuple(range(4))  # of each host: half of the usual, for half of the time
Places = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Given:
    """A named fault or variation of the simulator on one host or several."""

    name: str
    hosts: tuple[str, ...] = ("host2",)
    npu: int = 0


@dataclass(frozen=True)
class Found:
    """A finding. `places` holds the NPUs of each host, () where the host as a whole is meant."""

    check: str
    severity: str
    places: Places
    kind: str = "fail"


@dataclass(frozen=True)
class Case:
    """One run of `check`.

    `settings` are changed for this run in the inventory, `host_variables` those of single hosts. `needs_file`
    is a file that the machine must have, where the simulated hosts show something of the kernel that they share with
    it.
    """

    name: str
    changed: str
    given: tuple[Given, ...] = ()
    found: tuple[Found, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    host_variables: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    needs_file: str = ""


def one(
    fault: str,
    check: str,
    severity: str,
    *,
    host: str = "host2",
    npu: int | None = None,
    at: Places | None = None,
    hosts: tuple[str, ...] = (),
    kind: str = "fail",
    changed: str = "",
    name: str = "",
    settings: Mapping[str, object] | None = None,
    needs_file: str = "",
) -> Case:
    """A case of one fault and one finding: on one host and NPU unless `at` or `hosts` say more."""
    places: Places = at if at is not None else dict.fromkeys(hosts or (host,), () if npu is None else (npu,))
    return Case(
        name=name or fault,
        changed=changed,
        given=(Given(fault, hosts or (host,), npu or 0),),
        found=(Found(check, severity, places, kind),),
        settings=settings or {},
        needs_file=needs_file,
    )


def setting(name: str, changed: str, check: str, severity: str, places: Places, **settings: object) -> Case:
    """A case in which only the inventory is wrong."""
    return Case(name, changed, found=(Found(check, severity, places),), settings=settings)


def first_trip(*cases: Case) -> tuple[Case, ...]:
    """The same cases without pings and tried ports."""
    return tuple(replace(case, settings={**FIRST_TRIP_ONLY, **case.settings}) for case in cases)

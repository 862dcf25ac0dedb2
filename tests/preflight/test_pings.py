"""Pings between NPUs: one cause is one finding, named as wide as it is and no wider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mindie_deploy.hosts.facts import Unknown
from mindie_deploy.preflight.checks.pings import LOSS_TITLE, LOST
from mindie_deploy.preflight.finding import Unreachable
from mindie_deploy.preflight.ping_matrix import Pair, pairs_of
from mindie_deploy.preflight.report import Report

from .builders import finding, ids, judged, only, ports
from .reaches import LOSSY, WELL, Place, pinging
from .reaches import LOST as NONE

CHECK = "hccn.cross-ping-matrix"
COUNTS = (2, 3, 4, 8)
Packets = Callable[[Place, Place], Any]


def failing(*which: Callable[[Place, Place], bool], packets: object = NONE) -> Packets:
    """Pings of which those go wrong that one of the conditions fits."""
    return lambda source, target: packets if any(fits(source, target) for fits in which) else WELL


def of_npu(host: int, npu: int) -> Callable[[Place, Place], bool]:
    return lambda source, target: (host, npu) in (source, target)


def of_host(host: int) -> Callable[[Place, Place], bool]:
    return lambda source, target: host in (source[0], target[0])


def of_rail(npu: int) -> Callable[[Place, Place], bool]:
    return lambda source, target: npu in (source[1], target[1])


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("full", [False, True])
def test_a_cluster_whose_pings_all_arrive_has_no_finding(count: int, full: bool) -> None:
    report = judged(pinging(count, full=full))
    assert report.verdict == "ok"
    assert CHECK not in ids(report)
    assert len(report.pings) == count * (count - 1) * 8 * (8 if full else 1)
    assert "Pings between" not in report.to_text()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("full", [False, True])
def test_nobody_reaches_anybody(count: int, full: bool) -> None:
    found = only(judged(pinging(count, failing(lambda source, target: True), full=full)))
    assert (found.title, found.severity) == (LOST["everything"][0], "block")
    assert found.places == {f"host{number}": () for number in range(1, count + 1)}
    assert len(found.evidence) == 1


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("full", [False, True])
def test_a_rail(count: int, full: bool) -> None:
    found = only(judged(pinging(count, failing(of_rail(3)), full=full)))
    assert found.title == LOST["rail"][0]
    assert found.places == {f"host{number}": (3,) for number in range(1, count + 1)}


@pytest.mark.parametrize(("count", "full"), [(3, False), (4, False), (8, False), (2, True), (4, True)])
def test_an_npu(count: int, full: bool) -> None:
    found = only(judged(pinging(count, failing(of_npu(2, 3)), full=full)))
    assert found.title == LOST["npu"][0]
    assert found.places == {"host2": (3,)}
    assert "-lldp" in found.remedy


def test_of_two_hosts_nobody_can_tell_whose_port_it_is() -> None:
    found = only(judged(pinging(2, failing(of_npu(2, 3)))))
    assert found.title == LOST["rail"][0]
    assert found.places == {"host1": (3,), "host2": (3,)}
    assert "either NPU" in found.remedy


@pytest.mark.parametrize("count", [3, 4, 8])
@pytest.mark.parametrize("full", [False, True])
def test_a_host(count: int, full: bool) -> None:
    found = only(judged(pinging(count, failing(of_host(2)), full=full)))
    assert found.title == LOST["host"][0]
    assert found.places == {"host2": ()}


def test_two_hosts_of_four() -> None:
    found = only(judged(pinging(4, failing(of_host(2), of_host(3)))))
    assert found.title == LOST["host"][0]
    assert found.places == {"host2": (), "host3": ()}


def test_two_npus_of_one_rail() -> None:
    found = only(judged(pinging(4, failing(of_npu(1, 5), of_npu(4, 5)))))
    assert found.title == LOST["npu"][0]
    assert found.places == {"host1": (5,), "host4": (5,)}


def test_two_groups_of_hosts_that_do_not_reach_each_other() -> None:
    """Two switches without a link between them."""
    apart = failing(lambda source, target: (source[0] < 3) != (target[0] < 3))
    found = only(judged(pinging(4, apart)))
    assert found.title == LOST["between"][0]
    assert found.places == {f"host{number}": () for number in range(1, 5)}
    assert len(found.evidence) == 4


def test_a_host_and_the_npu_of_another_are_two_causes() -> None:
    report = judged(pinging(4, failing(of_host(1), of_npu(3, 6))))
    assert [(one.title, one.where) for one in report.findings if one.check_id == CHECK] == [
        (LOST["npu"][0], "host3: NPU 6"),
        (LOST["host"][0], "host1"),
    ]


@pytest.mark.parametrize("outwards", [True, False])
def test_an_npu_in_one_direction_only(outwards: bool) -> None:
    one_way = failing(lambda source, target: (source if outwards else target) == (2, 3))
    found = only(judged(pinging(4, one_way)))
    assert found.title == LOST["npu"][0]
    assert found.places == {"host2": (3,)}


def test_a_single_pair() -> None:
    found = only(judged(pinging(4, failing(lambda source, target: (source, target) == ((2, 3), (4, 3))))))
    assert (found.title, found.severity) == (LOST["pair"][0], "block")
    assert found.places == {"host2": (3,)}
    assert found.evidence[0].says == "host2 NPU 3 to host4 NPU 3 (29.1.3.14) lost 100 %"


def test_rails_that_are_networks_of_their_own_are_no_reason_to_stop() -> None:
    found = only(judged(pinging(4, failing(lambda source, target: source[1] != target[1]), full=True)))
    assert (found.title, found.severity) == (LOST["across"][0], "warn")


@pytest.mark.parametrize("broken", [{"from": ["h"]}, {"from": "hx", "to": ["h", 1]}, {"sent": "x"}, {"to": None}])
def test_a_pair_of_no_known_form_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Pair.from_dict({**Pair(("h", 1), ("g", 1), "a", 3, 3).to_dict(), **broken})
    assert pairs_of({"host": Unreachable("x")}) == ()


@pytest.mark.parametrize(("which", "severity", "where"), [
    (of_npu(2, 3), "block", "host2: NPU 3"),
    (of_rail(3), "block", "host1, host2, host3, host4: NPU 3"),
    (of_host(2), "block", "host2"),
    (lambda source, target: (source, target) == ((2, 3), (4, 3)), "warn", "host2: NPU 3"),
])  # fmt: skip
def test_loss_is_named_as_loss(which: Callable[[Place, Place], bool], severity: str, where: str) -> None:
    found = only(judged(pinging(4, failing(which, packets=LOSSY))))
    assert (found.title, found.severity, found.where) == (LOSS_TITLE, severity, where)
    assert "lost 33 %" in found.evidence[0].says


def test_loss_beside_pings_that_never_arrive() -> None:
    def mixed(source: Place, target: Place) -> object:
        return NONE if of_npu(1, 0)(source, target) else LOSSY if of_npu(2, 7)(source, target) else WELL

    report = judged(pinging(4, mixed))
    assert {(one.title, one.where) for one in report.findings if one.check_id == CHECK} == {
        (LOST["npu"][0], "host1: NPU 0"),
        (LOSS_TITLE, "host2: NPU 7"),
    }


def test_a_ping_without_an_answer_is_not_known_and_blocks_nothing() -> None:
    found = only(judged(pinging(4, failing(of_npu(2, 3), packets=Unknown("hccn_tool is busy")))))
    assert (found.kind, found.severity) == ("unknown", "warn")
    assert "hccn_tool is busy" in found.evidence[0].says


def test_a_host_without_a_second_answer_is_not_known() -> None:
    facts = pinging(3)
    facts["host2"] = replace(facts["host2"], reach=Unknown("Connection closed"))
    found = only(judged(facts))
    assert (found.check_id, found.kind, found.severity, found.where) == (CHECK, "unknown", "warn", "host2")


def ill(count: int, **changes: Any) -> Report:
    """A cluster whose host2 has a port that is ill by its own words, and whose pings are lost."""
    return judged(pinging(count, failing(of_npu(2, 3)), host2={"hccn": ports(1, 3, **changes)}))


@pytest.mark.parametrize("count", COUNTS)
def test_net_health_explains_the_pings_of_both_sides(count: int) -> None:
    assert only(ill(count, net_health="Fault")).check_id == "hccn.net-health"


def test_where_net_health_is_not_looked_at_the_pings_are() -> None:
    facts = pinging(4, failing(of_npu(2, 3)), host2={"hccn": ports(1, 3, net_health="Fault")})
    assert only(judged(facts, checks_skip=["hccn.net-health"])).check_id == CHECK


@pytest.mark.parametrize("count", COUNTS)
def test_an_npu_in_another_network_explains_its_pings(count: int) -> None:
    report = ill(count, address="30.9.9.9", gateway=None, netdetect="30.9.9.1")
    found = finding(report, "hccn.subnet")
    assert found.severity == "block"
    assert CHECK in found.hides
    assert CHECK not in ids(report)


def test_another_network_is_no_matter_when_pings_arrive() -> None:
    facts = pinging(4, host2={"hccn": ports(1, 3, address="30.9.9.9", gateway=None, netdetect="30.9.9.1")})
    assert "hccn.subnet" not in ids(judged(facts))


def test_the_report_draws_the_rails_concerned() -> None:
    report = judged(pinging(3, failing(of_npu(2, 3), of_npu(2, 4))))
    _, _, grid = report.to_text().partition("packets lost):\n")
    assert grid.splitlines()[:5] == [
        "NPU 3-4",
        "         host1  host2  host3",
        "  host1      -  100 %     ok",
        "  host2  100 %      -  100 %",
        "  host3     ok  100 %      -",
    ]


def test_a_large_cluster_is_drawn_only_where_it_is_ill() -> None:
    text = judged(pinging(20, failing(lambda source, target: (source, target) == ((2, 3), (17, 3))))).to_text()
    assert text.partition("packets lost):\n")[2].splitlines()[:4] == [
        "NPU 3",
        "          host2  host17",
        "  host2       -   100 %",
        "  host17     ok       -",
    ]


def test_a_large_cluster_that_is_ill_everywhere_is_not_drawn() -> None:
    assert "packets lost):" not in judged(pinging(20, failing(of_rail(3)))).to_text()


def test_the_json_form_holds_all_pings() -> None:
    mixed = failing(of_npu(1, 0), packets=Unknown("busy"))
    report = judged(pinging(2, mixed))
    assert Report.from_dict(report.to_dict()) == report
    assert report.to_dict()["pings"][0] == {  # type: ignore[index]
        "from": ["host1", 0], "to": ["host2", 0], "address": "29.1.0.12", "sent": None, "received": None,
        "reason": "busy",
    }  # fmt: skip

"""What looks like a fault and is none, or a smaller one: no healthy cluster may be blocked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mindie_deploy.hosts.facts import Busy, HostFacts, PeerPing, ReachFacts, UnknownForm
from mindie_deploy.hosts.npu_overview import overview_of
from mindie_deploy.mindie.versions import model_types
from mindie_deploy.preflight.finding import Finding
from mindie_deploy.preflight.html import html
from tests.preflight.builders import (
    NPUS,
    UNKNOWN,
    cluster,
    configuration,
    devices,
    driver,
    healthy_host,
    judged,
    overview,
    ports,
    topology,
    weights,
)


def of(check_id: str, *hosts: HostFacts, **changes: object) -> list[Finding]:
    facts = cluster(4, **{host.name: host for host in hosts})
    return [one for one in judged(facts, **changes).findings if one.check_id == check_id]


def pinging(host: HostFacts, received: int) -> HostFacts:
    """The host with a ping from each of its NPUs to the next host."""
    pings = tuple(PeerPing(npu, "host4", npu, f"29.1.{npu}.14", (3, received)) for npu in NPUS)
    return replace(host, reach=ReachFacts(pings, ()))


@pytest.mark.parametrize(
    ("received", "severity", "says"), [(3, "warn", "all pings to and from other hosts arrive"), (0, "block", "Fault")]
)
def test_a_detect_address_that_does_not_answer_is_no_broken_network(received: int, severity: str, says: str) -> None:
    host = healthy_host("host3", 2, hccn=ports(2, 5, net_health="Fault"))
    (found,) = of("hccn.net-health", pinging(host, received))
    assert found.severity == severity
    assert says in found.evidence[0].says
    assert ("-netdetect -s address A" in found.remedy.split(". ")[0]) is (severity == "warn")


@pytest.mark.parametrize("word", ["Socket fail", "Thread error"])
def test_a_prober_that_fails_tells_nothing_about_the_network(word: str) -> None:
    (found,) = of("hccn.net-health", healthy_host("host3", 2, hccn=ports(2, 5, net_health=word)))
    assert (found.kind, found.severity) == ("unknown", "warn")


def test_one_host_alone_needs_no_network_between_npus() -> None:
    facts = {"host1": healthy_host("host1", 0, hccn=ports(0, link_up=False, address=None))}
    found = judged(facts)
    mine = [one for one in found.findings if one.check_id.startswith("hccn.")]
    assert mine and {one.severity for one in mine} == {"info"}
    assert {one.severity for one in found.findings if one.check_id != "os.memory"} == {"info"}


def test_links_that_nobody_can_read_are_a_warning() -> None:
    (found,) = of("hccs.topology", healthy_host("host3", 2, topology=UNKNOWN))
    assert (found.kind, found.severity) == ("unknown", "warn")


@pytest.mark.parametrize("version", ["25.0.rc1.alpha002", "24.1.0.SPC1", "25.2.0-beta", "24.1.rc2.b110_h1"])
def test_a_driver_version_of_an_unknown_form_does_not_block(version: str) -> None:
    everywhere = {f"host{rank + 1}": healthy_host(f"host{rank + 1}", rank, driver=driver(version)) for rank in range(4)}
    found = [one for one in judged(cluster(4, **everywhere)).findings if one.check_id == "driver.version"]
    assert [(one.kind, one.severity) for one in found] == [("unknown", "info")]


def test_releases_of_which_no_document_tells_their_models_are_not_judged() -> None:
    for version in ("2.3.0", "3.0.0"):
        assert model_types("auto", f"mindie:{version}-800I-A2-py311-openeuler24.03-lts") == frozenset()


def test_a_busy_tool_is_not_known_and_told_what_to_do() -> None:
    busy = Busy("hccn_tool -stat: the tool was busy each time")
    host = healthy_host("host3", 2)
    port = host.hccn[5]
    silent = replace(port, **{name: busy for name in vars(port) if name not in ("index",)})
    (found,) = of("hccn.tool-responds", replace(host, hccn={**host.hccn, 5: silent}))
    assert (found.kind, found.severity) == ("unknown", "block")
    assert "stop them" in found.remedy
    assert found.devices == {"host3": (5,)}


def test_a_table_of_an_unknown_form_does_not_send_anybody_to_reboot() -> None:
    text = "| npu-smi 30.1.0  Version: 30.1.0 |\n| NPU Name | Health |\n| Chip | Bus-Id |\n| new words here | x |\n"
    unread = overview_of(text)
    assert isinstance(unread, UnknownForm)
    (found,) = of("npu.tool-responds", healthy_host("host3", 2, overview=unread))
    assert found.kind == "unknown"
    assert "report" in found.remedy and "reboot" not in found.remedy


def test_a_node_that_all_may_open_needs_no_group() -> None:
    user = {"container_user": "1001:1001", "weights_source": ""}
    for mode, count in (("0606", 0), ("0666", 0), ("0600", 1)):
        host = healthy_host("host3", 2, devices=devices(hisi_hdc={"mode": mode}), weights=weights(uid=1001))
        assert len(of("devices.svm-hdc", host, **user)) == count, mode


def test_the_detect_address_in_the_file_counts_too() -> None:
    kept = {name: {npu: getattr(port, name) for npu, port in ports(2).items()} for name in ("address", "netmask")}
    host = healthy_host("host3", 2, hccn_configuration=configuration(2, **kept, netdetect={5: "29.1.5.254"}))
    (found,) = of("hccn.conf-live", host)
    assert found.devices == {"host3": (5,)}
    assert "netdetect 29.1.5.254" in found.evidence[0].says


def test_what_npu_smi_says_below_its_table_is_told() -> None:
    line = "[WARNING]The driver package may not be completely installed, please check it."
    table = overview()
    (found,) = of("install-info", healthy_host("host3", 2, overview=replace(table, warnings=(line,))))
    assert found.severity == "warn"
    assert found.evidence[0].says == line


def test_an_odd_netmask_is_told_although_gateways_are_set() -> None:
    odd = replace(ports(2)[5], netmask="255.255.0.0", gateway="29.1.5.1")
    routed = {
        f"host{rank + 1}": healthy_host(
            f"host{rank + 1}",
            rank,
            hccn={npu: replace(port, gateway=f"29.1.{npu}.1") for npu, port in ports(rank).items()},
        )
        for rank in range(4)
    }
    host3 = replace(routed["host3"], hccn={**routed["host3"].hccn, 5: odd})
    (found,) = of("hccn.subnet", *[one for one in routed.values() if one.name != "host3"], host3)
    assert found.title == "NPUs of one rail have different netmasks"
    assert (found.severity, found.devices) == ("warn", {"host3": (5,)})
    assert of("hccn.subnet", *routed.values()) == []


def test_a_link_that_nobody_could_read_is_not_drawn_as_a_broken_one() -> None:
    page = html(judged(cluster(1, host1=healthy_host("host1", 0, topology=topology(pair_3_5="NA")))))
    assert 'class="link unread"' in page and 'class="link odd"' not in page

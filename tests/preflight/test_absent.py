"""A file that is gone is told as such, with a remedy of its own; half a list of addresses is no list."""

from __future__ import annotations

from typing import Any

import pytest

from mindie_deploy.hosts.facts import Absent, Unknown
from tests.preflight.builders import cluster, finding, healthy_host, judged, judged_one, only, system

CUT = Unknown("/proc/net/fib_trie is longer than what was read")


@pytest.mark.parametrize(
    ("check_id", "fact", "path", "remedy"),
    [
        ("hccn.conf-present", "hccn_configuration", "/etc/hccn.conf", "hccn_tool -i N -ip -s address"),
        ("install-info", "install_info", "/etc/ascend_install.info", "Install the driver again"),
        ("driver.version", "driver", "/usr/local/Ascend/driver/version.info", "Install the driver and firmware"),
    ],
)
def test_a_file_that_is_gone_fails_and_is_mended(check_id: str, fact: str, path: str, remedy: str) -> None:
    """It is the only finding: what the file would have told besides is explained by it."""
    found = only(judged_one(**{fact: Absent(f"{path} does not exist")}))
    assert (found.check_id, found.kind, found.severity) == (check_id, "fail", "block")
    assert found.evidence[0].says == f"{path} does not exist"
    assert remedy in found.remedy and "missing" in found.statement

    unread = only(judged_one(**{fact: Unknown(f"{path}: Input/output error")}))
    assert (unread.check_id, unread.kind, unread.severity) == (check_id, "unknown", "block")
    assert unread.remedy != found.remedy


def test_a_host_without_a_driver_is_one_finding() -> None:
    gone: dict[str, Any] = {name: Absent(f"{name} does not exist") for name in ("driver", "firmware", "install_info")}
    assert only(judged_one(**gone)).check_id == "driver.version"


def test_half_a_list_of_addresses_is_not_known() -> None:
    report = judged_one(system=system(2, addresses=CUT))
    for check_id in ("net.address-present", "hccn.not-host-net"):
        found = finding(report, check_id)
        assert (found.kind, found.hosts, found.evidence[0].says) == ("unknown", ("host3",), CUT.reason)


def test_a_named_address_of_the_host_is_not_known_either() -> None:
    host = healthy_host("host3", 2, system=system(2, addresses=CUT))
    facts = cluster(host3=host)
    told = judged(facts, environment={"HCCL_IF_IP": "10.0.0.13"}).findings
    unknown = [one for one in told if one.check_id == "net.interface-named" and one.kind == "unknown"]
    assert [(one.hosts, one.evidence[0].says) for one in unknown] == [(("host3",), CUT.reason)]
    assert all(one.check_id != "net.interface-named" for one in judged(facts).findings)

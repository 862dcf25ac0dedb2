"""hccn_tool: errors by their text, values by their words, whatever the status says."""

from __future__ import annotations

import pytest

from mindie_deploy.hosts import hccn_details, hccn_ping, hccn_tool
from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import Optics, Unknown
from tests.hosts.samples import sample


def test_busy_is_unknown_never_a_verdict() -> None:
    busy = Answer(11, "hccn_tool is busy, please try again.\n")
    for reader in (hccn_tool.link_up, hccn_tool.tls, hccn_tool.address, hccn_tool.speed_mbps, hccn_ping.ping):
        found = reader(busy)
        assert isinstance(found, Unknown) and "busy" in found.reason


def test_status_13_is_not_configured_only_by_its_text() -> None:
    assert hccn_tool.address(Answer(13, "", "Get ipconf failed, because no ip was preset there!\n")) is None
    assert isinstance(hccn_tool.address(Answer(13, "The command is not supported on this product.\n")), Unknown)
    assert isinstance(hccn_tool.address(Answer(13, "")), Unknown)


def test_nothing_printed_is_unknown_also_with_status_0() -> None:
    found = hccn_tool.address(Answer(0, ""))
    assert isinstance(found, Unknown) and "printed nothing" in found.reason


def test_unset_addresses_are_none() -> None:
    assert hccn_tool.netdetect(Answer(0, "netdetect addr: 0.0.0.0\n")) is None
    assert hccn_tool.gateway(Answer(2, "", "Get gateway failed, because no gateway was preset there!\n")) is None


@pytest.mark.parametrize(
    "text", ["ipaddr:10.0.0.256\n", "ipaddr:１0.0.0.1\n", "ipaddr:\n", "ipaddr:10.0.0.1\nipaddr:10.0.0.2\n"]
)
def test_what_is_no_single_address_is_unknown(text: str) -> None:
    assert isinstance(hccn_tool.address(Answer(0, text)), Unknown)


def test_an_ipv6_build_prints_more_lines() -> None:
    text = "IPv4:\nipaddr:10.0.0.1\nnetmask:255.255.255.0\nIPv6:\nipv6_address:fe80::1\n"
    assert hccn_tool.address(Answer(0, text)) == "10.0.0.1"
    assert hccn_tool.netmask(Answer(0, text)) == "255.255.255.0"


def test_a_link_that_is_down_ends_with_status_0() -> None:
    assert hccn_tool.link_up(Answer(0, "link status: DOWN\n")) is False


def test_an_unfamiliar_net_health_word_is_unknown() -> None:
    assert isinstance(hccn_tool.net_health(Answer(0, "net health status: Excellent\n")), Unknown)
    assert hccn_tool.net_health(Answer(0, "net health status: Socket failed\n")) == "Socket failed"


def test_tls_of_another_device_or_value_is_unknown() -> None:
    line = (
        "dev_id:{}, tls switch[{}](0:disable, 1:enable), tls preconfigured[1](...), tls alarm time threshold[60]days\n"
    )
    assert hccn_tool.tls(Answer(0, line.format(3, 0)), 3) is False
    assert isinstance(hccn_tool.tls(Answer(0, line.format(3, 2)), 3), Unknown)
    assert isinstance(hccn_tool.tls(Answer(0, ""), 3), Unknown)  # a missing text is no passed check
    # an expired certificate is told on the other stream, status 0
    assert hccn_tool.tls(Answer(0, line.format(3, 1), "\t tls expiration status[2]\n"), 3) is True


def test_speed_unknown_is_none_and_rubbish_is_unknown() -> None:
    assert hccn_tool.speed_mbps(Answer(0, "Speed: Unknown!\n")) is None
    assert isinstance(hccn_tool.speed_mbps(Answer(0, "Speed: fast\n")), Unknown)


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("Get device health status failed!", hccn_tool.Trouble.DEVICE_NOT_READY),
        ("The device is not exist!", hccn_tool.Trouble.NO_DEVICE),
        ("I2c is busy. Please try again.", hccn_tool.Trouble.BUSY),
        ("Parsing configurations from config file failed, pls check the config file.", hccn_tool.Trouble.CONFIGURATION),
        ("Cmd execute failed!", hccn_tool.Trouble.FAILED),
        ("everything is fine", None),
    ],
)
def test_error_texts_have_one_meaning(text: str, trouble: hccn_tool.Trouble | None) -> None:
    assert hccn_tool.trouble(Answer(3, "", text)) is trouble


def test_a_ping_that_lost_everything_is_an_answer() -> None:
    text = (
        "device 1 PING 10.0.0.9\n"
        + "recv time out seq=0\n" * 3
        + "3 packets transmitted, 0 received, 100.00% packet loss\n"
    )
    found = hccn_ping.ping(Answer(1, text, "Command execute failed!\n"), 1, "10.0.0.9")
    assert isinstance(found, hccn_ping.Ping)
    assert found.loss_percent == 100.0 and found.times_ms == ()


def test_a_ping_without_summary_or_with_a_false_one_is_unknown() -> None:
    good = sample("ping-ok-0").text
    assert isinstance(hccn_ping.ping(Answer(1, "", "Command execute failed!\n")), Unknown)
    assert isinstance(hccn_ping.ping(Answer(0, good.replace("3 received", "2 received"))), Unknown)
    assert isinstance(hccn_ping.ping(Answer(0, good), device=4), Unknown)
    assert isinstance(hccn_ping.ping(Answer(0, good), address="10.10.0.99"), Unknown)
    assert isinstance(hccn_ping.ping(Answer(0, "0 packets transmitted, 0 received, 0.00% packet loss")), Unknown)


def test_no_neighbour_is_an_answer() -> None:
    assert hccn_details.neighbour_port(Answer(0, "\n")) is None
    assert isinstance(hccn_details.neighbour_port(Answer(1, "", "Command execute failed!")), Unknown)


def test_an_empty_route_table_has_no_gateway() -> None:
    assert hccn_details.routes(Answer(0, "Routing table:\n\n")) == hccn_details.Routes(None, None, 0)


def test_a_driver_that_does_not_know_the_state_of_the_configuration() -> None:
    usage = Answer(3, "help\n", "Get invalid major cmd.\n")
    assert hccn_details.configuration_status(usage) is None
    assert hccn_details.configuration_status(Answer(13, "The command is not supported on this product.\n")) is None
    assert hccn_details.configuration_status(Answer(0, "config status:START\n")) == "START"
    for text in ("config status:SUCCESSFUL\n", "config status:FAIL\nconfig status:NONE\n", ""):
        assert isinstance(hccn_details.configuration_status(Answer(0, text)), Unknown)


def test_an_optical_module_tells_its_own_limits() -> None:
    found = hccn_details.optics(sample("optical-ok-0").answer)
    assert isinstance(found, Optics)
    assert (found.rx_power_low, found.rx_power_high) == (0.1905, 3.1623)
    assert (found.tx_power_low, found.tx_power_high, found.temperature_high_c) == (0.2512, 3.1623, 70.0)
    absent = hccn_details.optics(sample("optical-absent-3").answer)
    assert isinstance(absent, Optics)
    assert absent.present is False
    assert (absent.rx_power, absent.rx_power_low, absent.temperature_high_c) == (None, None, None)

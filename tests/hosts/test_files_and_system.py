"""Version ranges, /etc/hccn.conf, ports, addresses, clocks."""

from __future__ import annotations

import re

import pytest

from mindie_deploy.hosts import files, ports
from mindie_deploy.hosts.answer import FileText, Missing
from mindie_deploy.hosts.clock import clock
from mindie_deploy.hosts.facts import Absent, ClockFacts, ListeningPort, SystemFacts, Unknown, VersionFile
from mindie_deploy.hosts.items_host import system_items
from mindie_deploy.hosts.system import system

FIRMWARE = (
    "Version=7.7.0.1.231\nfirmware_version=1.0\ncompatible_version_drv=[23.0.0,23.0.0.],[24.1,24.1.],[25.0,25.0.]\n"
)
TCP_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TCP_ROW = "   0: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000     0        0 26077 1 0 100 0 0 10 0\n"


def version_file(text: str) -> VersionFile:
    found = files.version_file(FileText("/v", text))
    assert isinstance(found, VersionFile), found
    return found


def test_a_firmware_file_declares_several_ranges() -> None:
    found = version_file(FIRMWARE)
    assert found.compatible is None and len(found.ranges) == 3
    assert found.accepts("24.1.rc3") and found.accepts("25.0.rc1.1") and found.accepts("24.1.0.3")
    assert not found.accepts("25.2.0") and not found.accepts("24.0.0")


def test_one_range_is_compared_as_the_driver_does() -> None:
    found = version_file("Version=23.0.7\ncompatible_version_fw=[7.0.0,7.1.99]\n")
    assert found.compatible == ("7.0.0", "7.1.99") and found.compatible_with == "firmware"
    assert found.accepts("7.1.0.11.220") and not found.accepts("7.5.0.1.129")


@pytest.mark.parametrize("ranges", ["", "7.0.0", "[7.0.0,", "[7.0.0,7.1.99]x"])
def test_ranges_that_cannot_be_read_are_not_declared(ranges: str) -> None:
    assert version_file(f"Version=23.0.7\ncompatible_version_fw={ranges}\n").accepts("7.1") is None


def test_a_missing_file_is_an_answer_of_its_own_with_its_path() -> None:
    assert files.version_file(Missing("/usr/local/Ascend/driver/version.info")) == Absent(
        "/usr/local/Ascend/driver/version.info does not exist"
    )
    assert files.install_info(Missing("/i")) == files.hccn_configuration(Missing("/i")) == Absent("/i does not exist")
    assert files.version_file(Unknown("denied")) == Unknown("denied")
    assert isinstance(files.version_file(FileText("/v", "nothing here")), Unknown)
    assert isinstance(files.hccn_configuration(FileText("/etc/hccn.conf", "garbage")), Unknown)
    assert not isinstance(files.hccn_configuration(FileText("/etc/hccn.conf", "")), Unknown)
    assert isinstance(files.install_info(FileText("/i", "a=b", truncated=True)), Unknown)


def test_listening_ports_of_both_families() -> None:
    four = TCP_HEAD + TCP_ROW.format("0100007F:0401", "0A") + TCP_ROW.format("0100007F:9999", "01")
    six = TCP_HEAD + TCP_ROW.replace("00000000:0000 {} ", f"{'0' * 32}:0000 {{}} ").format("0" * 32 + ":0016", "0A")
    found = ports.listening([FileText("/proc/net/tcp", four), FileText("/proc/net/tcp6", six)])
    assert found == (ListeningPort("::", 22, 26077), ListeningPort("127.0.0.1", 1025, 26077))


def test_a_host_without_ipv6_has_one_table_and_an_unreadable_one_makes_all_unknown() -> None:
    four = FileText("/proc/net/tcp", TCP_HEAD)
    assert ports.listening([four, Missing("/proc/net/tcp6")]) == ()
    assert isinstance(ports.listening([four, Unknown("permission denied")]), Unknown)
    assert isinstance(ports.listening([FileText("/proc/net/tcp", "tcp 0 0 0.0.0.0:22 LISTEN")]), Unknown)
    assert isinstance(ports.listening([Missing("a"), Missing("b")]), Unknown)


TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.0.0.0/24 2 0 2
        +-- 10.0.0.0/30 2 0 2
           |-- 10.0.0.2
              /32 host LOCAL
        |-- 10.0.0.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.1
              /32 host LOCAL
"""


def test_the_system_is_read_without_programs_that_may_be_missing() -> None:
    collection: dict[str, object] = {
        "python": "3.7.9",
        "items": {
            "uname": {"status": 0, "stdout": "Linux node1 5.10.0-60.18 aarch64\n"},
            "page-size": {"status": 0, "stdout": "65536\n"},
            "meminfo": {"path": "/proc/meminfo", "exists": True, "text": "MemTotal:  1024 kB\nMemAvailable:  512 kB\n"},
            "addresses/4": {"path": "/proc/net/fib_trie", "exists": True, "text": TRIE},
            "addresses/6": {"path": "/proc/net/if_inet6", "exists": False},
        },
    }
    found = system(collection)
    assert not isinstance(found, Unknown), found
    assert (found.hostname, found.kernel, found.architecture) == ("node1", "5.10.0-60.18", "aarch64")
    assert (found.memory_total_bytes, found.memory_available_bytes, found.page_size) == (1048576, 524288, 65536)
    assert found.addresses == ("10.0.0.2",)
    assert found.modules is None and found.os_id is None


LEAVES = "  |-- 10.0.0.2\n     /32 host LOCAL\n"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"addresses/4": {"exists": True, "path": "/t", "text": LEAVES, "truncated": True}}, "/t is longer"),
        ({"addresses/4": {"exists": False, "path": "/t"}}, "/t does not exist"),
        ({"addresses/4": {"error": "the file system gave no answer in time"}}, "no answer in time"),
        ({"addresses/6": {"exists": True, "path": "/6", "text": "", "truncated": True}}, "/6 is longer"),
        ({"addresses/6": {"error": "Permission denied", "path": "/6"}}, "/6: Permission denied"),
    ],
)
def test_half_a_list_of_addresses_is_none(changes: dict[str, object], reason: str) -> None:
    items = {
        "uname": {"status": 0, "stdout": "Linux node1 5.10.0 aarch64\n"},
        "addresses/4": {"exists": True, "path": "/t", "text": LEAVES},
        "addresses/6": {"exists": False, "path": "/6"},
    }
    whole, half = system({"items": items}), system({"items": {**items, **changes}})
    assert isinstance(whole, SystemFacts) and whole.addresses == ("10.0.0.2",)
    assert isinstance(half, SystemFacts) and isinstance(half.addresses, Unknown) and reason in half.addresses.reason


def test_of_the_routes_only_what_tells_local_addresses_is_asked() -> None:
    asked = next(item for item in system_items() if item["key"] == "addresses/4")
    text = TRIE.replace("10.0.0.255", "10.0.0.254")
    kept = "".join(line for line in text.splitlines(True) if re.search(str(asked["lines"]), line))
    collection = {"items": {
        "uname": {"status": 0, "stdout": "Linux node1 5.10.0 aarch64\n"},
        "addresses/4": {"exists": True, "path": "/t", "text": kept},
        "addresses/6": {"exists": False, "path": "/6"},
    }}  # fmt: skip
    found = system(collection)
    assert "UNICAST" not in kept and isinstance(found, SystemFacts) and found.addresses == ("10.0.0.2",)


def test_the_skew_lies_between_its_bounds() -> None:
    """The host is 5 s ahead; the request took 1 s to arrive, the collection 2 s, the answer 0.5 s to come back."""
    collection = {"started": 1006.0, "finished": 1008.0, "seconds": 2.0}
    found = clock(collection, 1000.0, 1003.5)
    assert isinstance(found, ClockFacts)
    assert abs(found.skew_s - 5.0) <= found.uncertainty_s
    assert found.uncertainty_s == pytest.approx(0.75)


def test_a_clock_that_was_set_meanwhile_or_is_not_told_gives_no_skew() -> None:
    assert isinstance(clock({"started": 1000.0, "finished": 1060.0, "seconds": 2.0}, 1000.0, 1003.0), Unknown)
    assert isinstance(clock({"started": 1000.0, "finished": 1010.0}, 1000.0, 1003.0), Unknown)
    assert isinstance(clock({"started": "now", "finished": 2.0}, 1.0, 3.0), Unknown)
    assert isinstance(clock({"started": float("nan"), "finished": 2.0}, 1.0, 3.0), Unknown)
    assert isinstance(clock({"started": 1.0, "finished": 2.0}, None, None), Unknown)

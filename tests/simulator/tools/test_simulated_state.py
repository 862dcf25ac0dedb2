"""The state file: defaults, refusals that name place and rule, the cache, and its page in the documents."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools import conf, document, light, state
from tools.versions import compatibility, within


def test_healthy_hosts_differ_in_every_address() -> None:
    hosts = [state.validate(state.healthy_host(index), "test") for index in range(4)]
    addresses = [npu["hccn"]["address"] for host in hosts for npu in host["npus"]]
    assert len(set(addresses)) == 32
    assert len({npu["hccn"]["mac"] for host in hosts for npu in host["npus"]}) == 32


def test_the_file_a_state_is_written_to_says_the_same(hosts: Path) -> None:
    assert state.read_raw(hosts / "host2.yml") == state.healthy_host(1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("npus: [{id: 0, healt: OK}]", "npus[0].healt: no such field; did you mean health?"),
        ("npus: [{health: Bad}]", "npus[0].health: must be one of OK, Warning, Alarm, Critical, UNKNOWN, unnamed"),
        ("npus: [{id: 0}, {id: 0}]", "npus[1].id: 0 is used twice"),
        ("npus: [{hccn: {mtu: 20}}]", "npus[0].hccn.mtu: must be at least 68, is 20"),
        ("npus: [{hccn: {address: 10.20.0.300}}]", "npus[0].hccn.address: must be an IPv4 address"),
        ("npus: [{bus_id: 0000:01:00.0}]", "npus[0].bus_id: must be a text, is 60.0"),
        ("npus: {id: 0}", "npus: must be a list"),
        ("driver: {compatible_firmware: [7.0]}", "driver.compatible_firmware[0]: must be a pair of quoted versions"),
        ("tools: [{match: '('}]", "tools[0].match: not a regular expression"),
        ("topology: {pairs: [{npus: [0, 9]}]}", "topology.pairs[0].npus: must be two different NPU ids of the host"),
        ("npus: [{aicore_percent: true}]", "npus[0].aicore_percent: must be a whole number, is True"),
        ("- 1", "the file: must be a mapping"),
        ("npus: [", "not valid YAML"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "host9.yml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(state.StateError) as caught:
        state.load_file(str(file))
    assert str(caught.value).startswith(f"{file}: ")
    assert problem in str(caught.value)


def test_a_refused_change_leaves_the_file_alone(hosts: Path) -> None:
    before = (hosts / "host1.yml").read_bytes()
    with pytest.raises(state.StateError):
        state.change(hosts / "host1.yml", lambda raw: raw["npus"][0].update(health="Bad"))
    assert (hosts / "host1.yml").read_bytes() == before


def test_a_change_of_the_same_length_is_seen_at_once(hosts: Path) -> None:
    assert state.load("host1")["npus"][0]["hccn"]["mtu"] == 1500
    state.change(hosts / "host1.yml", lambda raw: raw["npus"][0]["hccn"].update(mtu=4096))
    assert state.load("host1")["npus"][0]["hccn"]["mtu"] == 4096
    state.change(hosts / "host1.yml", lambda raw: raw["npus"][0]["hccn"].update(mtu=4097))
    assert state.load("host1")["npus"][0]["hccn"]["mtu"] == 4097


def test_a_broken_cache_is_made_anew(hosts: Path) -> None:
    state.load("host1")
    (hosts / ".host1.json").write_text('{"stamp"', encoding="utf-8")
    assert len(state.load("host1")["npus"]) == 8
    assert state.host_names() == ["host1", "host2", "host3", "host4"]


def test_a_call_with_a_cache_imports_little(hosts: Path) -> None:
    state.load("host1")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from tools.run import main; main('npu-smi', ['info'])\n"
        "main('hccn_tool', ['-i', '0', '-link', '-g'])\n"
        "print(sorted({'yaml', 'pathlib', 'dataclasses', 'ipaddress', 'inspect', 'subprocess'} & set(sys.modules)))"
    )
    simulator = str(Path(state.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-IS", "-c", code, simulator], env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_documented_fields_are_those_of_the_schema() -> None:
    page = Path(__file__).parents[3] / "docs" / "simulator-state.md"
    assert page.read_text(encoding="utf-8") == document.document(), "run molecule/simulator/tools/document.py"


def test_hccn_conf_has_the_lines_of_public_captures() -> None:
    host = state.validate(state.healthy_host(0), "test")
    lines = (conf.hccn_conf(host) or "").splitlines()
    assert lines[:5] == [
        "address_0=10.20.0.11",
        "netmask_0=255.255.255.0",
        "netdetect_0=10.20.0.1",
        "gateway_0=10.20.0.1",
        "send_arp_status_0=1",
    ]
    assert len(lines) == 40


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("24.1.rc3", True),
        ("24.1", True),
        ("25.0.rc1.1", False),
        ("23.0.5", False),
        ("23.0.0", True),
        ("24.10.0", False),
    ],
)
def test_versions_are_compared_as_the_driver_does(version: str, fits: bool) -> None:
    assert within(version, [["23.0.0", "23.0.0."], ["24.1", "24.1."]]) == fits


def test_the_firmware_verdict_follows_the_source() -> None:
    host = state.validate({}, "test")
    assert compatibility(host, "7.8.0.5.216") == "OK"
    assert compatibility(host, "1.80.22") == "NOK"  # sorts before 6.4. as text
    assert compatibility(host, None) == "UNKNOWN"
    host["driver"]["compatible_firmware"] = [["8.0.0", "8.9.99"]]
    assert compatibility(host, "7.8.0.5.216") == "OK"  # the list stored in the firmware still takes the driver
    host["firmware"]["compatible_driver"] = []
    assert compatibility(host, "7.8.0.5.216") == "UNKNOWN"


def test_a_light_named_tuple_is_one() -> None:
    class Row(light.NamedTuple):
        pid: int
        name: str = "python3"

        @property
        def text(self) -> str:
            return f"{self.pid} {self.name}"

    assert Row(7) == Row(pid=7, name="python3") == (7, "python3")
    assert Row(7, "x").text == "7 x"
    for values, named in (((), {}), ((1, "x", 2), {}), ((1,), {"pid": 2}), ((1,), {"nane": "x"})):
        with pytest.raises(TypeError, match="Row takes pid, name"):
            Row(*values, **named)

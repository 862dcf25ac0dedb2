"""hccn_tool between hosts: pings by the state of both ends, usage errors, settings, busy devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tools import conf, hccn, run, state
from tools.answer import Answer


def change(hosts: Path, host: str, npu: int, **fields: Any) -> None:
    """Changes fields of one port in a state file."""
    state.change(hosts / f"{host}.yml", lambda raw: raw["npus"][npu]["hccn"].update(fields))


def call(capsys: pytest.CaptureFixture[str], words: str) -> Answer:
    """What `hccn_tool WORDS` does on host1."""
    status = run.main("hccn_tool", words.split())
    captured = capsys.readouterr()
    return Answer(captured.out, captured.err, status)


def ping(capsys: pytest.CaptureFixture[str], npu: int = 5, target: str = "10.20.5.13") -> Answer:
    return call(capsys, f"-i {npu} -ping -g address {target}")


LOST = "3 packets transmitted, 0 received, 100.00% packet loss\n"


def test_a_ping_reaches_the_same_device_of_another_host(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ping(capsys)
    lines = answer.stdout.splitlines()
    assert lines[0] == "device 5 PING 10.20.5.13"
    assert lines[-1] == "3 packets transmitted, 3 received, 0.00% packet loss"
    times = [float(line.partition("time=")[2].removesuffix("ms")) for line in lines[1:4]]
    assert 0.1 < times[0] < 0.2
    assert all(0.05 < time < 0.08 for time in times[1:])
    assert (answer.stderr, answer.status) == ("", 0)
    assert ping(capsys) == answer


def test_a_ping_crosses_subnets_by_gateways_only(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ping(capsys, 5, "10.20.2.13").status == 0
    change(hosts, "host3", 2, gateway=None)
    assert ping(capsys, 5, "10.20.2.13").stdout.endswith(LOST)


@pytest.mark.parametrize(
    "fields",
    [
        {"link": "DOWN"},
        {"address": "10.20.5.99"},
        {"address": None},
        {"fabric": "elsewhere"},
        {"cannot_reach": ["10.20.5.11"]},
        {"ping_lost": [0, 1, 2]},
    ],
)
def test_a_fault_of_the_far_end_loses_all_packets(
    hosts: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, Any]
) -> None:
    change(hosts, "host3", 5, **fields)
    answer = ping(capsys)
    assert "recv time out seq=0\nrecv time out seq=1\nrecv time out seq=2\n" in answer.stdout
    assert answer.stdout.endswith(LOST)
    assert (answer.stderr, answer.status) == ("Command execute failed!\n", 1)


def test_a_lost_npu_answers_no_ping(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state.change(hosts / "host3.yml", lambda raw: raw["npus"][5].update(lost=True))
    assert ping(capsys).stdout.endswith(LOST)


def test_a_ping_with_the_own_link_down_is_refused(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(hosts, "host1", 5, link="DOWN")
    assert ping(capsys) == Answer("", "Execute failed: Link status is down.\n", 22)


@pytest.mark.parametrize(
    ("words", "reason", "status", "helps"),
    [
        ("", "Get invalid major cmd number.", 2, False),
        ("-x 0 -ip -g", "Get invalid major cmd type.", 1, False),
        ("-i 0", "Get invalid major cmd.", 3, False),
        ("-i 0 -ip", "The total count of input parameters is wrong!", 4, True),
        ("-i 0 -ip -x", "Get unknown option!", 3, True),
        ("-i 0 -ip -g extra", "The total count of input parameters is wrong!", 4, True),
        ("-i 0 -ping -g", "The total count of input parameters is wrong!", 4, True),
        ("-i x -ip -g", "Get invalid device id.", 4, False),
        ("-i 0 -tls -s enable 2", "Get invalid enable value!", 16, True),
        ("-i 0 -tls -s enable", "The total count of input parameters is wrong!", 4, True),
        ("-i 0 -netdetect -s address", "The total count of input parameters is wrong!", 4, True),
        ("-i 0 -netdetect -s gateway 10.0.0.1", "Get unknown option!", 3, True),
        ("-i 0 -netdetect -s address 10.0.0.256", "The ip address you configured is invalid!", 6, False),
        ("-i 0 -netdetect -s address 10.0.01.1", "The ip address you configured is invalid!", 6, False),
        ("-i 0 -netdetect -s address 255.255.255.255", "Can not config broadcast address!", 37, False),
        ("-i 0 -ip -s address 1.2.3.4 netmask 255.0.0.0", "simulated hccn_tool: -ip -s changes the device", 1, False),
    ],
)
def test_a_wrong_call_says_why_on_stderr_and_helps_on_stdout(
    hosts: Path, capsys: pytest.CaptureFixture[str], words: str, reason: str, status: int, helps: bool
) -> None:
    answer = call(capsys, words)
    assert answer.stderr.startswith(reason)
    assert answer.status == status
    assert bool(answer.stdout) == helps


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)


@pytest.mark.usefixtures("as_root")
def test_tls_is_switched_and_stays_switched(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "tls switch[0]" in call(capsys, "-i 3 -tls -g").stdout
    answer = call(capsys, "-i 3 -tls -s enable 1")
    assert answer.stdout.startswith("[Warning] The currently loaded is a preset certificate")
    assert answer.stdout.endswith("Cmd executed successfully!\n")
    assert "tls switch[1]" in call(capsys, "-i 3 -tls -g").stdout
    assert call(capsys, "-i 3 -tls -s enable 0") == Answer("Cmd executed successfully!\n", "", 0)
    assert "tls switch[0]" in call(capsys, "-i 3 -tls -g").stdout
    assert "tls switch[0]" in call(capsys, "-i 2 -tls -g").stdout


@pytest.mark.usefixtures("as_root")
def test_a_detect_address_is_set_and_taken_away_again(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "-i 3 -netdetect -s address 10.20.3.9") == Answer("Cmd executed successfully!\n", "", 0)
    assert call(capsys, "-i 3 -netdetect -g").stdout == "netdetect addr: 10.20.3.9\n"
    assert call(capsys, "-i 2 -netdetect -g").stdout == "netdetect addr: 10.20.2.1\n"
    assert call(capsys, "-i 3 -netdetect -s address 0.0.0.0").status == 0
    assert call(capsys, "-i 3 -netdetect -g").stdout == "netdetect addr: 0.0.0.0\n"


@pytest.mark.parametrize("words", ["-i 3 -tls -s enable 1", "-i 3 -netdetect -s address 10.20.3.9"])
def test_only_root_sets_anything(
    hosts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    before = (hosts / "host1.yml").read_text()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    answer = call(capsys, words)
    assert answer == Answer("", "permission denied: pls check this cmd run permission.\n", 12)
    assert (hosts / "host1.yml").read_text() == before


def test_a_setting_is_kept_in_the_drivers_file(tmp_path: Path) -> None:
    file = tmp_path / "hccn.conf"
    file.write_text("address_1=10.0.0.1\nnetdetect_1=10.0.0.2\n")
    conf.record("netdetect", 1, "10.0.0.3", file)
    conf.record("tls_enable", 1, "0", file)
    assert file.read_text() == "address_1=10.0.0.1\nnetdetect_1=10.0.0.3\ntls_enable_1=0\n"


def test_an_expired_certificate_is_told_on_stderr(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(hosts, "host1", 0, tls={"certificates": [{"end": "2025-01-01 00:00:00"}]})
    answer = call(capsys, "-i 0 -tls -g")
    assert answer.stderr.startswith("\t tls expiration status[2]")
    assert answer.status == 0


def test_a_device_takes_one_command_at_a_time(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (Path(state.run_directory()) / "hccn-0.lock").open("w") as other_command:
        assert state.hold(other_command, wait=False)
        assert call(capsys, "-i 0 -link -g") == Answer("hccn_tool is busy, please try again.\n", "", 11)
        assert call(capsys, "-i 0 -ip -g") == Answer("", "Command execute failed!\n", 1)
        assert call(capsys, "-i 1 -link -g").status == 0
    assert call(capsys, "-i 0 -link -g").status == 0


def test_a_lost_device_is_not_there_and_a_dead_one_blocks(hosts: Path) -> None:
    full = state.validate({"npus": [{"id": 0, "lost": True}, {"id": 1, "dead": True}]}, "test")
    waited: list[float] = []
    around = hccn.Surroundings(wait=waited.append)
    answers = []
    for number in ("0", "1"):
        asked = hccn.request(["-i", number, "-link", "-g"], full)
        assert isinstance(asked, hccn.Request)
        answers.append(hccn.device_refusal(asked, full, around))
    assert answers == [
        Answer("", "The device is not exist!\n", 4),
        Answer("", "Get device health status failed!\n", 3),
    ]
    assert waited == [300.0]


def test_counters_grow_with_every_call(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(hosts, "host1", 0, stat={"roce_rx_err_pkt_num": 5}, stat_growth={"roce_rx_err_pkt_num": 7})
    counts = [call(capsys, "-i 0 -stat -g").stdout.partition("roce_rx_err_pkt_num:")[2].split()[0] for _ in range(3)]
    assert counts == ["5", "12", "19"]


def test_the_first_calls_find_the_device_busy(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = {"tool": "hccn_tool", "match": "-link -g", "busy": True, "times": 2}
    state.change(hosts / "host1.yml", lambda raw: raw.update(tools=[rule]))
    statuses = [call(capsys, "-i 0 -link -g").status for _ in range(3)]
    assert statuses == [11, 11, 0]
    assert call(capsys, "-i 0 -mtu -g").status == 0


def test_an_answer_is_replaced_on_the_stream_the_state_names(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = {"match": "^-i 2 ", "stderr": "odd\n", "exit_status": 99}
    state.change(hosts / "host1.yml", lambda raw: raw.update(tools=[rule]))
    assert call(capsys, "-i 2 -ip -g") == Answer("", "odd\n", 99)
    assert call(capsys, "-i 1 -ip -g").status == 0


def test_every_query_answers_on_a_healthy_host(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in hccn.HELP:
        words = {"ping": "-g address 10.20.0.12", "cfg": "status"}.get(name, "-g")
        answer = call(capsys, f"-i 0 -{name} {words}")
        assert (answer.status, answer.stderr) == (0, ""), name
        assert answer.stdout, name


def test_no_neighbour_is_an_empty_line(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(hosts, "host1", 0, lldp=None, gateway=None, netdetect=None)
    assert call(capsys, "-i 0 -lldp -g") == Answer("\n", "", 0)
    assert call(capsys, "-i 0 -gateway -g") == Answer(
        "", "Get gateway failed, because no gateway was preset there!\n", 2
    )
    assert call(capsys, "-i 0 -netdetect -g") == Answer("netdetect addr: 0.0.0.0\n", "", 0)

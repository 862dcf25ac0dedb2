"""Start, rendezvous, deaths and ends (llm_daemon.cpp, endpoint.cpp, grpc_communicator.cpp)."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.simulator.image.conftest import MakeGang
from tests.simulator.image.gang import SUCCESS, Host, eventually
from tests.simulator.image.http_client import chat, get

STDOUT_IN_ORDER = [
    "LogLevelDynamicHandler start",
    "ConfigManager: Load Config from",
    "Start to parse ranktable file",
    "Finished parsing ranktable file.",
    "Update worldSize and npuDeviceIds of backend config successfully for Multi Nodes Inference.",
    "[ConfigManager::InitConfigManager] Successfully init config manager",
]


def start(hosts: list[Host]) -> None:
    for host in hosts:
        host.start()
    for host in hosts:
        host.ready()


def test_four_hosts_start_answer_and_stop(make_gang: MakeGang) -> None:
    hosts = make_gang(4, 2)
    start(hosts)
    for host in hosts:
        places = [host.out().index(line) for line in [*STDOUT_IN_ORDER, SUCCESS]]
        assert places == sorted(places)
        assert host.err().startswith(f"g_mainPid = {host.pid}\n")
        slave_line = "Multi Nodes infer slave instance need not init TokenizerProcessPool and HttpWrapper"
        assert (slave_line in host.out()) == (host is not hosts[0])
        assert len(host.workers()) == 2
    assert "4 hosts with 8 NPUs" in chat(hosts[0], "Hello")["choices"][0]["message"]["content"]
    # Nothing listens on a follower.
    for port in (hosts[0].port, hosts[0].management_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((hosts[1].address, port)).close()
    for host in hosts:
        host.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
    assert [host.status() for host in hosts] == [134] * 4


def test_workers_carry_name_and_claim(single: Host) -> None:
    single.knobs["load_seconds"] = 2
    single.start()
    eventually(lambda: len(single.workers()) == 2)
    first = single.workers()[0]
    eventually(lambda: Path(f"/proc/{first}/comm").read_text() == "mindie_llm_back\n")
    assert Path(f"/proc/{first}/cmdline").read_bytes().startswith(b"mindie_llm_backend\0")
    claims = [
        part.decode()
        for pid in single.workers()
        for part in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if part.startswith(b"SIMULATED_NPU_CLAIM=")
    ]
    # 62433 MiB visible x 0.95.
    assert [re.sub(r"from=\d+", "from=T", claim) for claim in claims] == [
        f"SIMULATED_NPU_CLAIM=npu={npu},mib=59311,from=T,over=2,aicore=0" for npu in (0, 1)
    ]
    assert b"SIMULATED_NPU_CLAIM" not in Path(f"/proc/{single.pid}/environ").read_bytes()


def test_nothing_listens_while_loading(single: Host) -> None:
    single.knobs["load_seconds"] = 1.0
    single.start()
    eventually(lambda: len(single.workers()) == 2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((single.address, single.management_port)).close()
    single.ready()
    eventually(lambda: get(single, "/health").status == 200)


def test_log_file_has_the_documented_line_form(single: Host) -> None:
    single.start().ready()
    folder = single.directory / "home/mindie/log/debug"
    eventually(lambda: len(list(folder.glob("mindie-llm_*.log"))) == 2)
    eventually(lambda: "model init success, parent pid=" in single.log())
    form = re.compile(
        r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\] \[\d+\] \[\d+\] \[(?:server|llm)\] \[[A-Z]+\] \[\w+\.py:\d+\] : .+"
    )
    assert all(form.fullmatch(line) for line in single.log().splitlines())
    assert all(path.stat().st_mode & 0o777 == 0o640 for path in folder.iterdir())
    assert folder.stat().st_mode & 0o777 == 0o750
    assert "[server]" not in single.out()


def test_log_to_stdout_and_level(single: Host) -> None:
    single.environ |= {"MINDIE_LOG_TO_STDOUT": "server: 1", "MINDIE_LOG_TO_FILE": "0", "MINDIE_LOG_LEVEL": "INFO"}
    single.start().ready()
    assert "[server] [INFO]" in single.out()
    assert single.log() == ""


def test_leader_waits_without_limit(make_gang: MakeGang) -> None:
    leader = make_gang(2)[0]
    leader.start()
    eventually(lambda: "wait slave connecting" in leader.log())
    time.sleep(1.0)
    assert leader.alive()
    assert leader.workers() == []
    leader.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
    assert leader.status() == 134


def test_follower_gives_up_after_its_tries(make_gang: MakeGang) -> None:
    follower = make_gang(2)[1]
    follower.knobs["register_tries"] = 3
    assert follower.start().status() == 134
    assert follower.log().count("attempting connection to server at IP = 127.0.0.11") == 3
    assert "Failed to establish connection to master after maximum retries" in follower.log()
    assert follower.workers() == []


def test_follower_may_come_first(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    follower.start()
    eventually(lambda: "Retrying" in follower.log())
    leader.start().ready()
    follower.ready()


def test_follower_that_never_registers(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    follower.knobs["never_register"] = True
    leader.start()
    follower.start()
    time.sleep(1.0)
    assert leader.alive() and follower.alive()
    assert SUCCESS not in leader.out() + follower.out()


def test_taken_rendezvous_port_is_a_wait_for_ever(make_gang: MakeGang) -> None:
    leader = make_gang(2)[0]
    with socket.socket() as holder:
        holder.bind((leader.address, leader.config["BackendConfig"]["multiNodesInferPort"]))
        holder.listen()
        leader.start()
        eventually(lambda: "Failed to start gRPC server on port" in leader.log())
        time.sleep(0.5)
        assert leader.alive()


def test_tls_on_one_side_only_never_meets(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    follower.knobs["register_tries"] = 3
    follower.config = {**follower.config, "BackendConfig": {**follower.config["BackendConfig"]}}
    certificates = follower.directory / "security"
    certificates.mkdir()
    for name in ("ca.pem", "server.pem", "key.pem"):
        (certificates / name).write_text("x")
        (certificates / name).chmod(0o400)
    follower.config["BackendConfig"] |= {
        "interNodeTLSEnabled": True,
        "interNodeTlsCaPath": str(certificates),
        "interNodeTlsCaFiles": ["ca.pem"],
        "interNodeTlsCert": str(certificates / "server.pem"),
        "interNodeTlsPk": str(certificates / "key.pem"),
        "interNodeTlsCrlPath": "",
        "interNodeTlsCrlFiles": [],
    }
    leader.start()
    follower.start()
    assert follower.status() == 134
    assert leader.alive()


def test_an_ordinary_revocation_directory_is_refused(single: Host) -> None:
    for name in ("ca.pem", "server.pem", "key.pem"):
        (single.directory / name).write_text("x")
        (single.directory / name).chmod(0o400)
    single.config["BackendConfig"] |= {
        "interNodeTLSEnabled": True,
        "interNodeTlsCaPath": str(single.directory),
        "interNodeTlsCaFiles": ["ca.pem"],
        "interNodeTlsCert": str(single.directory / "server.pem"),
        "interNodeTlsPk": str(single.directory / "key.pem"),
        "interNodeTlsCrlPath": str(single.directory),
        "interNodeTlsCrlFiles": [],
    }
    assert single.start().status() == 137
    assert "Backend inter tls config is invalid" in single.out()


def test_killed_worker_ends_its_host_and_nobody_else_notices(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    leader.config["ServerConfig"]["tokenTimeout"] = 1
    start([leader, follower])
    os.kill(follower.workers()[0], signal.SIGKILL)
    assert follower.status() == 134
    assert "was terminated by signal 9" in follower.log()
    assert leader.alive()
    # Health says nothing of it; only a real inference does.
    for path in ("/health", "/v2/health/live", "/v2/health/ready"):
        assert get(leader, path).status == 200
    began = time.monotonic()
    answer = chat(leader, "Hello", raw=True)
    assert answer.status == 500
    assert answer.json() == {"error": "Engine callback timeout.", "error_type": "Incomplete Generation"}
    assert 0.9 < time.monotonic() - began < 5
    assert get(leader, "/health/timed-1").status == 500
    assert leader.alive()


def test_stopped_follower_hangs_the_requests_too(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    leader.config["ServerConfig"]["tokenTimeout"] = 1
    start([leader, follower])
    os.kill(follower.pid, signal.SIGSTOP)
    assert chat(leader, "Hello", raw=True).status == 500
    os.kill(follower.pid, signal.SIGCONT)
    assert chat(leader, "Hello", raw=True).status == 200


def test_follower_keeps_running_when_the_leader_dies(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    start([leader, follower])
    leader.end()
    eventually(lambda: "stream closed by server" in follower.log())
    time.sleep(0.3)
    assert follower.alive()
    assert len(follower.workers()) == 2


def test_follower_that_dies_while_loading_leaves_the_leader_waiting(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    follower.knobs["die_on_load_fraction"] = 0.5
    leader.start()
    follower.start()
    assert follower.status() == 134
    assert "simulated death while loading" in follower.err()
    time.sleep(0.7)
    assert leader.alive()
    assert SUCCESS not in leader.out()


@pytest.mark.parametrize(("status", "expected"), [(None, 134), (137, 137), (3, 3)])
def test_death_while_loading_with_a_status(single: Host, status: int | None, expected: int) -> None:
    single.knobs |= {"die_on_load_fraction": 0.5, "exit_status": status}
    assert single.start().status() == expected


@pytest.mark.parametrize(("status", "expected"), [(None, 134), (137, 137), (3, 3)])
def test_death_after_the_start(single: Host, status: int | None, expected: int) -> None:
    single.knobs |= {"die_after_seconds": 0.5, "exit_status": status}
    single.start().ready()
    assert single.status() == expected


def test_hang_never_finishes(single: Host) -> None:
    single.knobs["hang"] = True
    single.start()
    eventually(lambda: "waiting for the other ranks" in single.log())
    time.sleep(0.5)
    assert single.alive() and SUCCESS not in single.out()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_with_134_after_the_children(single: Host, number: signal.Signals) -> None:
    single.knobs["stop_pause_seconds"] = 0.5
    single.start().ready()
    workers = single.workers()
    began = time.monotonic()
    os.kill(single.pid, number)
    time.sleep(0.1)
    os.kill(single.pid, number)  # ignored
    eventually(lambda: get(single, "/v2/health/live").status == 503, 2)
    assert single.status() == 134
    assert time.monotonic() - began > 0.5
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert "Daemon is killing, please wait about" in single.err()
    assert not list(Path("/dev/shm").glob(f"*_{single.pid}*"))


def test_sigkill_leaves_children_and_shared_memory(single: Host) -> None:
    single.start().ready()
    workers = single.workers()
    os.kill(single.pid, signal.SIGKILL)
    assert single.status() == 137
    assert all(Path(f"/proc/{pid}").exists() for pid in workers)
    names = [path.name for path in Path("/dev/shm").glob(f"*_{single.pid}*")]
    assert f"llm_tokenizer_shared_memory_{single.pid}" in names
    assert any("llm_backend_" in name for name in names)


def test_too_little_shared_memory(single: Host) -> None:
    single.knobs["shm_free_mib"] = 64
    assert single.start().status() == 137
    assert "The shared memory is not enough" in single.err()


@pytest.mark.parametrize("plane", ["port", "managementPort", "metricsPort"])
def test_taken_http_port_ends_the_start_after_loading(single: Host, plane: str) -> None:
    with socket.socket() as holder:
        # On an address that is not even ours: the probe binds all addresses.
        holder.bind(("127.0.0.200", single.config["ServerConfig"][plane]))
        holder.listen()
        assert single.start().status() == 137
    assert "Socket bind failed" in single.log()
    assert "model init success" in single.log()


def test_the_rendezvous_port_cannot_also_be_the_management_port(make_gang: MakeGang) -> None:
    leader, follower = make_gang(2)
    leader.config["ServerConfig"]["managementPort"] = leader.config["BackendConfig"]["multiNodesInferPort"]
    leader.start()
    follower.start()
    assert leader.status() == 137
    assert "Socket bind failed" in leader.log()


def test_an_address_that_the_host_does_not_have(single: Host) -> None:
    single.environ |= {"MIES_CONTAINER_IP": "192.0.2.1", "MIES_CONTAINER_MANAGEMENT_IP": "192.0.2.1"}
    assert single.start().status() == 137
    assert "failed to listen on 192.0.2.1" in single.log()


def test_a_session_leader_cannot_run_it(single: Host) -> None:
    # Process 1 of a container is one: setpgid(2) refuses, and the real daemon ends with -1.
    assert single.start(prefix=["setsid", "--wait"]).status() == 255
    assert "Failed to set process group. errno is 1" in single.err()


@pytest.mark.parametrize(
    ("knobs", "fragment"),
    [({"load_second": 1}, "unknown knob 'load_second'"), ({"hang": "yes"}, "hang = 'yes' has the wrong type")],
)
def test_wrong_knobs_are_told(single: Host, knobs: dict[str, object], fragment: str) -> None:
    single.knobs |= knobs
    assert single.start().status() == 70
    assert fragment in single.err()


def test_ports_may_be_shared_as_documented(single: Host) -> None:
    port = single.port
    single.config["ServerConfig"] |= {"managementPort": port, "metricsPort": port}
    single.environ["MIES_SERVICE_MONITOR_MODE"] = "1"
    single.start().ready()
    for path in ("/v1/models", "/health", "/metrics"):
        assert get(single, path, port).status == 200


def test_metrics_on_the_business_port_alone_is_refused(single: Host) -> None:
    single.config["ServerConfig"]["metricsPort"] = single.port
    assert single.start().status() == 137
    assert "Management or Business or Metrics port is invalid." in single.log()

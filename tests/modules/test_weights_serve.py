"""mindie_weights_serve: hands the named files to who knows the secret, and is gone afterwards."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.modules.module_runner import run
from tests.modules.weights_world import SECRET, World

SIZES = {"model-00001-of-00001.safetensors": 3_000_000, "config.json": 10, "empty.txt": 0, "figures/a b.png": 77}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Serving:
    """One host's server with the arguments of a test."""

    def __init__(self, world: World) -> None:
        self.world, self.port = world, free_port()

    def start(self, **changes: Any) -> dict[str, Any]:
        if not self.world.secret.exists():
            self.world.secret.write_text(SECRET)
            self.world.secret.chmod(0o600)
        values: dict[str, Any] = {
            "state": "started",
            "state_directory": str(self.world.state),
            "directory": str(self.world.source),
            "files": list(SIZES),
            "address": "127.0.0.1",
            "port": self.port,
            "secret_file": str(self.world.secret),
            "lifetime": 60,
        }
        return run("mindie_weights_serve", **{**values, **changes})

    def stop(self) -> dict[str, Any]:
        return run(
            "mindie_weights_serve",
            state="stopped",
            state_directory=str(self.world.state),
            secret_file=str(self.world.secret),
        )

    def get(self, path: str, secret: str = SECRET, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest("GET", path, skip_accept_encoding=True)
        for name, value in {"X-Mindie-Deploy-Secret": secret, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    server = Serving(World(tmp_path, SIZES))
    try:
        yield server
    finally:
        server.stop()


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_files_are_served_whole_and_from_an_offset(serving: Serving) -> None:
    result = serving.start()
    assert result["changed"], result
    assert result["url"] == f"http://127.0.0.1:{serving.port}/"
    for name, content in serving.world.contents.items():
        assert serving.get("/" + name.replace(" ", "%20"))[:2] == (200, content)
    content = serving.world.contents["model-00001-of-00001.safetensors"]
    status, body, headers = serving.get("/model-00001-of-00001.safetensors", Range="bytes=2999000-")
    assert (status, body) == (206, content[2_999_000:])
    assert headers["Content-Range"] == "bytes 2999000-2999999/3000000"


@pytest.mark.parametrize("value", ["bytes=3000000-", "bytes=-5", "bytes=0-5", "lines=1-", "bytes=9" + "9" * 30 + "-"])
def test_ranges_that_cannot_be_given(serving: Serving, value: str) -> None:
    serving.start()
    assert serving.get("/model-00001-of-00001.safetensors", Range=value)[0] == 416


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/../secret",
        "/%2e%2e/secret",
        "//etc/passwd",
        "/secret",
        "/config.json/",
        "/config.json?x",
        "/./config.json",
    ],
)
def test_nothing_else_is_served(serving: Serving, path: str) -> None:
    (serving.world.source / "secret").write_text("x")
    serving.start()
    assert serving.get(path)[0] == 404


@pytest.mark.parametrize("secret", ["", "x" * 64, SECRET + "x", SECRET[:-1], "\xff" * 64])
def test_strangers_learn_nothing(serving: Serving, secret: str) -> None:
    serving.start()
    status, body, _headers = serving.get("/config.json", secret)
    assert (status, body) == (403, b"")
    assert serving.get("/no-such-file", secret)[0] == 403


def test_starting_again_changes_nothing_and_another_secret_starts_anew(serving: Serving) -> None:
    first = serving.start()
    again = serving.start()
    assert not again.get("changed"), again
    assert again["pid"] == first["pid"]
    serving.world.secret.write_text("n" * 64)
    other = serving.start()
    assert other.get("changed"), other
    assert gone(first["pid"])
    assert serving.get("/config.json")[0] == 403
    assert serving.get("/config.json", "n" * 64)[0] == 200


def test_stopping_ends_it_and_forgets_the_secret(serving: Serving) -> None:
    pid = serving.start()["pid"]
    assert serving.stop()["changed"]
    assert gone(pid)
    assert not serving.world.secret.exists()
    assert not serving.stop()["changed"]


def test_it_ends_by_itself(serving: Serving) -> None:
    assert gone(serving.start(lifetime=1)["pid"])
    assert gone(serving.start(idle_limit=1)["pid"])


def test_a_foreign_process_with_the_noted_pid_is_left_alone(serving: Serving) -> None:
    pid = serving.start()["pid"]
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    note = serving.world.state / "weights" / "serve.pid"
    note.write_text(note.read_text().replace(f'"pid": {pid}', f'"pid": {os.getpid()}'))
    assert not serving.start().get("failed")  # this process still lives


def test_a_taken_port_and_a_foreign_address_are_told(serving: Serving) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", serving.port))
        other.listen()
        assert "mindie_weights_port" in serving.start()["msg"]
    assert "mindie_host_address" in serving.start(address="192.0.2.1")["msg"]


def test_a_secret_that_others_can_read_is_refused(serving: Serving) -> None:
    serving.world.secret.chmod(0o644)
    assert "may be read by others" in serving.start()["msg"]
    serving.world.secret.write_text("short")
    serving.world.secret.chmod(0o600)
    assert "shorter" in serving.start()["msg"]


def test_check_mode_starts_nothing(serving: Serving) -> None:
    assert serving.start(check=True)["pid"] == 0


def test_a_host_fetches_from_it(serving: Serving) -> None:
    serving.start()
    world = serving.world
    assert world.fetch(source=world.http(serving.port))["changed"]
    assert world.at_final() == world.contents


def test_the_secret_is_on_no_command_line(serving: Serving) -> None:
    pid = serving.start()["pid"]
    assert SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert SECRET not in (serving.world.state / "weights" / "serve.pid").read_text()

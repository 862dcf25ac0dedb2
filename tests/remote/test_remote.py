"""Log in, read the logs of all hosts, and reach the endpoint through a tunnel, over a real SSH server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from mindie_deploy.endpoint.client import Endpoint, EndpointError, NotListeningError
from mindie_deploy.errors import UnreachableError
from mindie_deploy.remote.address import Address, address_of
from mindie_deploy.remote.log_streams import LogSource, stream
from mindie_deploy.remote.ssh import connected
from mindie_deploy.remote.tunnel import tunnel
from tests.endpoint.server import serving
from tests.remote.ssh_server import ssh_server

DOCKER = """#!/bin/sh
# Writes down how it was called, then behaves as the file "mode" says.
here=$(dirname "$0")
echo "$@" >> "$here/calls"
case $(cat "$here/mode") in
  logs)
    echo "2026-01-01T00:00:0$(cat "$here/number").5Z line of $$"
    printf '2026-01-01T00:00:09Z bytes \\377\\n' >&2 ;;
  none) echo "Error: No such container: deepseek-r1-mindie" >&2; exit 1 ;;
  follow) echo "2026-01-01T00:00:01Z first"; echo $$ > "$here/pid"; exec sleep 60 ;;
esac
"""


class Host:
    """An SSH server with a docker of its own."""

    def __init__(self, directory: Path, port: int, key: Path, known: Path) -> None:
        self.directory, self.port, self.key, self.known = directory, port, key, known

    def address(self, name: str = "host1", **changed: object) -> Address:
        variables = {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": f"-oUserKnownHostsFile={self.known} -o StrictHostKeyChecking=yes",
            **changed,
        }
        return address_of(name, variables, inventory_directory=Path("/"), environment={"HOME": str(self.directory)})

    def docker(self, mode: str, number: int = 1) -> None:
        (self.directory / "mode").write_text(mode)
        (self.directory / "number").write_text(str(number))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    with ssh_server(tmp_path, {"PATH": f"{tmp_path}:{os.environ['PATH']}"}) as (port, key, known):
        yield Host(tmp_path, port, key, known)


def test_a_login_with_the_inventorys_key_and_known_hosts(host: Host) -> None:
    with connected(host.address()) as client:
        _, out, _ = client.exec_command("echo hello")
        assert out.read() == b"hello\n"


def test_an_unknown_host_key_is_refused(host: Host) -> None:
    host.known.write_text("")
    with pytest.raises(UnreachableError, match="host key is not known") as caught, connected(host.address()):
        pass
    assert str(host.known) in caught.value.message


def test_a_changed_host_key_is_refused_even_without_strict_checking(host: Host) -> None:
    other = paramiko.RSAKey.generate(2048)
    host.known.write_text(f"[127.0.0.1]:{host.port} ssh-rsa {other.get_base64()}\n")
    with pytest.raises(UnreachableError, match="not the one in known_hosts"), connected(host.address()):
        pass


def test_a_host_key_check_that_was_switched_off_stays_off(host: Host) -> None:
    host.known.write_text("")
    with connected(host.address(ansible_ssh_common_args="-o StrictHostKeyChecking=no")):
        pass


def test_a_wrong_key_names_the_user_and_what_to_check(host: Host) -> None:
    paramiko.RSAKey.generate(2048).write_private_key_file(str(host.directory / "wrong"))
    address = host.address(ansible_ssh_private_key_file=str(host.directory / "wrong"))
    with pytest.raises(UnreachableError, match="refused the login as root") as caught, connected(address):
        pass
    assert "ansible_ssh_private_key_file" in caught.value.remedy


def test_a_key_file_that_is_not_there_is_not_taken_for_a_dead_host(host: Host) -> None:
    with (
        pytest.raises(UnreachableError, match="there is no key /nonesuch"),
        connected(host.address(ansible_ssh_private_key_file="/nonesuch")),
    ):
        pass


def test_a_host_that_is_not_there_is_said(host: Host) -> None:
    with pytest.raises(UnreachableError, match="does not answer"), connected(host.address(ansible_port=9), 2.0):
        pass


def sources(host: Host, *names: str) -> list[LogSource]:
    return [LogSource(host.address(name), rank, "docker", "deepseek-r1-mindie") for rank, name in enumerate(names)]


def test_logs_of_all_hosts_come_in_the_order_of_time(host: Host) -> None:
    host.docker("logs", 3)
    lines = list(stream(sources(host, "host1", "host2"), tail=5, since="10m"))
    assert [(line.host, line.rank) for line in lines[:2]] == [("host1", 0), ("host2", 1)]
    assert [line.time for line in lines] == sorted(line.time for line in lines)
    assert lines[-1].text == "bytes \N{REPLACEMENT CHARACTER}"
    assert "logs --timestamps --tail 5 --since 10m deepseek-r1-mindie" in (host.directory / "calls").read_text()


def test_a_container_that_is_not_there_is_a_problem_not_a_line(host: Host) -> None:
    host.docker("none")
    (line,) = stream(sources(host, "host1"))
    assert line.problem
    assert "No such container" in line.text


def test_one_host_that_is_lost_does_not_cost_the_others(host: Host) -> None:
    host.docker("logs")
    lost = LogSource(host.address("host2", ansible_port=9), 1, "docker", "x")
    lines = list(stream([*sources(host, "host1"), lost]))
    assert [line.host for line in lines if line.problem] == ["host2"]
    assert len([line for line in lines if not line.problem]) == 2


def test_following_shows_lines_as_they_come_and_leaves_nothing_running(host: Host) -> None:
    host.docker("follow")
    lines = stream(sources(host, "host1"), follow=True)
    assert next(lines).text == "first"
    pid = int((host.directory / "pid").read_text())
    lines.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and not _ended(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists() or _ended(pid)


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_become_is_passed_on(host: Host) -> None:
    (host.directory / "sudo").write_text(
        '#!/bin/sh\nshift 3; read password; echo "$password" > "$(dirname "$0")/told"; exec "$@"\n'
    )
    (host.directory / "sudo").chmod(0o755)
    host.docker("logs")
    address = host.address(ansible_become=True, ansible_become_password="geheim")
    lines = list(stream([LogSource(address, 0, "docker", "x")]))
    assert len(lines) == 2
    assert (host.directory / "told").read_text() == "geheim\n"


def test_a_tunnel_leads_to_the_endpoint(host: Host) -> None:
    with serving() as (url, _server):
        port = int(url.rpartition(":")[2])
        with tunnel(host.address(), "127.0.0.1", port) as local, Endpoint(f"http://127.0.0.1:{local}") as endpoint:
            assert endpoint.models() == ("DeepSeek-R1",)
            hello = [{"role": "user", "content": "hi"}]
            assert "".join(piece.text for piece in endpoint.chat("DeepSeek-R1", hello)) == "Hello world"


def test_a_tunnel_to_a_port_where_nothing_listens_is_an_endpoint_error(host: Host) -> None:
    with (
        tunnel(host.address(), "127.0.0.1", 9) as local,
        Endpoint(f"http://127.0.0.1:{local}") as endpoint,
        pytest.raises((EndpointError, NotListeningError)),
    ):
        endpoint.models()

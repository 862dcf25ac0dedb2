"""An SSH server in this process: runs commands with /bin/sh and forwards connections, as sshd does."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import paramiko


class _Rules(paramiko.ServerInterface):
    def __init__(self, key: paramiko.PKey, environment: Mapping[str, str]) -> None:
        self._key, self._environment = key, environment
        self.forward: dict[int, tuple[str, int]] = {}

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key == self._key and username == "root" else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        self.forward[chanid] = destination
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._execute, args=(channel, command.decode()), daemon=True).start()
        return True

    def _execute(self, channel: paramiko.Channel, command: str) -> None:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(self._environment),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        threading.Thread(target=self._feed, args=(channel, process), daemon=True).start()
        with contextlib.suppress(OSError, EOFError):
            while data := process.stdout.read1(4096):  # type: ignore[attr-defined]
                channel.sendall(data)
        with contextlib.suppress(OSError, EOFError):
            channel.send_exit_status(process.wait())
        channel.close()

    @staticmethod
    def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError, EOFError):
            while data := channel.recv(4096):
                process.stdin.write(data)
                process.stdin.flush()
        with contextlib.suppress(OSError, EOFError):
            process.stdin.close()


def _serve(connection: socket.socket, host_key: paramiko.PKey, rules: _Rules) -> None:
    transport = paramiko.Transport(connection)
    transport.add_server_key(host_key)
    with contextlib.suppress(paramiko.SSHException, EOFError):
        transport.start_server(server=rules)
        while transport.is_active():
            channel = transport.accept(0.2)
            if channel is not None and channel.get_id() in rules.forward:
                target = rules.forward[channel.get_id()]
                threading.Thread(target=_forward, args=(channel, target), daemon=True).start()


def _forward(channel: paramiko.Channel, target: tuple[str, int]) -> None:
    try:
        far = socket.create_connection(target, timeout=5)
    except OSError:
        channel.close()
        return
    with far, channel:
        while True:
            readable, _, _ = select.select([far, channel], [], [], 5)
            if far in readable:
                data = far.recv(4096)
                if not data:
                    return
                channel.sendall(data)
            if channel in readable:
                data = channel.recv(4096)
                if not data:
                    return
                far.sendall(data)


@contextmanager
def ssh_server(directory: Path, environment: Mapping[str, str]) -> Iterator[tuple[int, Path, Path]]:
    """Gives the port, the private key to log in with as root, and a known_hosts file."""
    host_key, key = paramiko.RSAKey.generate(2048), paramiko.RSAKey.generate(2048)
    key_file, known = directory / "id_rsa", directory / "known_hosts"
    key.write_private_key_file(str(key_file))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    known.write_text(f"[127.0.0.1]:{port} {host_key.get_name()} {host_key.get_base64()}\n")
    stop = threading.Event()

    def accept() -> None:
        listener.settimeout(0.2)
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                connection.settimeout(None)
                rules = _Rules(key, environment)
                threading.Thread(target=_serve, args=(connection, host_key, rules), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield port, key_file, known
    finally:
        stop.set()
        thread.join()
        listener.close()

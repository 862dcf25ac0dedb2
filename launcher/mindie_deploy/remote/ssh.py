"""Logs in over SSH with paramiko, honouring host keys."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import paramiko

from mindie_deploy.errors import UnreachableError
from mindie_deploy.remote.address import Address

CONNECT_S = 10.0
KEEP_ALIVE_S = 15


class _Accepting(paramiko.MissingHostKeyPolicy):
    """For an operator who switched the check off: nothing is asked, and what is learnt is not stored."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        return None


@contextlib.contextmanager
def connected(address: Address, timeout: float = CONNECT_S) -> Iterator[paramiko.SSHClient]:
    """Gives a client that is logged in. Raises UnreachableError with the reason and what to do."""
    client = connect(address, timeout)
    try:
        yield client
    finally:
        client.close()


def connect(address: Address, timeout: float = CONNECT_S) -> paramiko.SSHClient:
    """Logs in. The caller closes the client. Raises UnreachableError."""
    client = paramiko.SSHClient()
    for path in address.known_hosts:
        if Path(path).is_file():
            client.load_system_host_keys(path)
    if address.strict:
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
    else:
        client.set_missing_host_key_policy(_Accepting())
    where = f"{address.name} ({address.host} port {address.port})"
    keys = [path for path in address.key_files if Path(path).is_file()]
    if address.key_files and not keys and not address.password:
        raise UnreachableError(
            f"{where}: there is no key {', '.join(address.key_files)}", "correct ansible_ssh_private_key_file"
        )
    try:
        client.connect(
            address.host,
            port=address.port,
            username=address.user,
            password=address.password,
            key_filename=keys or None,  # type: ignore[arg-type]  # paramiko takes a list too
            timeout=timeout,
            banner_timeout=timeout,
            auth_timeout=timeout,
            look_for_keys=not address.key_files,
            sock=paramiko.ProxyCommand(address.proxy_command) if address.proxy_command else None,
        )
    except paramiko.BadHostKeyException as error:
        client.close()
        raise UnreachableError(
            f"{where}: its host key is not the one in known_hosts: {error}",
            "if the host was installed anew, remove the old key: ssh-keygen -R " + address.host,
        ) from error
    except paramiko.SSHException as error:
        client.close()
        # After a refused key paramiko reads the file as each other kind of key, and tells only of the last one.
        if isinstance(error, paramiko.AuthenticationException) or " key, expected " in str(error):
            raise UnreachableError(
                f"{where} refused the login as {address.user or 'the current user'}: {error}",
                "check ansible_user and ansible_ssh_private_key_file, or load the key into ssh-agent",
            ) from error
        if "not found in known_hosts" in str(error):
            raise UnreachableError(
                f"{where}: its host key is not known; looked into {', '.join(address.known_hosts)}",
                f"log in once with ssh {address.host} and compare the fingerprint",
            ) from error
        raise UnreachableError(f"{where}: {error}", f"try: ssh -p {address.port} {address.host} true") from error
    except (OSError, socket.gaierror, EOFError) as error:
        client.close()
        raise UnreachableError(
            f"{where} does not answer: {error or type(error).__name__}",
            "check the address, power, network and sshd of the host",
        ) from error
    transport = client.get_transport()
    if transport is not None:
        transport.set_keepalive(KEEP_ALIVE_S)
    return client

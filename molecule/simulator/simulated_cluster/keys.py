"""SSH keys of a cluster: one that opens every host, and one host key each, so that host key checking can stay on."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path

from simulated_cluster.commands import run
from simulated_cluster.files import write_if_changed
from simulated_cluster.names import address


class Keys:
    """The key files below `<work>/ssh`."""

    def __init__(self, work: Path) -> None:
        self.directory = work / "ssh"
        self.private = self.directory / "id_ed25519"
        self.known_hosts = self.directory / "known_hosts"

    def identity(self, host: str) -> Path:
        """What this host alone sees of the keys: its own host key, and who may come in."""
        return self.directory / host

    def ensure(self, hosts: Sequence[str], subnet: IPv4Network) -> None:
        """Make the keys that are missing, and say which host has which."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_key(self.private, "mindie-deploy-simulator")
        public = self.private.with_suffix(".pub").read_text(encoding="ascii")
        known = []
        for host in hosts:
            identity = self.identity(host)
            identity.mkdir(exist_ok=True, mode=0o700)
            _make_key(identity / "ssh_host_ed25519_key", host)
            write_if_changed(identity / "authorized_keys", public, 0o600)
            kind, key, _ = (identity / "ssh_host_ed25519_key.pub").read_text(encoding="ascii").split(maxsplit=2)
            known.append(f"{host},{address(subnet, host)} {kind} {key}\n")
        write_if_changed(self.known_hosts, "".join(known), 0o644)

    def options(self) -> list[str]:
        """Options of ssh for these hosts: nothing of the user's own configuration counts, unknown hosts are refused."""
        return [
            f"-oUserKnownHostsFile={self.known_hosts}",
            "-oGlobalKnownHostsFile=/dev/null",
            "-oStrictHostKeyChecking=yes",
            "-oIdentitiesOnly=yes",
        ]

    def command(self, target: str, *arguments: str) -> list[str]:
        """The command line of ssh to an address."""
        return ["ssh", "-F/dev/null", f"-i{self.private}", *self.options(), f"root@{target}", *arguments]


def _make_key(path: Path, comment: str) -> None:
    if not path.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])

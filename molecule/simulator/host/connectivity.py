"""What stands between a host and its peers: SSH, the link, the firewall, ports that others hold."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from services import call

HERE = Path(__file__).resolve().parent
IDENTITY = Path("/opt/simulator/identity")
AUTHORIZED = Path("/root/.ssh/authorized_keys")
HOST_KEY = Path("/etc/ssh/ssh_host_ed25519_key")
PORTS_CHAIN = "SIMULATOR-PORTS"
LOSS_CHAIN = "SIMULATOR-LOSS"
INTERFACE = "eth0"


def _port_file(port: int) -> Path:
    return Path(f"/run/simulator-port-{port}.pid")


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is no TCP port")
    return port


def take_port(text: str) -> None:
    """Let another program listen there."""
    port = _port(text)
    release_port(text)
    process = subprocess.Popen(
        [sys.executable, str(HERE / "listener.py"), str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    if not process.stdout.readline():
        raise OSError(f"port {port} is taken already")
    _port_file(port).write_text(f"{process.pid}\n", encoding="ascii")


def release_port(text: str) -> None:
    """End the listener of `take_port`."""
    path = _port_file(_port(text))
    if path.exists():
        pid = int(path.read_text(encoding="ascii"))
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"listener.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        path.unlink()


def drop_ports(ports: str) -> None:
    """Drop packets from other hosts to these TCP ports, given as 1025,1120; replaces an earlier list."""
    numbers = [_port(text) for text in ports.split(",") if text]
    _rules(PORTS_CHAIN, [("-p", "tcp", "--dport", str(number)) for number in numbers])


def open_ports() -> None:
    """Take the rules back."""
    _no_rules(PORTS_CHAIN)


def _rules(chain: str, dropped: list[tuple[str, ...]]) -> None:
    """Drop what comes in from other hosts and matches one of these; a chain of its own is easily taken back."""
    _no_rules(chain)
    call("iptables", "-N", chain)
    for words in dropped:
        call("iptables", "-A", chain, *words, "-j", "DROP")
    call("iptables", "-I", "INPUT", "!", "-i", "lo", "-j", chain)


def _no_rules(chain: str) -> None:
    for command in (("-D", "INPUT", "!", "-i", "lo", "-j", chain), ("-F", chain), ("-X", chain)):
        call("iptables", *command, check=False)


def stop_ssh() -> None:
    """Connections are refused, and the open ones end."""
    call("sh", str(HERE / "ssh-server"), "stop")


def start_ssh() -> None:
    """Take connections again."""
    subprocess.run(["sh", str(HERE / "ssh-server"), "start"], check=True, stdin=subprocess.DEVNULL)


def lock_out() -> None:
    """No key opens this host any more; open connections stay."""
    AUTHORIZED.write_text("", encoding="ascii")


def let_in() -> None:
    """The cluster's key opens it again."""
    shutil.copyfile(IDENTITY / "authorized_keys", AUTHORIZED)


def new_host_key() -> None:
    """The host shows another key than the known one, as after a reinstallation, or as another machine would."""
    HOST_KEY.unlink()
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(HOST_KEY))
    stop_ssh()
    start_ssh()


def own_host_key() -> None:
    """The host shows its own key again."""
    shutil.copyfile(IDENTITY / HOST_KEY.name, HOST_KEY)
    stop_ssh()
    start_ssh()


def lose_packets(share: str) -> None:
    """Lose this share of what arrives, 0 to 1; with 1 the host is silent: connections time out."""
    probability = float(share)
    if not 0 < probability <= 1:
        raise ValueError("the share must be above 0 and at most 1")
    chance = () if probability == 1 else ("-m", "statistic", "--mode", "random", "--probability", f"{probability:.6f}")
    _rules(LOSS_CHAIN, [chance])


def lose_nothing() -> None:
    """All packets arrive again."""
    _no_rules(LOSS_CHAIN)


def slow_link(rate: str) -> None:
    """What the host sends takes at most this rate, in tc's words: 100mbit."""
    call("tc", "qdisc", "replace", "dev", INTERFACE, "root", "tbf", "rate", rate, "burst", "64kb", "latency", "400ms")


def full_link() -> None:
    """The link is as fast as it was."""
    call("tc", "qdisc", "del", "dev", INTERFACE, "root", check=False)

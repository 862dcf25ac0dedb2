"""Members as network namespaces on a bridge, each behind a shaped link of its own.

The bridge has a namespace of its own as well, so the machine's own network is not touched: no member has a route or a
link out. The names carry the process id of the lab, so labs can run side by side, and what a killed lab left is found
and removed by the next.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PREFIX = "weights-lab"
NAMES = re.compile(rf"{PREFIX}-(\d+)-\d+-(?:bridge|m\d+)")
# A burst holds a whole packet of 64 KiB as the kernel hands it down; the port's queue is what a switch buffers. A host
# does not drop what its own sockets queue: TCP stops them long before.
BURST = 128 * 1024
PORT_QUEUE_SECONDS = 0.05
HOST_QUEUE = 4 * 1024 * 1024
PACKET = 1514
runs = itertools.count()


class LabError(Exception):
    """The lab could not do what it was asked; the text says what and how we know."""


def command(*words: str) -> str:
    """Runs a program of iproute2; returns what it printed, raises LabError when it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """Namespaces m0, m1, ... with the addresses 10.77.0.1, 10.77.0.2, ..., and a link to the bridge each."""

    def __init__(self, members: int) -> None:
        self.members = members
        self._name = f"{PREFIX}-{os.getpid()}-{next(runs)}"
        self._bridge = f"{self._name}-bridge"

    def namespace(self, member: int) -> str:
        """The name of a member's namespace, for `ip netns exec`."""
        return f"{self._name}-m{member}"

    def address(self, member: int) -> str:
        """The only address of a member that others reach."""
        return f"10.77.{(member + 1) // 250}.{(member + 1) % 250}"

    def up(self) -> None:
        """Makes the namespaces and unshaped links. Raises LabError."""
        command("ip", "netns", "add", self._bridge)
        command("ip", "-n", self._bridge, "link", "add", "bridge", "type", "bridge")
        command("ip", "-n", self._bridge, "link", "set", "bridge", "up")
        for member in range(self.members):
            name = self.namespace(member)
            command("ip", "netns", "add", name)
            # What one run learned of a path must not speed up or slow down the next run on it.
            command("ip", "netns", "exec", name, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save")
            port = ["link", "add", f"port{member}", "type", "veth", "peer", "name", "eth0", "netns", name]
            command("ip", "-n", self._bridge, *port)
            command("ip", "-n", self._bridge, "link", "set", f"port{member}", "master", "bridge", "up")
            command("ip", "-n", name, "address", "add", f"{self.address(member)}/16", "dev", "eth0")
            command("ip", "-n", name, "link", "set", "lo", "up")
            command("ip", "-n", name, "link", "set", "eth0", "up")

    def shape(self, member: int, rate: float) -> None:
        """Lets a member's link carry `rate` bytes/s each way; may be called again while it carries data."""
        words = ["root", "tbf", "rate", f"{int(rate * 8)}bit", "burst", str(BURST), "limit"]
        ends = [
            (self.namespace(member), "eth0", HOST_QUEUE),
            (self._bridge, f"port{member}", BURST + int(rate * PORT_QUEUE_SECONDS)),
        ]
        for name, device, limit in ends:
            command("tc", "-n", name, "qdisc", "replace", "dev", device, *words, str(limit))

    def shape_all(self, rates: Sequence[float]) -> None:
        """A rate in bytes/s for each member."""
        for member, rate in enumerate(rates):
            self.shape(member, rate)

    def cut(self, member: int) -> None:
        """Pulls the cable of a member."""
        command("ip", "-n", self._bridge, "link", "set", f"port{member}", "down")

    def mend(self, member: int) -> None:
        """Puts the cable back."""
        command("ip", "-n", self._bridge, "link", "set", f"port{member}", "up")

    def carried(self, member: int) -> tuple[int, int]:
        """Bytes that a member has sent and received since the network is up, headers included."""
        text = command("ip", "-n", self.namespace(member), "-s", "-j", "link", "show", "eth0")
        counted: Any = json.loads(text)[0]["stats64"]
        return counted["tx"]["bytes"], counted["rx"]["bytes"]

    def sent_again(self, member: int) -> int:
        """Bytes that TCP had to send again, because a queue on the way was full; about, as it counts packets."""
        text = command("ip", "netns", "exec", self.namespace(member), "cat", "/proc/net/snmp")
        names, values = (line.split() for line in text.splitlines() if line.startswith("Tcp:"))
        return int(values[names.index("RetransSegs")]) * PACKET

    def down(self) -> None:
        """Removes everything, also when only a part was made; ends what still runs inside."""
        remove(f"{self._name}-")


def carried_by(process: int) -> tuple[int, int] | None:
    """Bytes sent and received by the namespace of a process, cheap enough to be asked often.

    None when it is gone, or not in a namespace of its own yet.
    """
    try:
        if Path(f"/proc/{process}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            return None
        lines = Path(f"/proc/{process}/net/dev").read_text().splitlines()
    except OSError:
        return None  # the process ended; its namespace is asked through `Network.carried`
    for line in lines:
        device, _, rest = line.partition(":")
        if device.strip() == "eth0":
            fields = rest.split()
            return int(fields[8]), int(fields[0])
    return None


def remove(prefix: str) -> None:
    """Removes namespaces whose names begin so; processes in them are killed, they could only be the lab's own."""
    for name in namespaces():
        if not name.startswith(prefix):
            continue
        for process in command("ip", "netns", "pids", name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        command("ip", "netns", "delete", name)


def remove_left_over() -> None:
    """Removes what labs left that were killed themselves."""
    for name in namespaces():
        found = NAMES.fullmatch(name)
        if found and not Path("/proc", found[1]).exists():
            remove(name)


def namespaces() -> list[str]:
    """The named namespaces of this machine."""
    return [line.split()[0] for line in command("ip", "netns", "list").splitlines() if line]


@contextlib.contextmanager
def network(members: int, rates: Sequence[float] | None = None) -> Iterator[Network]:
    """A network with a rate in bytes/s for each member, or unshaped; it is gone afterwards. Raises LabError."""
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and therefore needs root")
    remove_left_over()
    made = Network(members)
    try:
        made.up()
        made.shape_all(rates or [])
        yield made
    finally:
        made.down()

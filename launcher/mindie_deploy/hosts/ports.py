"""TCP ports that something listens on, from the kernel's tables /proc/net/tcp and tcp6."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import replace

from mindie_deploy.hosts.answer import Answer, FileText, Missing
from mindie_deploy.hosts.facts import ListeningPort, Reading, Unknown
from mindie_deploy.hosts.text import excerpt, lines_of

LISTEN = "0A"
SOCKET = re.compile(r"socket:\[([0-9]{1,18})\]")
ROW = re.compile(r"\s*\d+:\s+([0-9A-F]+):([0-9A-F]{4})\s+[0-9A-F]+:[0-9A-F]{4}\s+([0-9A-F]{2})\s+(.*)", re.ASCII)


def listeners(answer: Answer | Unknown) -> frozenset[int]:
    """Returns the inodes of the sockets that listeners of checks hold. None where that could not be asked: a port that
    is taken must not be called free."""
    return frozenset() if isinstance(answer, Unknown) else frozenset(map(int, SOCKET.findall(answer.stdout)))


def listening(
    tables: list[FileText | Missing | Unknown], by_check: Collection[int] = ()
) -> Reading[tuple[ListeningPort, ...]]:
    """Reads the tables. One that does not exist (no IPv6) is empty; one that cannot be read makes all unknown.

    `by_check` are the inodes that listeners returned.
    """
    found: list[ListeningPort] = []
    readable = 0
    for table in tables:
        if isinstance(table, Unknown):
            return table
        if isinstance(table, Missing):
            continue
        readable += 1
        if table.truncated:
            return Unknown(f"{table.path} is longer than what was read")
        for line in lines_of(table.text):
            if not line.strip() or line.split()[0] == "sl":
                continue
            port = _row(line)
            if isinstance(port, Unknown):
                return Unknown(f"{table.path}: {port.reason}")
            if port is not None:
                found.append(replace(port, by_check=port.inode in by_check))
    if not readable:
        return Unknown("the host has no table of TCP sockets")
    return tuple(sorted(found, key=lambda port: (port.port, port.address)))


def _row(line: str) -> ListeningPort | Unknown | None:
    """Reads one row; None where its state is not LISTEN."""
    match = ROW.fullmatch(line)
    address = _address(match.group(1)) if match else None
    if match is None or address is None:
        return Unknown(f"a row of no known form: {excerpt(line)}")
    if match.group(3) != LISTEN:
        return None
    fields = match.group(4).split()  # queues, timer, retransmits, uid, timeout, inode
    inode = int(fields[5]) if len(fields) > 5 and re.fullmatch(r"[0-9]{1,18}", fields[5]) else None
    return ListeningPort(address, int(match.group(2), 16), inode)


def _address(text: str) -> str | None:
    """Returns the address of eight or thirty-two hex digits.

    The kernel prints 32-bit words in the host's byte order; all hosts in question (x86-64, arm64) are little-endian.
    """
    if len(text) not in (8, 32):
        return None
    packed = b"".join(bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8))
    return str(ipaddress.ip_address(packed))

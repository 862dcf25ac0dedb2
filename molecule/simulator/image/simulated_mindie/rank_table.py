"""The rank table as the daemon reads it (source 2), and which entry is this host's."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import checks, files
from .checks import RefusedError, Say
from .home import variable

PROBLEM = "init rank table config error."


@dataclass(frozen=True)
class Device:
    """One NPU of the table; `device_id` is the physical index on its host."""

    device_id: int
    device_ip: str
    rank: int


@dataclass(frozen=True)
class Server:
    """One host of the table."""

    server_id: str
    container_ip: str
    devices: tuple[Device, ...]

    @property
    def leads(self) -> bool:
        """Whether rank 0 is here: that host is the master (source 0, point 2)."""
        return any(device.rank == 0 for device in self.devices)


@dataclass(frozen=True)
class RankTable:
    """The whole table, and `local`, the entry of this host (None when no entry matches)."""

    servers: tuple[Server, ...]
    local: Server | None
    local_ip: str
    digest: str

    @property
    def leader(self) -> Server | None:
        """The host of rank 0, or None when no host has it (the daemon does not mind, source 2)."""
        return next((server for server in self.servers if server.leads), None)

    @property
    def world_size(self) -> int:
        return sum(len(server.devices) for server in self.servers)


def load(environ: Mapping[str, str], say: Say) -> RankTable:
    """Reads RANK_TABLE_FILE; raises RefusedError after the complaint."""
    local_ip = _container_ip(environ, say)
    host_ip = variable(environ, "HOST_IP")
    if host_ip and not checks.address_allowed("HOST_IP", host_ip, say, zero=False):
        host_ip = ""
    say("Start to parse ranktable file")
    data, digest = _read(environ, say)
    servers = _servers(data, say)
    for server in servers:
        if not server.container_ip:
            # Source 2: server_id would stand in for it, but empty is refused.
            say("The containerIp in the server node is empty in ranktable file.")
            raise RefusedError(PROBLEM)
    # Source 0, point 2: either of the two matches; a host that matches nothing is not reported as such.
    local = next((server for server in servers if server.container_ip == local_ip), None)
    if local is None and host_ip:
        local = next((server for server in servers if server.server_id == host_ip), None)
    say("Finished parsing ranktable file.")
    return RankTable(servers=servers, local=local, local_ip=local_ip, digest=digest)


def _read(environ: Mapping[str, str], say: Say) -> tuple[dict[str, Any], str]:
    path = variable(environ, "RANK_TABLE_FILE")
    if not path:
        say("Ranktable file is not exist, please set a valid ranktable file path with RANK_TABLE_FILE environment.")
        raise RefusedError(PROBLEM)
    if not files.own_file(path, say):
        say("Ranktable file path is invalid.")
        raise RefusedError(PROBLEM)
    content = Path(path).read_bytes()
    try:
        data = checks.parse_json(content.decode("utf-8-sig"))
    except ValueError as error:
        say(f"Ranktable file is invalid. Please check json format! {error}")
        raise RefusedError(PROBLEM) from error
    if not isinstance(data, dict):
        say("Ranktable file is invalid. Please check json format! ")
        raise RefusedError(PROBLEM)
    return data, hashlib.sha256(content).hexdigest()


def _servers(data: Mapping[str, Any], say: Say) -> tuple[Server, ...]:
    count = data.get("server_count")
    # Source 2: a string that begins with a number; the integer 4 is refused, "4 " passes.
    number = re.match(r"\s*[+-]?\d+", count) if isinstance(count, str) else None
    if number is None:
        say("Invalid server_count in ranktable file")
        raise RefusedError(PROBLEM)
    entries = data.get("server_list")
    if not isinstance(entries, list):
        say("Parameter server_list is invalid in ranktable file")
        raise RefusedError(PROBLEM)
    if not entries:
        # Source 2: an empty list is a segmentation fault, without a message that helps.
        raise SegmentationFaultError
    servers = tuple(_server(entry, say) for entry in entries)
    if not 2 <= int(number.group()) <= 60:
        say(f"Parameter server_count must be in range [2, 60], but got {number.group().strip()}")
        raise RefusedError(PROBLEM)
    if int(number.group()) != len(servers):
        say(
            f"Parameter server_count is {number.group().strip()}, which is not equal to server_list length in "
            f"ranktable file, which is {len(servers)}"
        )
        raise RefusedError(PROBLEM)
    size = len(servers[0].devices)
    if not 1 <= size <= 32:
        say(f"The number of devices on single node must be in [1, 32], but got {size}")
        raise RefusedError(PROBLEM)
    for server in servers:
        if len(server.devices) != size:
            say(
                f"The number of devices in every server node is {len(server.devices)} which not equal in ranktable "
                f"file, which is {size}"
            )
            raise RefusedError(PROBLEM)
    return servers


def _server(entry: object, say: Say) -> Server:
    if not isinstance(entry, dict) or not isinstance(entry.get("device"), list):
        say("Parameter device is invalid in ranktable file")
        raise RefusedError(PROBLEM)
    server_id = _text(entry, "server_id", say)
    container_ip = _text(entry, "container_ip", say) if "container_ip" in entry else ""
    return Server(server_id, container_ip, tuple(_device(item, say) for item in entry["device"]))


def _device(entry: object, say: Say) -> Device:
    if not isinstance(entry, dict):
        say("Parameter device is invalid in ranktable file")
        raise RefusedError(PROBLEM)
    device_id = _number(_text(entry, "device_id", say), "device_id", 63, say)
    device_ip = _text(entry, "device_ip", say)
    # Source 2: IPv4 or IPv6, not 0.0.0.0. A placeholder such as "-.-.-.-" ends here.
    if not checks.address_allowed("device_ip", device_ip, say, zero=False):
        say("Parameter device_ip is invalid in ranktable file.")
        raise RefusedError(PROBLEM)
    return Device(device_id, device_ip, _number(_text(entry, "rank_id", say), "rankId", 511, say))


def _text(entry: Mapping[str, Any], name: str, say: Say) -> str:
    """A string value; numbers are refused (source 2)."""
    value = entry.get(name)
    if not isinstance(value, str):
        say(f"Parameter {name} in ranktable file should be string, but got {checks.type_name(value)}")
        raise RefusedError(PROBLEM)
    return value


def _number(text: str, name: str, most: int, say: Say) -> int:
    number = re.match(r"\s*[+-]?\d+", text)
    if number is None:
        say(f"Parameter {name} is invalid in ranktable file.")
        raise RefusedError(PROBLEM)
    value = int(number.group())
    if not 0 <= value <= most:
        say(f"Parameter {name} is {value}, which is out of allow range [0, {most}].")
        raise RefusedError(PROBLEM)
    return value


def _container_ip(environ: Mapping[str, str], say: Say) -> str:
    """MIES_CONTAINER_IP, else the first IPv4 address of the host's own name (source 2)."""
    address = variable(environ, "MIES_CONTAINER_IP")
    if address:
        return address
    say("The env variable MIES_CONTAINER_IP isn't exist.")
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        say("Error getting host information")
        return ""


def is_server_ip(text: str) -> bool:
    """The workers' rule for server_id: an IP address (source 2)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class SegmentationFaultError(Exception):
    """The real daemon crashes here with SIGSEGV."""

"""What `up` leaves behind for later calls: which hosts there are and at which addresses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from simulated_cluster.errors import SimulatorError
from simulated_cluster.files import write_if_changed


@dataclass(frozen=True)
class Record:
    """Content of `<work>/cluster.json`."""

    subnet: IPv4Network
    hosts: tuple[str, ...]


def read(work: Path) -> Record | None:
    """The record, or None where there is none. Raises SimulatorError when it is not one of ours."""
    path = work / "cluster.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Record(IPv4Network(content["subnet"]), tuple(str(host) for host in content["hosts"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise SimulatorError(
            f"{path} is not a record of a simulated cluster: {error}", "remove it and run `up`"
        ) from None


def write(work: Path, record: Record) -> None:
    """Write the record."""
    content = {"subnet": str(record.subnet), "hosts": list(record.hosts)}
    write_if_changed(work / "cluster.json", json.dumps(content, indent=1) + "\n")

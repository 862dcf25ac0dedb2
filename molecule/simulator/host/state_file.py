"""Makes the host agree with its state file, where that speaks of more than NPUs."""

from __future__ import annotations

import sys
from pathlib import Path

import connectivity
import services
import storage

TOOLS_PARENT = "/opt/simulator"
FIREWALL_NOTE = Path("/run/simulator-firewall")


def enact() -> None:
    """Engine, image, disk and firewall as the state file says; what agrees already is left alone."""
    sys.path.insert(0, TOOLS_PARENT)
    from tools import state as states

    try:
        state = states.load(states.own_name())
    except states.StateError as error:
        raise ValueError(str(error)) from None
    _disk(state["disk"]["limit_mib"])
    _firewall(",".join(str(port) for port in state["firewall"]["drop_ports"]))
    if state["engine"]["running"]:
        services.start_engine()
        if not state["image"]["present"]:
            services.remove_image()
        elif not services.image_id() and services.IMAGE_FILE.exists():
            services.load_image()
    else:
        services.stop_engine()


def _disk(limit_mib: int | None) -> None:
    if limit_mib is None:
        storage.free_disk()
    else:
        storage.limit_disk(str(limit_mib * 1024 * 1024))


def _firewall(ports: str) -> None:
    there = FIREWALL_NOTE.read_text(encoding="ascii") if FIREWALL_NOTE.exists() else ""
    if ports == there:
        return
    if ports:
        connectivity.drop_ports(ports)
    else:
        connectivity.open_ports()
    FIREWALL_NOTE.write_text(ports, encoding="ascii")

"""What can happen to a simulated host besides its NPUs: a table of things to apply and to take back.

Each is real: an engine that is stopped, a port that a process holds, a key that no longer opens. `host/action.py` does
them on the host; some only the engine below the hosts can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulated_cluster.errors import MachineError
from simulated_cluster.running import Cluster

ACTION_SECONDS = 180.0


@dataclass(frozen=True)
class HostAction:
    """Something that can be done to a host and taken back.

    `apply` and `clear` are words for host/action.py, or for docker when `below`; {option} stands for an option's value.
    `clear` is empty when there is nothing to take back. `options` are the defaults.
    """

    name: str
    summary: str
    apply: tuple[str, ...]
    clear: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    below: bool = False


ACTIONS: dict[str, HostAction] = {
    action.name: action
    for action in (
        HostAction("engine-stopped", "the container engine does not run", ("engine", "stop"), ("engine", "start")),
        HostAction("image-missing", "the MindIE image is not there", ("image", "remove"), ("image", "load")),
        HostAction("image-different", "another image has its name", ("image", "alter"), ("image", "load")),
        HostAction("daemon-killed", "the daemons of all deployments are killed", ("daemon", "kill")),
        HostAction(
            "port-taken",
            "another process listens on a TCP port",
            ("port", "take", "{port}"),
            ("port", "release", "{port}"),
            {"port": "1025"},
        ),
        HostAction(
            "firewall-drops",
            "packets to TCP ports are dropped",
            ("firewall", "drop", "{ports}"),
            ("firewall", "open"),
            {"ports": "1120"},
        ),
        HostAction("ssh-refused", "no SSH server runs", ("ssh", "stop"), ("ssh", "start")),
        HostAction("ssh-wrong-key", "the cluster's key opens the host no more", ("ssh", "lock-out"), ("ssh", "let-in")),
        HostAction(
            "ssh-host-key-changed", "it shows another host key", ("ssh", "new-host-key"), ("ssh", "own-host-key")
        ),
        HostAction("host-silent", "connections time out", ("packets", "lose", "1"), ("packets", "keep")),
        HostAction(
            "link-lossy",
            "a share of the packets to it is lost",
            ("packets", "lose", "{share}"),
            ("packets", "keep"),
            {"share": "0.02"},
        ),
        HostAction(
            "link-slow",
            "it sends slowly (rate in tc's words)",
            ("link", "slow", "{rate}"),
            ("link", "full"),
            {"rate": "100mbit"},
        ),
        HostAction(
            "disk-small",
            "the data disk is empty and small",
            ("disk", "limit", "{bytes}"),
            ("disk", "free"),
            {"bytes": str(4 * 1024 * 1024)},
        ),
        HostAction("host-frozen", "it accepts connections and then hangs", ("pause",), ("unpause",), below=True),
        HostAction("host-restarted", "power goes and comes back", ("restart", "--time=1"), below=True),
    )
}


def find(name: str) -> HostAction:
    """The action of this name. Raises MachineError (exit 2) for an unknown one."""
    if name not in ACTIONS:
        raise MachineError(f"there is no host action {name}.", f"name one of {', '.join(ACTIONS)}")
    return ACTIONS[name]


def apply(cluster: Cluster, host: str, name: str, options: Mapping[str, str] | None = None) -> None:
    """Do it to a host. Raises SimulatorError with the host's own words when that fails."""
    action = find(name)
    if action.apply == ("pause",) and cluster.container_state(host) == "paused":
        return
    _do(cluster, host, action, action.apply, options or {})


def clear(cluster: Cluster, host: str, name: str, options: Mapping[str, str] | None = None) -> None:
    """Take it back; what was not done, or cannot be taken back, is left as it is. The options are those of `apply`."""
    action = find(name)
    if not action.clear:
        return
    if action.below and cluster.container_state(host) != "paused":
        return
    _do(cluster, host, action, action.clear, options or {})


def enact(cluster: Cluster, host: str) -> None:
    """Make a host agree with its state file: NPU tools and files first, then engine, image, disk, firewall."""
    cluster.execute(host, "python3", "/opt/simulator/tools/apply.py", timeout=ACTION_SECONDS)
    cluster.execute(host, "python3", "/opt/simulator/host/action.py", "state", "enact", timeout=ACTION_SECONDS)


def _do(cluster: Cluster, host: str, action: HostAction, words: tuple[str, ...], options: Mapping[str, str]) -> None:
    unknown = set(options) - set(action.options)
    if unknown:
        known = ", ".join(action.options) or "none"
        raise MachineError(f"{action.name} has no option {', '.join(sorted(unknown))}.", f"its options: {known}")
    filled = [word.format_map({**action.options, **options}) for word in words]
    if action.below:
        verb, *rest = filled
        cluster.engine.docker(verb, *rest, cluster.names.container(cluster.known(host)), timeout=ACTION_SECONDS)
        if verb == "restart":
            cluster.wait(host)
    else:
        cluster.execute(host, "python3", "/opt/simulator/host/action.py", *filled, timeout=ACTION_SECONDS)

"""Does to a simulated host what may happen to a real one, and takes it back. Runs on the host, as root.

Usage: action.py SUBJECT VERB [VALUE...]; every call may be repeated, and undoing what was not done changes nothing.
`action.py state enact` makes the host agree with the parts of its state file that are no NPU's: engine, image, disk,
firewall.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import connectivity
import services
import state_file
import storage

Action = Callable[..., None]

ACTIONS: dict[tuple[str, str], Action] = {
    ("engine", "stop"): services.stop_engine,
    ("engine", "start"): services.start_engine,
    ("image", "remove"): services.remove_image,
    ("image", "load"): services.load_image,
    ("image", "alter"): services.alter_image,
    ("daemon", "kill"): services.kill_daemons,
    ("port", "take"): connectivity.take_port,
    ("port", "release"): connectivity.release_port,
    ("firewall", "drop"): connectivity.drop_ports,
    ("firewall", "open"): connectivity.open_ports,
    ("ssh", "stop"): connectivity.stop_ssh,
    ("ssh", "start"): connectivity.start_ssh,
    ("ssh", "lock-out"): connectivity.lock_out,
    ("ssh", "let-in"): connectivity.let_in,
    ("ssh", "new-host-key"): connectivity.new_host_key,
    ("ssh", "own-host-key"): connectivity.own_host_key,
    ("link", "slow"): connectivity.slow_link,
    ("link", "full"): connectivity.full_link,
    ("packets", "lose"): connectivity.lose_packets,
    ("packets", "keep"): connectivity.lose_nothing,
    ("disk", "limit"): storage.limit_disk,
    ("disk", "free"): storage.free_disk,
    ("state", "enact"): state_file.enact,
}


def main(arguments: list[str]) -> int:
    """Exit status 0, 1 when the action failed, 2 for a wrong call."""
    action = ACTIONS.get((arguments[0], arguments[1])) if len(arguments) >= 2 else None
    if action is None:
        known = ", ".join(" ".join(words) for words in ACTIONS)
        print(f"usage: action.py SUBJECT VERB [VALUE...]; one of: {known}", file=sys.stderr)
        return 2
    try:
        action(*arguments[2:])
    except subprocess.CalledProcessError as error:
        print(f"{' '.join(arguments)}: {error}\n{error.stderr or ''}".rstrip(), file=sys.stderr)
        return 1
    except (OSError, ValueError, TypeError) as error:
        print(f"{' '.join(arguments)}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

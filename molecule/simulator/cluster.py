#!/usr/bin/env python3
"""Brings simulated Atlas hosts up on this machine and takes them down again, leaving nothing.

Hosts are real: an SSH server and a container engine each, on a network of their own. Simulated are only the NPUs, the
programs that talk to them, and MindIE. Needs Debian or Ubuntu and root, or a working Docker engine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import host_actions
from host_actions import ACTIONS
from simulated_cluster.cache import SETTING
from simulated_cluster.errors import MachineError, SimulatorError
from simulated_cluster.lifecycle import down, up
from simulated_cluster.names import Names
from simulated_cluster.running import Cluster

DEFAULT_WORK = Path(__file__).resolve().parents[2] / ".work" / "cluster"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--work", type=Path, default=DEFAULT_WORK, metavar="DIR", help="the cluster's directory (default: %(default)s)"
    )
    main_parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"The base image is made once and kept in the directory that {SETTING} names.",
    )
    commands = main_parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", parents=[common], help="bring hosts up; what is up stays as it is")
    start.add_argument("--hosts", type=int, default=4, metavar="N", help="how many (default: %(default)s)")
    start.add_argument("--npus", type=int, default=8, metavar="N", help="NPUs of each new host (default: %(default)s)")
    stop = commands.add_parser("down", parents=[common], help="take all hosts down, with all that belongs to them")
    stop.add_argument("--purge-cache", action="store_true", help="remove the base image from the cache too")
    look = commands.add_parser(
        "status", parents=[common], help="say what each host is and answers; exit 1 if one is off"
    )
    look.add_argument("--json", action="store_true", help="as JSON")
    commands.add_parser("inventory", parents=[common], help="print the directory for ansible's -i")
    execute = commands.add_parser("exec", parents=[common], help="run a command on a host, through the engine")
    execute.add_argument("host")
    execute.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- COMMAND...")
    act = commands.add_parser("act", parents=[common], help="let something happen to a host")
    undo = commands.add_parser("undo", parents=[common], help="take it back")
    for happening in (act, undo):
        happening.add_argument("host")
        happening.add_argument("action", choices=sorted(ACTIONS), metavar="ACTION")
        happening.add_argument("options", nargs="*", metavar="NAME=VALUE")
    commands.add_parser("actions", parents=[common], help="list what can happen to a host")
    shell = commands.add_parser("ssh", parents=[common], help="log in to a host, or run a command there")
    shell.add_argument("host")
    shell.add_argument("arguments", nargs=argparse.REMAINDER, metavar="COMMAND...")
    return main_parser


def show_status(cluster: Cluster, as_json: bool) -> int:
    """Print the table; 1 when a host is not wholly up."""
    rows = cluster.status()
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
        for row in ({key: key for key in rows[0]}, *rows):
            print("  ".join(row[key].ljust(width) for key, width in widths.items()).rstrip())
    return int(any(row["ssh"] != "answers" or row["engine"] in ("-", "no answer") for row in rows))


def show_actions() -> int:
    """Print what `act` knows."""
    width = max(map(len, ACTIONS))
    for action in ACTIONS.values():
        options = " ".join(f"{name}={value}" for name, value in action.options.items())
        print(f"{action.name:<{width}}  {action.summary}{f' [{options}]' if options else ''}")
    return 0


def happen(cluster: Cluster, given: argparse.Namespace) -> int:
    """Apply or take back a host action."""
    wrong = [text for text in given.options if "=" not in text]
    if wrong:
        raise MachineError(f"{wrong[0]} is not of the form NAME=VALUE.")
    options = dict(text.split("=", 1) for text in given.options)
    (host_actions.apply if given.command == "act" else host_actions.clear)(cluster, given.host, given.action, options)
    return 0


def replace_process(argv: list[str]) -> int:
    """Become another program, which then has the terminal to itself."""
    sys.stdout.flush()
    os.execvp(argv[0], argv)


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, 1 when something failed, 2 when this machine or the command line does not allow it."""
    given = parser().parse_args(arguments)
    try:
        if given.command == "up":
            cluster = up(given.work, given.hosts, given.npus)
            print(f"inventory: {cluster.names.work / 'inventory'}")
            return 0
        if given.command == "down":
            down(given.work, given.purge_cache)
            return 0
        if given.command == "actions":
            return show_actions()
        cluster = Cluster.open(given.work)
        if given.command == "status":
            return show_status(cluster, given.json)
        if given.command == "inventory":
            print(Names.of(given.work).work / "inventory")
            return 0
        if given.command in ("act", "undo"):
            return happen(cluster, given)
        words = given.arguments[1:] if given.arguments[:1] == ["--"] else given.arguments
        if given.command == "ssh":
            return replace_process(cluster.keys.command(str(cluster.address(given.host)), *words))
        options = ["--interactive", *(["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else [])]
        container = cluster.names.container(cluster.known(given.host))
        return replace_process(cluster.engine.command("exec", *options, container, *(words or ["/bin/bash"])))
    except SimulatorError as error:
        print(f"cluster.py: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("cluster.py: interrupted; `up` goes on from here, `down` removes what is there", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

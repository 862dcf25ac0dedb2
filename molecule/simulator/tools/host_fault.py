#!/usr/bin/python3
"""Changes what a simulated host itself tells: files of the kernel, and answers of the system's programs.

    host_fault.py show PATH TEXT       the file at PATH has this text (mounted over it); restore PATH
    host_fault.py offer PATH TEXT      the same where there is such a file, else nothing
    host_fault.py alter PROGRAM SED    what PROGRAM prints goes through sed SED; unalter PROGRAM
    host_fault.py hide PROGRAM         PROGRAM is nowhere; unhide PROGRAM

What is taken back without having been done is left as it is. Runs on the host, as root.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

KEPT = "/run/simulator-host-fault"  # texts that are mounted, and programs that are put away
FIRST = "/usr/local/sbin"  # the first directory of the hosts' PATH
SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
MARK = "# simulated-by: mindie-deploy simulator, host_fault.py"


def show(path: str, text: str) -> None:
    """A file of the kernel cannot be written, but another can be mounted over it."""
    os.makedirs(KEPT, exist_ok=True)
    if not os.path.isfile(path):
        raise FileNotFoundError(2, "there is no such file to mount over", path)
    restore(path)
    kept = _kept(path)
    with open(kept, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(kept, 0o644)
    subprocess.run(["mount", "--bind", kept, path], check=True)


def offer(path: str, text: str) -> None:
    """For files that not every kernel has."""
    if os.path.isfile(path):
        show(path, text)


def restore(path: str) -> None:
    """The true file is seen again."""
    if os.path.exists(_kept(path)):
        subprocess.run(["umount", path], check=True)
        os.unlink(_kept(path))


def alter(program: str, sed: str) -> None:
    """A program of the same name comes first and rewrites what the true one prints; errors and status stay."""
    unalter(program)
    true = shutil.which(program, path=os.pathsep.join(SEARCHED))
    if true is None:
        raise FileNotFoundError(2, "there is no such program", program)
    place = os.path.join(FIRST, program)
    script = f"""#!/bin/sh
{MARK}
output=$({shlex.quote(true)} "$@"; echo "status=$?")
status=${{output##*status=}}
printf '%s' "${{output%status=*}}" | sed -e {shlex.quote(sed)}
exit "$status"
"""
    if os.path.lexists(place):
        raise FileExistsError(17, "a program stands there already", place)
    with open(place, "w", encoding="utf-8") as stream:
        stream.write(script)
    os.chmod(place, 0o755)


def unalter(program: str) -> None:
    """The true program answers again."""
    place = os.path.join(FIRST, program)
    if os.path.isfile(place):
        with open(place, encoding="utf-8", errors="replace") as stream:
            ours = MARK in stream.read(200)
        if ours:
            os.unlink(place)


def hide(program: str) -> None:
    """As on a host where it was never installed."""
    os.makedirs(KEPT, exist_ok=True)
    for directory in SEARCHED:
        path = os.path.join(directory, program)
        if os.path.lexists(path) and not os.path.lexists(_kept(path)):
            shutil.move(path, _kept(path))


def unhide(program: str) -> None:
    """It is where it was."""
    for directory in SEARCHED:
        path = os.path.join(directory, program)
        if os.path.lexists(_kept(path)):
            if os.path.lexists(path):  # made anew meanwhile
                os.unlink(_kept(path))
            else:
                shutil.move(_kept(path), path)


def _kept(path: str) -> str:
    return os.path.join(KEPT, path.strip("/").replace("/", "%"))


VERBS = {"show": (show, 2), "offer": (offer, 2), "restore": (restore, 1),
         "alter": (alter, 2), "unalter": (unalter, 1),
         "hide": (hide, 1), "unhide": (unhide, 1)}  # fmt: skip


def main(arguments: list[str]) -> int:
    """0, 1 when the host does not allow it, 2 for a wrong call."""
    verb, count = VERBS.get(arguments[0] if arguments else "", (None, 0))
    if verb is None or len(arguments) != count + 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        verb(*arguments[1:])
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"host_fault.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

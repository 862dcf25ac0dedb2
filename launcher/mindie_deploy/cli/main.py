"""The entry point. It is small, because all that it imports is loaded before a Ctrl-C can be answered."""

from __future__ import annotations

import os
import sys

CANCELLED = 130  # ExitCode.CANCELLED, which is not loaded yet when it is needed
NOTE = b"cancelled; nothing was begun\n"


def main(arguments: list[str] | None = None) -> None:
    """Runs a command and ends the process with its exit code (docs/exit-codes.md)."""
    try:
        open_closed_streams()
        import signal  # by itself as slow as the interpreter's own start

        before = signal.getsignal(signal.SIGINT)
        # Ignored is what a shell's background wants, and another handler knows its own work.
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, _end)
        from mindie_deploy.cli.application import run

        signal.signal(signal.SIGINT, before)
    except KeyboardInterrupt:
        _end()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def open_closed_streams() -> None:
    """Leads standard streams that the caller closed to nowhere: else the next file opened would take their place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, mode))


def _end(*_signal: object) -> None:
    """Ends at once: nothing is open yet, and what is being imported may make anything of a KeyboardInterrupt."""
    try:
        os.write(2, NOTE)
    finally:
        os._exit(CANCELLED)


if __name__ == "__main__":
    main()

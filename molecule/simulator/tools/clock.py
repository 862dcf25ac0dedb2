"""The host's clock, shifted as far as that can be done without touching the kernel's clock, which all hosts share.

A container has no clock of its own: time namespaces shift only the monotonic and boot clocks. What the product reads is
Python's time.time() on the host, so that is what is shifted, for every python3 started without -S: a .pth file
in the distribution's package folder runs one line at start. `date`, file times and other programs are not shifted.
"""

from __future__ import annotations

PTH = "usr/lib/python3/dist-packages/simulated_clock.pth"
MODULE = "usr/lib/python3/dist-packages/simulated_clock.py"


def files(offset_s: float) -> dict[str, str | None]:
    """The two files by path below the root; None: must not exist."""
    if offset_s == 0:
        return {PTH: None, MODULE: None}
    text = (
        f'"""Shifts the clock of this simulated host by {offset_s!r} s."""\n\nimport time\n\n'
        f"_seconds, _nanoseconds = time.time, time.time_ns\n"
        f"time.time = lambda: _seconds() + {offset_s!r}\n"
        f"time.time_ns = lambda: _nanoseconds() + int({offset_s!r} * 1_000_000_000)\n"
    )
    return {PTH: "import simulated_clock\n", MODULE: text}

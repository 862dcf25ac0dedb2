"""What the daemon's exit statuses mean (MindIE-LLM, llm_daemon.cpp; statuses above 128 are 128 + signal)."""

from __future__ import annotations

EXIT_STATUSES: dict[int, tuple[str, str]] = {
    78: (
        "the image has no MindIE where its version has it",
        "set mindie_image to a MindIE image for 800I-A2, and mindie_version to its version",
    ),
    126: (
        "launch.sh could not be run",
        "its mode must be 0750 and its owner the container's user: run configure again",
    ),
    127: ("a program is missing in the image", "set mindie_image to a MindIE image for 800I-A2"),
    134: (
        "the daemon aborted: a worker died, the rendezvous failed, or it was asked to stop (then 134 is normal)",
        "look for the first error above, on every host: the host that failed first names the cause",
    ),
    137: (
        "the daemon was killed: it refused its configuration and killed itself, or memory ran out, or somebody did",
        "read the first complaint in the log; without one look at dmesg of the host for the OOM killer and at free -g "
        "(about 445 GB should be free)",
    ),
    139: (
        "the daemon crashed (segmentation fault): often an image for another chip, or an empty rank table",
        "compare the image's tag (800I-A2) and architecture with the host, and run configure again",
    ),
    143: ("the daemon was asked to stop before it was ready", "start again"),
    255: (
        "the daemon refused its command line",
        "the image's daemon has other options: compare mindie_version with the image",
    ),
}

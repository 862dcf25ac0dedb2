"""What is printed, and where: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, ClassVar

from rich.console import Console, RenderableType
from rich.text import Text

from mindie_deploy.errors import MindieDeployError

PIPED_WIDTH = 120


class Terminal:
    """The two streams. With `as_json`, standard output carries one JSON document and nothing else."""

    # Standard output is one for the process, and so is the document on it: an error must not add a second one.
    json_told: ClassVar[bool] = False

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = _console(stderr=False)
        self.err = _console(stderr=True)

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return sys.stdin is not None and sys.stdin.isatty() and self.err.is_terminal

    @property
    def live(self) -> bool:
        """Whether lines on standard error can be redrawn."""
        return self.err.is_terminal and not self.err.is_dumb_terminal

    def result(self, text: RenderableType) -> None:
        """Prints a part of the result; to standard error when standard output is for JSON."""
        (self.err if self.as_json else self.out).print(text)

    def note(self, text: RenderableType, style: str = "") -> None:
        """Prints what is not the result."""
        self.err.print(Text(text, style) if isinstance(text, str) else text)

    def json(self, document: Any) -> None:
        """Prints the JSON document, when it was asked for and none was printed yet."""
        if self.as_json and not Terminal.json_told:
            Terminal.json_told = True
            text = json.dumps(document, ensure_ascii=False, indent=2, default=str)
            try:
                text.encode(sys.stdout.encoding or "utf-8")
            except UnicodeEncodeError:  # a host's text may hold anything, and JSON has a form for it in ASCII
                text = json.dumps(document, indent=2, default=str)
            print(text)  # noqa: T201


def error_document(error: MindieDeployError) -> dict[str, object]:
    """Returns an error in the form that --json prints."""
    notes = list(getattr(error, "__notes__", ()))
    return {"error": error.message, "next": error.remedy, "exit_code": int(error.exit_code), "notes": notes}


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    piped = not stream.isatty()
    # No markup: what hosts say may hold square brackets.
    return Console(
        stderr=stderr,
        markup=False,
        highlight=False,
        emoji=False,
        no_color=True if piped or os.environ.get("NO_COLOR") else None,
        force_terminal=False if piped else None,
        width=PIPED_WIDTH if piped and not os.environ.get("COLUMNS") else None,
        soft_wrap=piped,
    )


def duration(seconds: float) -> str:
    """Returns a time for people: "4 s", "2 min 05 s", "1 h 03 min"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def clock(seconds: float) -> str:
    """Returns an elapsed time as "m:ss"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"

"""MindIE's log files and lines (source 4.4): one file per component and process, levels, stdout when asked."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

LEVELS = ("debug", "info", "warn", "error", "critical")
SWITCHES = {"1": True, "true": True, "0": False, "false": False}


class LogDirectoryError(Exception):
    """A log directory that the real logger throws about; nobody catches it there, so the process aborts."""


class Log:
    """The log of one component ("server", "llm") of one process."""

    def __init__(self, component: str, environ: Mapping[str, str]) -> None:
        self._component = component
        self._lock = threading.Lock()
        level = _chosen(environ.get("MINDIE_LOG_LEVEL", ""), component).lower()
        # Source 4.4: unknown values are ignored, the default level is info.
        self._level = LEVELS.index(level) if level in LEVELS else LEVELS.index("info")
        self._to_stdout = _switch(environ, "MINDIE_LOG_TO_STDOUT", component, default=False)
        self._verbose = _switch(environ, "MINDIE_LOG_VERBOSE", component, default=True)
        self._path: Path | None = None
        if _switch(environ, "MINDIE_LOG_TO_FILE", component, default=True):
            moment = time.strftime("%Y%m%d%H%M%S") + f"{int(time.time() * 1000) % 1000:03d}"
            directory = debug_directory(environ)
            self._path = directory / f"mindie-{component}_{os.getpid()}_{moment}.log"

    @property
    def to_stdout(self) -> bool:
        """Whether lines also go to stdout (MINDIE_LOG_TO_STDOUT)."""
        return self._to_stdout

    def debug(self, text: str) -> None:
        self._write("debug", "", text)

    def info(self, text: str) -> None:
        self._write("info", "", text)

    def warn(self, text: str, code: str = "MIE04W010001") -> None:
        self._write("warn", code, text)

    def error(self, text: str, code: str = "MIE04E010001") -> None:
        self._write("error", code, text)

    def _write(self, level: str, code: str, text: str) -> None:
        if LEVELS.index(level) < self._level:
            return
        frame = sys._getframe(2)
        place = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        now = time.time()
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now)) + f".{int(now * 1e6) % 1000000:06d}"
        head = f"[{moment}]"
        if self._verbose:
            head += f" [{os.getpid()}] [{threading.get_native_id()}] [{self._component}]"
        line = f"{head} [{level.upper()}] [{place}] : " + (f"[{code}] " if code else "") + text + "\n"
        with self._lock:
            if self._to_stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
            if self._path is not None:
                fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
                with os.fdopen(fd, "a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(line)


def debug_directory(environ: Mapping[str, str]) -> Path:
    """The directory of the debug logs, made with mode 750. Raises LogDirectoryError where the real logger throws."""
    base = _base(environ)
    for name in ("debug", "security"):
        directory = base / name
        if directory.is_dir():
            facts = directory.stat()
            # Source 4.1 step 1: wider than 750 or somebody else's: an uncaught exception.
            if stat.S_IMODE(facts.st_mode) & ~0o750:
                raise LogDirectoryError(f"Log directory {directory} has a mode wider than 750.")
            if facts.st_uid != os.getuid():
                raise LogDirectoryError(f"Log directory {directory} is owned by uid {facts.st_uid}.")
            continue
        try:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise LogDirectoryError(f"Log directory {directory} cannot be made: {error}") from error
    return base / "debug"


def _base(environ: Mapping[str, str]) -> Path:
    chosen = environ.get("MINDIE_LOG_PATH", "")
    if chosen.startswith("/"):
        return Path(chosen) / "log"
    home = environ.get("HOME", "")
    if not home:
        raise LogDirectoryError("HOME is not set, and the log path is relative to it.")
    return Path(home) / "mindie" / "log" / chosen


def _switch(environ: Mapping[str, str], name: str, component: str, *, default: bool) -> bool:
    return SWITCHES.get(_chosen(environ.get(name, ""), component).lower(), default)


def _chosen(value: str, component: str) -> str:
    """The value for `component` of "llm: info; server: warn; *: info" or of a plain "info"; the last match wins."""
    result = ""
    for part in value.split(";"):
        key, colon, setting = part.partition(":")
        if not colon:
            result = key.strip() or result
        elif key.strip() in (component, "*"):
            result = setting.strip()
    return result

"""Things that are made once per machine: each under a key of what went into it, whole or not there at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SETTING = "MINDIE_DEPLOY_SIMULATOR_CACHE"
DAY_SECONDS = 24 * 3600.0
SYSTEM_DIRECTORY = Path("/var/cache/mindie-deploy-simulator")


def cache_directory() -> Path:
    """Where cached things lie: the setting, or a system directory for root, or the user's cache directory."""
    if setting := os.environ.get(SETTING):
        return Path(setting).expanduser().resolve()
    if os.geteuid() == 0:
        return SYSTEM_DIRECTORY
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "mindie-deploy-simulator"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; waits for another holder. The lock ends with the process, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def made_once(directory: Path, name: str, make: Callable[[Path], None]) -> Path:
    """The file or directory `name`, made by `make(path)` at a place beside it and renamed when it is complete.

    Several processes may ask at once: one makes it, the others wait. A failed or killed attempt leaves nothing that a
    later one would take for complete.
    """
    target = directory / name
    if target.exists():
        return target
    with locked(directory / f".{name}.lock"):
        if target.exists():
            return target
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=directory) as room:
            beside = Path(room) / name
            make(beside)
            beside.rename(target)
    return target


def forget_others(directory: Path, pattern: str, keep: str, days: float, now: float | None = None) -> None:
    """Remove other versions of a cached thing that nobody has asked for in some days; `keep` was asked for now.

    A younger one may belong to another checkout, or be mounted by hosts that are up.
    """
    moment = time.time() if now is None else now
    os.utime(directory / keep, (moment, moment))
    for path in directory.glob(pattern):
        if path.name != keep and moment - path.stat().st_mtime > days * DAY_SECONDS:
            path.unlink(missing_ok=True)


def key_of(*parts: str) -> str:
    """12 hexadecimal digits for what goes into a thing."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def key_of_tree(directory: Path) -> str:
    """Key of the names and contents of all source files below a directory."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(directory)}\0{path.stat().st_mode & 0o111}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]

"""/dev/shm: the room that is asked for at the start, and the files that a killed daemon leaves (source 4.1, 4.3)."""

from __future__ import annotations

import os
from pathlib import Path

SHM = Path("/dev/shm")
BYTES_PER_DP = 656 * 1024 * 1024 + 1024


class SharedMemoryError(Exception):
    """No room, or no directory: the start is refused with 137 (source 4.1 step 3)."""


def check(local_dp: int, free_mib: int | None) -> None:
    """Raises SharedMemoryError unless 656 MiB + 1 KiB are free per local dp rank. `free_mib` stands in for the real."""
    if SHM.is_symlink() or not SHM.is_dir():
        raise SharedMemoryError("/dev/shm is not a directory, or a link.")
    facts = os.statvfs(SHM)
    free = facts.f_bavail * facts.f_frsize if free_mib is None else free_mib * 1024 * 1024
    wanted = BYTES_PER_DP * max(1, local_dp)
    if free < wanted:
        raise SharedMemoryError(f"The shared memory is not enough: {free} bytes are free, {wanted} are needed.")


def create(workers: int) -> list[Path]:
    """The files of this daemon: one a worker and the tokenizers' pool, small here."""
    own = os.getpid()
    paths = [SHM / f"mindie_llm_backend_{own}_{index}" for index in range(workers)]
    paths.append(SHM / f"llm_tokenizer_shared_memory_{own}")
    for path in paths:
        path.write_bytes(b"\0" * 1024)
        path.chmod(0o600)
    return paths


def remove(paths: list[Path]) -> None:
    """Takes the files away again, on every end but SIGKILL."""
    for path in paths:
        path.unlink(missing_ok=True)

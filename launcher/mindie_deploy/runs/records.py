"""The record of a run: a directory of its own, readable by its owner only, that outlives the run.

<state home>/mindie-deploy/runs/20261124T220140Z-up-3fa9c1/
  run.json        what was asked for, with which versions, how it ended
  ansible.log     what Ansible printed
  events.jsonl    one event a line
  <host>.log      what the daemon of a host printed before a failed start was cleaned up
  private/        ansible-runner's working files; gone when the run has ended
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from mindie_deploy.errors import UsageError
from mindie_deploy.runs.redaction import Redactor
from mindie_deploy.runs.whole_file import write_whole

KEPT_RUNS = 100
PRIVATE = "private"


def runs_directory(environment: Mapping[str, str] | None = None) -> Path:
    """Returns the directory of all records: below $XDG_STATE_HOME, by default ~/.local/state."""
    given = (os.environ if environment is None else environment).get("XDG_STATE_HOME", "")
    base = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return base / "mindie-deploy" / "runs"


class RunRecord:
    """One run's directory. Everything that is written goes through the redactor."""

    def __init__(self, directory: Path, run_id: str, verb: str) -> None:
        self.directory, self.run_id, self.verb = directory, run_id, verb
        self.redact: Redactor = Redactor()
        self._notes: dict[str, object] = {}
        self._playbooks = 0

    @classmethod
    def create(cls, verb: str, root: Path | None = None) -> RunRecord:
        """Makes a new record. Raises UsageError when the state directory cannot be written."""
        root = root or runs_directory()
        run_id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{verb}-{secrets.token_hex(3)}"
        directory = root / run_id
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.mkdir(mode=0o700)
        except OSError as error:
            raise UsageError(
                f"the record of the run cannot be written: {error.filename}: {error.strerror}",
                "set XDG_STATE_HOME to a directory that you can write to",
            ) from error
        _tidy(root, directory)
        record = cls(directory, run_id, verb)
        record.note(run=run_id, verb=verb, pid=os.getpid(), started=time.time())
        return record

    @property
    def log(self) -> Path:
        """What Ansible printed, in full."""
        return self.directory / "ansible.log"

    @property
    def events(self) -> Path:
        """One event a line, as JSON."""
        return self.directory / "events.jsonl"

    def note(self, **values: object) -> None:
        """Adds to run.json, which is replaced as a whole so that a reader never sees half of it."""
        self._notes.update(values)
        self.write("run.json", json.dumps(self._notes, indent=2, default=str) + "\n")

    def write(self, name: str, text: str) -> Path:
        """Writes a small file of the record; one that is called .json must be JSON, and stays it. Returns its path."""
        redacted = f"{self.redact.json(text, indent=2).rstrip()}\n" if name.endswith(".json") else self.redact(text)
        path = self.directory / name
        write_whole(path, redacted.encode(), 0o600)
        return path

    def remove(self) -> None:
        """Removes the record, of a command that nobody will ask about later."""
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextlib.contextmanager
    def private_directory(self) -> Iterator[Path]:
        """Gives ansible-runner a directory that no other run has used, and removes it with all that is in it."""
        self._playbooks += 1
        directory = self.directory / PRIVATE / str(self._playbooks)
        directory.mkdir(mode=0o700, parents=True)
        (self.directory / PRIVATE).chmod(0o700)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            with contextlib.suppress(OSError):
                (self.directory / PRIVATE).rmdir()


def _tidy(root: Path, own: Path) -> None:
    """Removes the oldest records, and working files of launchers that were killed."""
    others = sorted((path for path in root.iterdir() if path.is_dir() and path != own), reverse=True)
    for index, path in enumerate(others):
        if index < KEPT_RUNS - 1 and not (path / PRIVATE).exists():
            continue
        if _is_alive(path):
            continue
        shutil.rmtree(path if index >= KEPT_RUNS - 1 else path / PRIVATE, ignore_errors=True)


def _is_alive(directory: Path) -> bool:
    """Tells whether the launcher that made a record still runs. A reused pid only delays the tidying."""
    try:
        pid = json.loads((directory / "run.json").read_text())["pid"]
        os.kill(int(pid), 0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return isinstance(error, PermissionError)
    return True

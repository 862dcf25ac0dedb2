"""The project's own exchange: an agent on each member, watched from outside until all files stand."""

from __future__ import annotations

import json
import math
import secrets
import shutil
import sys
import tempfile
import time
import zipapp
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .faults import Fault
from .lab import Lab
from .network import LabError, carried_by
from .outcome import Outcome
from .payload import File
from .process import Process

PACKAGE = Path(__file__).resolve().parents[2] / "plugins" / "mindie_exchange"
PORT = 11200
KIB = 1 << 10
END_S = 30.0  # after the last file stands, all agents must have told one another
POLL_S = 0.01
FIRST_SHARE = 0.005


def piece_size(size: int, members: int) -> int:
    """The piece size of a distribution, as the project chooses it."""
    return 1 << round(math.log2(min(max(size / (members * 4 * 200), 256 * KIB), 8192 * KIB)))


def pack(target: Path) -> None:
    """One file that runs the agent."""
    with tempfile.TemporaryDirectory() as made:
        shutil.copytree(PACKAGE, Path(made, PACKAGE.name), ignore=shutil.ignore_patterns("__pycache__"))
        Path(made, "__main__.py").write_text(f"import runpy\nrunpy.run_module('{PACKAGE.name}', run_name='__main__')\n")
        zipapp.create_archive(made, target)


@dataclass
class Agents:
    """All agents of one distribution. A fault may kill some and start them again."""

    lab: Lab
    lanes: int = 1
    python: str = sys.executable
    settings: dict[str, Any] = field(default_factory=dict)  # what a run changes in the plan
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    running: dict[int, Process] = field(default_factory=dict)
    before: dict[int, tuple[int, int]] = field(default_factory=dict)
    _done: dict[int, int] = field(default_factory=dict)  # member -> files that stand, of those in the payload's order

    @property
    def members(self) -> range:
        """All members, the source too."""
        return range(self.lab.net.members)

    def plan(self, member: int) -> dict[str, Any]:
        """What a member reads from its standard input."""
        payload, home = self.lab.payload, self.lab.home(member)
        files = [asdict(file) for file in payload.files]
        source = member == 0
        final = payload.directory if source else home / "final"
        return {
            "format": 1,
            "id": "1ab0" + self.secret[:12],
            "secret": self.secret,
            "me": f"m{member}",
            "members": [
                {"name": f"m{other}", "address": self.lab.net.address(other), "port": PORT, "dials": False}
                for other in self.members
            ],
            "files": files,
            "piece_size": piece_size(payload.size, self.lab.net.members),
            "lanes": self.lanes,
            "seeds": {"m0": list(range(len(files)))},
            "store": {
                "final": str(final),
                "incoming": str(self.incoming(member)),
                "complete": [file["name"] for file in files] if source else [],
                "read_only": source,
                "owner": None,
                "group": None,
            },
            "origin": None,
            "rate_limit": 0,
            "tls": None,
            "status_file": str(home / "status.json"),
            "lifetime": 86400,
            **self.settings,
        }

    def incoming(self, member: int) -> Path:
        """Where a member's files stand when they are proven."""
        return self.lab.home(member) / "final" / ".incoming"

    def start(self, member: int) -> None:
        """Starts a member's agent, also again."""
        (self.lab.home(member) / "final").mkdir(exist_ok=True)
        self._done.setdefault(member, 0)
        words = [self.python, str(self.lab.work / "agent.pyz")]
        self.running[member] = self.lab.start(member, words, json.dumps(self.plan(member)).encode())

    def start_all(self) -> None:
        """Packs the agent and starts it on all members."""
        if not (PACKAGE / "__main__.py").exists():
            raise LabError(f"there is no agent in {PACKAGE}")
        pack(self.lab.work / "agent.pyz")
        self.before = {member: self.lab.net.carried(member) for member in self.members}
        for member in self.members:
            self.start(member)

    def carried(self, member: int) -> tuple[int, int]:
        """Bytes that a member's link sent and received during this run."""
        now = (member in self.running and carried_by(self.running[member].pid)) or self.lab.net.carried(member)
        return now[0] - self.before[member][0], now[1] - self.before[member][1]

    def is_complete(self, member: int) -> bool:
        """Whether all files stand. A file that stood once is not looked at again, so this costs next to nothing."""
        files: Sequence[File] = self.lab.payload.files
        while self._done[member] < len(files):
            if not (self.incoming(member) / files[self._done[member]].name).exists():
                return False
            self._done[member] += 1
        return True

    def check(self) -> None:
        """Raises LabError when an agent ended badly that no fault killed."""
        for process in self.running.values():
            if process.ended() and process.code != 0:
                raise LabError(
                    f"the agent of m{process.member} ended with {process.code}; its log ends:\n{process.tail()}"
                )

    def states(self) -> str:
        """What the agents last said of themselves, for a run that failed."""
        lines = []
        for member in self.members:
            path = self.lab.home(member) / "status.json"
            lines.append(f"m{member}: {path.read_text() if path.exists() else '(no status)'}")
            lines.append(self.running[member].tail() if member in self.running else "(killed)")
        return "\n".join(lines)


def run(lab: Lab, method: str = "agents", faults: Sequence[Fault] = (), **settings: Any) -> Outcome:
    """One distribution; `settings` are fields of `Agents`. Raises LabError when it fails, hangs or a file is wrong."""
    outcome = lab.outcome(method)
    lab.clear()
    agents = Agents(lab, **settings)
    with lab.counted(outcome):
        began = time.monotonic()
        agents.start_all()
        missing = set(lab.receivers)
        while missing or any(fault.under_way for fault in faults):
            passed = time.monotonic() - began
            if passed > lab.timeout:
                raise LabError(f"{method}: not complete after {passed:.0f} s\n{agents.states()}")
            if not outcome.started and agents.carried(0)[0] >= FIRST_SHARE * lab.payload.size:
                outcome.started = passed
            for fault in faults:
                fault.tick(agents)
            for member in [member for member in missing if agents.is_complete(member)]:
                outcome.complete[member] = time.monotonic() - began
                missing.discard(member)
            agents.check()
            time.sleep(POLL_S)
        for process in agents.running.values():
            process.wait(END_S)
            process.succeeded()
        outcome.ended = time.monotonic() - began
    for fault in faults:
        fault.happened()
    lab.prove("final/.incoming")
    return outcome

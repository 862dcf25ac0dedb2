"""Real agents on loopback that exchange a small model, and what tests do to them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mindie_exchange import journal

HERE = Path(__file__).parent
PLUGINS = HERE.parents[1] / "plugins"
KIB = 1024
PIECE = 64 * KIB
PATIENCE_S = 60.0


def noise(name: str, size: int) -> bytes:
    """Bytes that nothing else is equal to."""
    return random.Random(name).randbytes(size)


def shards(total: int = 4 * KIB * KIB, count: int = 3) -> dict[str, bytes]:
    """A model: some shards, small files beside them, an empty one, and names as people give them."""
    model = {f"model-{i}-of-{count}.safetensors": noise(f"shard {i}", total // count + i) for i in range(count)}
    model |= {"config.json": b"{}", "empty": b"", "sub/name with spaces.txt": noise("spaces", 3000)}
    model["词表-ä.json"] = noise("letters", 777)
    return model


class Member:
    """One agent: its directories and its process."""

    def __init__(self, base: Path, index: int, address: str) -> None:
        self.name, self.address = f"m{index}", address
        self.port = free_port(address)
        self.final, self.incoming = base / self.name / "final", base / self.name / "final" / ".incoming"
        self.status_file, self.log = base / self.name / "status.json", base / f"{self.name}.log"
        self.final.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.complete: set[str] = set()
        self.changes: dict[str, Any] = {}

    @property
    def status(self) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, Any] = json.loads(self.status_file.read_text())
            return found
        return {}

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def lanes(self) -> list[int]:
        """The processes of the lanes."""
        return [int(one) for one in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def arrived_bytes(self) -> int:
        """What the journals tell, which is known sooner than the status."""
        return sum(one.length for rows in journal.read(str(self.incoming)).values() for one in rows)

    def kill(self, lane: int | None = None) -> None:
        """kill -9 of the agent, or of one of its lanes, if any is left."""
        assert self.process is not None
        if lane is None:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait(10)
            return
        lanes = self.lanes
        if lanes:
            os.kill(lanes[lane % len(lanes)], signal.SIGKILL)

    def signal(self, number: int) -> None:
        """To the agent and all its lanes."""
        os.killpg(self.pid, number)

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """Returns the exit status."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end: {self.status}\n{self.log.read_text()}") from None


class Swarm:
    """Members that exchange `model`; m0 has everything unless `seeds` says otherwise."""

    def __init__(
        self,
        base: Path,
        model: Mapping[str, bytes],
        members: int = 3,
        lanes: int = 1,
        rate: int = 0,
        seeds: Mapping[int, Sequence[str]] | None = None,
        python: str = sys.executable,
        constants: Mapping[str, float] | None = None,
        **plan: Any,
    ) -> None:
        self.base, self.model, self.python = base, dict(sorted(model.items())), python
        self.names = list(self.model)
        self.size = sum(map(len, model.values()))
        self.secret = secrets.token_hex(32)
        self.common: dict[str, Any] = {"piece_size": PIECE, "lanes": lanes, "rate_limit": rate, **plan}
        self.constants = dict(constants or {})
        # (caller, called): where the caller is sent instead
        self.routes: dict[tuple[int, int], tuple[str, int]] = {}
        network = f"127.{random.randrange(1, 255)}.{random.randrange(256)}"
        self.members = [Member(base, index, f"{network}.{index + 1}") for index in range(members)]
        for index, names in ({0: self.names} if seeds is None else seeds).items():
            self.members[index].complete = set(names)
            for name in names:
                write(self.members[index].final / name, self.model[name])

    def __getitem__(self, index: int) -> Member:
        return self.members[index]

    @property
    def receivers(self) -> list[Member]:
        return [member for member in self.members if len(member.complete) < len(self.names)]

    def plan(self, member: Member) -> dict[str, Any]:
        lists = {one.name: [self.names.index(name) for name in sorted(one.complete)] for one in self.members}
        return {
            "format": 1,
            "id": "ab",
            "secret": self.secret,
            "me": member.name,
            "members": [self.listed(one, member) for one in self.members],
            "files": [
                {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in self.model.items()
            ],
            "seeds": {name: indices for name, indices in lists.items() if indices},
            "store": {
                "final": str(member.final),
                "incoming": str(member.incoming),
                "complete": sorted(member.complete),
                "read_only": member not in self.receivers,
                "owner": None,
                "group": None,
            },
            "origin": None,
            "tls": None,
            "status_file": str(member.status_file),
            "lifetime": 300,
            **self.common,
            **member.changes,
        }

    def listed(self, one: Member, caller: Member) -> dict[str, Any]:
        """A member as another one sees it."""
        way = (self.members.index(caller), self.members.index(one))
        address, port = self.routes.get(way, (one.address, one.port))
        return {"name": one.name, "address": address, "port": port, "dials": False}

    def start(self, *members: Member) -> None:
        """Starts these members' agents, or all."""
        for member in members or self.members:
            member.status_file.unlink(missing_ok=True)
            environment = {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(PLUGINS),
                "PYTHONDONTWRITEBYTECODE": "1",
                "EXCHANGE_CONSTANTS": json.dumps(self.constants),
                "PYTHONUTF8": "1",
            }
            with member.log.open("wb") as log:
                member.process = subprocess.Popen(
                    [self.python, str(HERE / "agent_driver.py")],
                    stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True,
                )  # fmt: skip
            assert member.process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                member.process.stdin.write(json.dumps(self.plan(member)).encode())
                member.process.stdin.close()

    def until(self, what: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        """Waits until something is so."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, self.told()
            time.sleep(0.01)

    def until_share(self, member: Member, share: float) -> None:
        """Waits until a member has this share of what is exchanged."""
        self.until(lambda: member.arrived_bytes() >= share * self.size)

    def told(self) -> str:
        """What the agents say, for a test that failed."""
        return "\n".join(f"{one.name}: {one.status}\n{one.log.read_text()[-3000:]}" for one in self.members)

    def finish(self, *members: Member) -> None:
        """Waits until these members end well, or all; everything must be right then."""
        for member in members or self.members:
            assert member.wait() == 0, self.told()
        for member in members or self.members:
            assert not member.log.read_text(), member.log.read_text()
        for member in members or self.receivers:
            self.check_whole(member)

    def check_whole(self, member: Member) -> None:
        self.check_names(member)
        for name in set(self.names) - member.complete:
            assert (member.incoming / name).exists(), f"{name} is not at {member.name}\n{self.told()}"

    def check_names(self, member: Member) -> None:
        """Nothing wrong has the name of a proven file."""
        for name, content in self.model.items():
            if name not in member.complete and (member.incoming / name).exists():
                assert (member.incoming / name).read_bytes() == content, (
                    f"{name} is wrong at {member.name}\n{self.told()}"
                )

    def sent_to(self, member: Member) -> int:
        """What all others sent to a member, as they count it."""
        return sum(
            one.status["peers"].get(member.name, {"sent": 0})["sent"] for one in self.members if one is not member
        )

    def end(self) -> None:
        """Ends what still runs."""
        for member in self.members:
            if member.process is not None and member.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    member.signal(signal.SIGKILL)
                member.process.wait(10)


@contextlib.contextmanager
def swarming(base: Path, model: Mapping[str, bytes], **settings: Any) -> Iterator[Swarm]:
    """A swarm whose agents are gone at the end."""
    swarm = Swarm(base, model, **settings)
    try:
        yield swarm
    finally:
        swarm.end()


def free_port(address: str) -> int:
    with socket.socket() as sock:
        sock.bind((address, 0))
        port: int = sock.getsockname()[1]
        return port


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def flip(path: Path, offset: int) -> None:
    """Changes one bit of a file."""
    with path.open("r+b") as handle:
        handle.seek(offset)
        byte = handle.read(1)[0]
        handle.seek(offset)
        handle.write(bytes([byte ^ 4]))

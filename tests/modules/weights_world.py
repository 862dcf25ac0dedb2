"""A model to bring and a host to bring it to; what arrives there is put where the exchange would put it."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mindie_deploy.weights.exchange import Exchange, Participant, Place, agent_archive
from mindie_deploy.weights.manifest import Manifest
from tests.modules.module_runner import PLUGINS, run

sys.path.append(str(PLUGINS))
from mindie_exchange.journal import Journal

# Found by the path that the runner of modules has made.
STATE = importlib.import_module("ansible.module_utils.mindie_weights_state")
identity = STATE.identity
SECRET = "5e" * 32
ROOT = PLUGINS.parent


def content_of(name: str, size: int) -> bytes:
    seed = hashlib.sha256(name.encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


class World:
    """The directories of one host."""

    def __init__(self, base: Path, sizes: dict[str, int]) -> None:
        self.base = base
        self.final, self.state = base / "models" / "model", base / "state"
        self.incoming = base / "models" / ".model.incoming"
        self.status_file = self.state / "weights" / "status.json"
        base.mkdir(exist_ok=True)
        self.contents = {name: content_of(name, size) for name, size in sizes.items()}

    @property
    def manifest(self) -> dict[str, Any]:
        rows = [
            {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(self.contents.items())
        ]
        return {"files": rows}

    # mindie_weights_place

    def arguments(self, state: str, **changes: Any) -> dict[str, Any]:
        values = {
            "state": state,
            "directory": str(self.final),
            "state_directory": str(self.state),
            "manifest": self.manifest,
            "host": "host2",
        }
        return {**values, **changes}

    def place(self, state: str, check: bool = False, **changes: Any) -> dict[str, Any]:
        return run("mindie_weights_place", check=check, **self.arguments(state, **changes))

    def start(self, state: str, **changes: Any) -> subprocess.Popen[bytes]:
        """Starts the module in a process of its own; it prints its result."""
        code = "import sys, json; from tests.modules.module_runner import run; "
        code += "print(json.dumps(run('mindie_weights_place', **json.load(sys.stdin))))"
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(self.arguments(state, **changes)).encode())
        process.stdin.close()
        process.stdin = None
        return process

    def deliver(self, *names: str, proof: bool = True) -> None:
        """Does what the exchange does: proven files in the hidden directory, and their proof beside them."""
        for name in names or self.contents:
            path = self.incoming / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.contents[name])
            path.chmod(0o640)
            key = identity(path.stat())
            if proof:
                with (self.incoming / STATE.PROVEN).open("a") as notes:
                    notes.write(f"{key}\t{hashlib.sha256(self.contents[name]).hexdigest()}\t{name}\n")

    def arrive(self, name: str, *ranges: tuple[int, int]) -> Path:
        """Makes a partial file of which the journal knows these ranges, as (offset, length)."""
        path = self.incoming / f"{name}.partial"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "wb") as out:
            for offset, length in ranges:
                out.seek(offset)
                out.write(self.contents[name][offset : offset + length])
        journal = Journal(str(self.incoming / ".pieces.0"))
        journal.note((name, offset, length, 0) for offset, length in ranges)
        journal.close()
        return path

    def bring(self, **changes: Any) -> dict[str, Any]:
        """Brings everything that lacks; returns what the publishing said."""
        prepared = self.place("prepared", **changes)
        assert not prepared.get("failed"), prepared
        self.deliver(*(row["name"] for row in prepared["missing"]))
        return self.place("published", **changes)

    def at_final(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.final).as_posix(): path.read_bytes()
            for path in self.final.rglob("*")
            if path.is_file()
        }

    # mindie_weights_exchange

    def exchange(self, state: str, check: bool = False, **more: Any) -> dict[str, Any]:
        where = {"state_directory": str(self.state), "status_file": str(self.status_file)}
        return run("mindie_weights_exchange", check=check, state=state, **where, **more)

    def start_agent(self, plan: Any, **more: Any) -> dict[str, Any]:
        """Starts the agent with a plan (a mapping, or any text)."""
        text = plan if isinstance(plan, str) else json.dumps(plan)
        return self.exchange("started", agent=AGENT, plan=text, **more)

    def wait_for(self, reached: Callable[[dict[str, Any]], Any], patience: float = 90.0) -> dict[str, Any]:
        """Waits until the agent's status says what it should; returns it."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            shown = self.exchange("status")
            status: dict[str, Any] = shown["status"]
            assert status.get("state") != "failed", status
            if reached(status):
                return status
            time.sleep(0.02)
        raise AssertionError(f"the agent did not come so far: {shown}")


AGENT = base64.b64encode(agent_archive(PLUGINS)).decode()


def whole(status: dict[str, Any]) -> bool:
    return status.get("state") in ("serving", "done")


def exchange_of(port: int, complete: dict[str, World], lacking: dict[str, World], **more: Any) -> Exchange:
    """Returns the exchange of these hosts, each with an address of its own in 127.0.0.0/8."""
    hosts = {**complete, **lacking}
    manifest = Manifest.of(next(iter(hosts.values())).manifest["files"])
    participants = [
        Participant(
            name=name,
            address=f"127.0.0.{number}",
            place=Place(
                final=str(world.final),
                incoming="" if name in complete else str(world.incoming),
                complete=frozenset(world.contents) if name in complete else frozenset(),
                read_only=name in complete,
            ),
            status_file=str(world.status_file),
        )
        for number, (name, world) in enumerate(hosts.items(), 2)
    ]
    return Exchange(manifest, tuple(participants), port=port, secret=SECRET, lifetime=120, **more)


def killed_at(step: int, names: tuple[str, ...], work: Callable[[], Any]) -> bool:
    """Does the work in a process that is killed at the step-th call of these functions of os; False: it got through."""
    pid = os.fork()
    if not pid:
        calls = 0

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **options)

            return call

        try:
            for name in names:
                setattr(os, name, counted(getattr(os, name)))
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])

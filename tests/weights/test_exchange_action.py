"""The action mindie_exchange with a connection that is none: the way to a host, and the wait for an agent."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from mindie_deploy.weights.watch import LOST_AFTER_S, ExchangeError

PLUGIN = Path(__file__).resolve().parents[2] / "plugins" / "action" / "mindie_exchange.py"


@pytest.fixture(scope="module")
def plugin() -> Any:
    specification = importlib.util.spec_from_file_location("mindie_exchange_action", PLUGIN)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Connection:
    """What the action uses of Ansible's ssh connection."""

    transport, host = "ssh", "host2.example"

    def __init__(self, **options: Any) -> None:
        self.options = {"password": None, "ssh_executable": "/usr/bin/ssh", **options}

    def get_option(self, name: str) -> Any:
        return self.options[name]

    def _build_command(self, binary: str, subsystem: str, *words: str) -> list[bytes]:
        return [word.encode() for word in (binary, "-C", *words)]


class Clock:
    """A clock that goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Host:
    """Answers of a host, one after the other; the last one again and again."""

    def __init__(self, plugin: Any, monkeypatch: pytest.MonkeyPatch, answers: Sequence[Any], running: bool) -> None:
        self.answers, self.running = list(answers), running
        self.asked: list[str] = []
        self.shown: list[dict[str, Any]] = []
        self.warned: list[str] = []
        self.clock = Clock()
        action = self.action = object.__new__(plugin.ActionModule)
        action._member = "host2"
        action._settings = {"weights_port": 11200}
        action._arguments = {
            "what": "the weights",
            "time_limit": 172800,
            "state_directory": "/var/lib/mindie-deploy",
            "source": "host:host1:/data/model",
            "source_status_file": "",
            "members": [{"name": "host2", "status_file": "/var/lib/mindie-deploy/weights/a b.json"}],
        }
        action._vars = {}
        monkeypatch.setattr(plugin, "time", self.clock)
        monkeypatch.setattr(action, "_low_level_execute_command", self.command, raising=False)
        monkeypatch.setattr(action, "_execute_module", self.module, raising=False)
        monkeypatch.setattr(action, "_start", lambda: self.asked.append("start") or {}, raising=False)
        monkeypatch.setattr(plugin.display, "display", self.show)
        monkeypatch.setattr(plugin.display, "warning", self.warned.append)

    def show(self, text: str) -> None:
        self.shown.append(json.loads(text.removeprefix("mindie-deploy: ")))

    def command(self, command: str) -> dict[str, str]:
        assert "'/var/lib/mindie-deploy/weights/a b.json'" in command
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {"stdout": answer if isinstance(answer, str) else f"{json.dumps(answer[0])}\n{answer[1]}\n"}

    def module(self, module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        assert module_name == "mindie_weights_exchange"
        self.asked.append(module_args["state"])
        return {"running": self.running, "log": "Killed"}

    def wait(self) -> dict[str, Any]:
        result: dict[str, Any] = self.action._wait()
        return result


@pytest.fixture
def host(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def make(*answers: Any, running: bool = True) -> Host:
        return Host(plugin, monkeypatch, answers, running)

    yield make


def status(done: int, state: str = "exchanging", **more: Any) -> dict[str, Any]:
    return {"state": state, "bytes": 100, "bytes_done": done, "received": done, "rate": 1, **more}


DONE = (status(100, "serving", warnings=["a lane was started again"]), 0)
AWAY = AnsibleConnectionFailure("ssh: connect to host 10.0.0.2 port 22: No route to host")


def test_it_waits_until_everything_is_there_and_shows_how_far_it_is(host: Any) -> None:
    found = host("", *[(status(n), 0) for n in range(0, 100, 10)], DONE)
    result = found.wait()
    assert result["status"]["bytes_done"] == 100
    assert [line["host"] for line in found.shown] == ["host2"] * len(found.shown)
    assert found.shown[0]["message"].startswith("bringing the weights: 0 % of 100 bytes")
    assert len(found.shown) < 11, "not every look is shown"
    assert found.warned == ["host2: a lane was started again"]
    assert found.asked == []


def test_one_that_is_silent_is_asked_and_left_alone_while_it_runs(host: Any) -> None:
    found = host((status(1), 60), (status(1), 60), DONE)
    found.wait()
    assert found.asked == ["status", "status"]


def test_one_that_was_killed_is_started_again(host: Any) -> None:
    found = host((status(1), 60), (status(2), 0), (status(2, "stopped"), 0), DONE, running=False)
    found.wait()
    assert found.asked.count("start") == 2
    assert sum("killed; it is started again" in text for text in found.warned) == 2


def test_one_that_is_killed_again_and_again_ends_it_with_its_last_words(host: Any) -> None:
    found = host((status(1), 60), running=False)
    with pytest.raises(ExchangeError, match="Killed"):
        found.wait()


@pytest.mark.parametrize("garbage", ["", "damaged\n3\n", "[]\n3\n", '{"state": "done"}', "\n\n", '{"a": 1}\nx\n'])
def test_what_is_no_status_is_none(host: Any, garbage: str) -> None:
    found = host(garbage, DONE)
    assert found.wait()["status"]["bytes_done"] == 100
    assert len(found.shown) == 1


def test_a_host_that_is_away_for_a_while_is_waited_for(host: Any) -> None:
    found = host((status(1), 0), AWAY, AWAY, AWAY, DONE)
    found.wait()
    assert sum("host2 does not answer; its transfer may go on" in text for text in found.warned) == 3


def test_a_host_that_stays_away_ends_it(host: Any) -> None:
    found = host((status(1), 0), AWAY)
    with pytest.raises(AnsibleConnectionFailure):
        found.wait()
    assert found.clock.now - 1000.0 > LOST_AFTER_S


@pytest.mark.parametrize(("address", "target"), [("10.0.0.2", "10.0.0.2:11200"), ("fd00::2", "[fd00::2]:11200")])
def test_the_way_to_a_host_is_ansibles_own_connection(host: Any, address: str, target: str) -> None:
    action = host("").action
    action._vars = {"mindie_hosts": [{"name": "host2", "address": "192.0.2.1", "weights_address": address}]}
    action._connection = Connection()
    assert action._way() == ["/usr/bin/ssh", "-C", "-W", target, "host2.example"]
    action._connection = Connection(password="secret")
    assert action._way() == [], "ssh would ask for it, and nobody is there"
    action._connection.transport = "local"
    assert action._way() == []


def test_the_agent_beside_the_source_is_looked_at_too(plugin: Any, host: Any, tmp_path: Path) -> None:
    waiting = host((status(1), 0))
    beside = tmp_path / "beside.json"
    beside.write_text(json.dumps({"state": "serving", "pid": 2**22 + 1}))
    waiting.action._arguments.update(source="controller:/data/model", source_status_file=str(beside))
    with pytest.raises(plugin.ExchangeError, match="controller is gone"):
        waiting.wait()
    beside.write_text(json.dumps({"state": "failed", "message": "it became shorter"}))
    with pytest.raises(plugin.ExchangeError, match="it became shorter"):
        waiting.wait()

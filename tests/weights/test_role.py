"""The role weights, run by ansible-playbook on three hosts that are directories and loopback addresses of this machine.

Linux answers on all of 127.0.0.0/8, so the agents of the hosts really talk to one another over TCP.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.cluster.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ("host1", "host2", "host3")
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)


def safetensors(name: str, dtype: str, size: int) -> bytes:
    numbers = size // {"BF16": 2, "F8_E4M3": 1}[dtype]
    header = {name: {"dtype": dtype, "shape": [numbers], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + (name.encode() * size)[:size]


def make_model(directory: Path, dtype: str = "BF16", size: int = 300_000) -> dict[str, bytes]:
    configuration: dict[str, Any] = {"model_type": "deepseek_v3", "torch_dtype": "bfloat16"}
    if dtype != "BF16":
        configuration["quantization_config"] = {"quant_method": "fp8"}
    contents = {
        SHARDS[0]: safetensors("a", dtype, size),
        SHARDS[1]: safetensors("b", dtype, 200_002),
        "model.safetensors.index.json": json.dumps({"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}).encode(),
        "config.json": json.dumps(configuration).encode(),
        **dict.fromkeys(("generation_config.json", "tokenizer.json", "tokenizer_config.json"), b"{}"),
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return contents


@dataclass(frozen=True)
class Outcome:
    """What a run printed, and the counters of its recap by host."""

    text: str
    status: int

    def counted(self, column: int) -> dict[str, int]:
        return {found[0]: int(found[column]) for found in RECAP.findall(self.text)}

    @property
    def changed(self) -> dict[str, int]:
        assert self.status == 0, self.text
        return self.counted(2)


class Cluster:
    """Three hosts below one directory, and the playbook that the role needs around it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = self.port = probe.getsockname()[1]
        settings = {
            **Settings.from_variables({}).model_dump(mode="json"),
            "model_path": f"{base}/{{{{ inventory_hostname }}}}/models/DeepSeek-R1-BF16",
            "state_directory": f"{base}/{{{{ inventory_hostname }}}}/state",
            "weights_source": "{{ source }}",
            "weights_port": port,
            "weights_rate_limit": "{{ rate | default(0) }}",
            "weights_encrypt": "{{ encrypt | default(false) }}",
            "container_user": "0:0",
        }
        hosts = [
            {"name": name, "address": "192.0.2.1", "rank": rank, "weights_address": f"127.0.0.{rank + 2}"}
            for rank, name in enumerate(HOSTS)
        ]
        play = {
            "hosts": "mindie",
            "gather_facts": False,
            "any_errors_fatal": True,
            "tasks": [
                {"ansible.builtin.set_fact": {"mindie_settings": settings, "mindie_hosts": hosts}},
                {"ansible.builtin.import_role": {"name": "weights"}},
            ],
        }
        variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        outside = {"storage": {**variables, "mindie_weights_address": "127.0.0.9"}}
        inventory = {
            "mindie": {"hosts": {name: {} for name in HOSTS}, "vars": variables},
            "others": {"hosts": outside},
        }
        (base / "bin").mkdir()
        self.write_engine("")
        (base / "play.yml").write_text(json.dumps([play]))
        (base / "hosts.yml").write_text(json.dumps(inventory))

    def write_engine(self, mount: str) -> None:
        """Makes the engine of all hosts: with a mount, it runs a container that has it."""
        said = f"ps) echo 1 ;; inspect) printf '/model\\t[\"{mount}\"]\\n' ;;" if mount else ""
        engine = self.base / "bin" / "docker"
        engine.write_text(f'#!/bin/sh\ncase "$1" in {said} esac\n')
        engine.chmod(0o755)

    def place(self, host: str) -> Path:
        return self.base / host / "models" / "DeepSeek-R1-BF16"

    def contents(self, host: str) -> dict[str, bytes]:
        return (
            {path.name: path.read_bytes() for path in self.place(host).iterdir()} if self.place(host).exists() else {}
        )

    def start(self, source: str, *arguments: str, **variables: Any) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.base / "hosts.yml")]
        command += [str(self.base / "play.yml"), "-e", json.dumps({"source": source, **variables}), *arguments]
        environment = {
            **os.environ,
            "XDG_STATE_HOME": str(self.base / "controller"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "PATH": f"{self.base}/bin:{os.environ['PATH']}",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_ASYNC_DIR": str(self.base / "async"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
        }
        return subprocess.Popen(
            command, cwd=self.base, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def outcome(self, process: subprocess.Popen[str]) -> Outcome:
        text = process.communicate(timeout=300)[0]
        # No agent may be left, whatever the outcome.
        for state in (
            *(self.base / host / "state" for host in (*HOSTS, "storage")),
            self.base / "controller" / "mindie-deploy",
        ):
            assert not list(state.glob("weights/exchange.pid")), text
            assert not list(state.glob("weights/exchange-*")), text
        return Outcome(text, process.returncode)

    def sync(self, source: str, *arguments: str, **variables: Any) -> Outcome:
        return self.outcome(self.start(source, *arguments, **variables))

    def progress(self, host: str) -> dict[str, Any]:
        """Returns what the agent of a host wrote last."""
        for path in (self.base / host / "state" / "weights").glob("*.progress.json"):
            found: dict[str, Any] = json.loads(path.read_text())
            return found if "pid" in found else {}
        return {}


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def flip(path: Path) -> None:
    """Changes one byte; size and modification time stay."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def whole(cluster: Cluster, contents: Mapping[str, bytes]) -> bool:
    return all(cluster.contents(host) == contents for host in HOSTS)


def test_from_the_controller_to_all_hosts_and_again(cluster: Cluster) -> None:
    contents = make_model(cluster.base / "model")
    source = f"controller:{cluster.base}/model"

    looked = cluster.sync(source, "--check", "--diff")
    assert set(looked.changed.values()) == {1}, looked.text
    assert SHARDS[1] in looked.text
    assert not any(cluster.place(host).exists() for host in HOSTS)

    records = cluster.base / "record"
    records.mkdir()
    first = cluster.sync(source, "-vvv", mindie_deploy_record_directory=str(records))
    assert set(first.changed) == set(HOSTS), first.text
    assert min(first.changed.values()) >= 1
    assert whole(cluster, contents)
    assert json.loads((records / "weights-manifest.json").read_text())["total_bytes"] == sum(
        map(len, contents.values())
    )
    known = {hashlib.sha256(content).hexdigest() for content in contents.values()}
    known.add(json.loads((records / "weights-manifest.json").read_text())["digest"])
    assert set(re.findall(r"(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])", first.text)) <= known, (
        "the secret was printed"
    )

    again = cluster.sync(source)
    assert set(again.changed.values()) == {0}, again.text
    assert set(cluster.sync(source, "--check").changed.values()) == {0}

    flip(cluster.place("host3") / SHARDS[1])
    looked = cluster.sync(source, "--check")
    assert set(looked.changed.values()) == {0}, "nothing is read in check mode, and the size is right"
    mended = cluster.sync(source)
    assert mended.changed == {"host1": 0, "host2": 0, "host3": 1}, mended.text
    assert whole(cluster, contents)

    flip(cluster.base / "model" / SHARDS[0])
    refused = cluster.sync(source)
    assert refused.status != 0
    assert f"{SHARDS[0]} at {cluster.base}/model on the controller is not what it was" in refused.text
    assert whole(cluster, contents)
    meant = cluster.sync(source, weights_accept_changed_source=True)
    assert min(meant.changed.values()) == 1
    assert whole(cluster, {path.name: path.read_bytes() for path in (cluster.base / "model").iterdir()})


def test_fp8_is_refused_before_a_byte_moves(cluster: Cluster) -> None:
    make_model(cluster.base / "model", "F8_E4M3")
    for arguments in (("--check",), ()):
        refused = cluster.sync(f"controller:{cluster.base}/model", *arguments)
        assert refused.status != 0
        assert "[model-fp8]" in refused.text
        assert not any(cluster.place(host).parent.exists() for host in HOSTS)


def test_from_one_of_the_hosts(cluster: Cluster) -> None:
    contents = make_model(cluster.base / "elsewhere")
    first = cluster.sync(f"host:host2:{cluster.base}/elsewhere")
    assert min(first.changed.values()) >= 1
    assert whole(cluster, contents)
    assert set(cluster.sync(f"host:host2:{cluster.base}/elsewhere").changed.values()) == {0}
    shutil.rmtree(cluster.place("host1"))
    at_its_place = cluster.sync(f"host:host3:{cluster.place('host3')}")
    assert at_its_place.changed == {"host1": 1, "host2": 0, "host3": 0}, at_its_place.text
    assert whole(cluster, contents)


def test_from_a_host_that_is_none_of_the_deployment(cluster: Cluster) -> None:
    contents = make_model(cluster.base / "storage" / "model")
    source = f"host:storage:{cluster.base}/storage/model"
    # A delegated task has the variables of the host that delegates, and here each host has another directory.
    state = {"__weights_source_state_directory": str(cluster.base / "storage" / "state")}
    first = cluster.sync(source, **state)
    assert set(first.changed) == set(HOSTS), first.text
    assert min(first.changed.values()) >= 1
    assert whole(cluster, contents)
    (told,) = (cluster.base / "storage" / "state" / "weights").glob("*.progress.json.exchange")
    assert json.loads(told.read_text())["sent"] < 2 * sum(map(len, contents.values())), "not to each host anew"
    assert set(cluster.sync(source, **state).changed.values()) == {0}


def test_from_a_host_that_a_limit_leaves_out(cluster: Cluster) -> None:
    contents = make_model(cluster.place("host3"))
    state = {"__weights_source_state_directory": str(cluster.base / "host3" / "state")}
    done = cluster.sync(f"host:host3:{cluster.place('host3')}", "--limit", "host1,host2", **state)
    assert set(done.changed) == {"host1", "host2"}, done.text
    assert whole(cluster, contents)


def test_an_agent_that_is_killed_is_started_again_and_goes_on(cluster: Cluster) -> None:
    contents = make_model(cluster.base / "model", size=8 << 20)
    running = cluster.start(f"controller:{cluster.base}/model", rate=1)
    until = time.monotonic() + 120
    while cluster.progress("host2").get("bytes_done", 0) < 1 << 20:
        assert time.monotonic() < until and running.poll() is None, cluster.outcome(running)
        time.sleep(0.05)
    os.kill(cluster.progress("host2")["pid"], signal.SIGKILL)
    outcome = cluster.outcome(running)
    assert outcome.status == 0, outcome.text
    assert "host2: the agent was killed; it is started again and goes on" in outcome.text
    assert cluster.progress("host2")["bytes_before"] > 0
    assert whole(cluster, contents)


def test_a_run_that_is_killed_leaves_what_came_and_the_next_one_goes_on(cluster: Cluster) -> None:
    contents = make_model(cluster.base / "model", size=8 << 20)
    source = f"controller:{cluster.base}/model"
    running = cluster.start(source, rate=1)
    until = time.monotonic() + 120
    while cluster.progress("host2").get("bytes_done", 0) < 2 << 20:
        assert time.monotonic() < until and running.poll() is None, cluster.outcome(running)
        time.sleep(0.05)
    running.kill()
    running.communicate()
    assert not any(cluster.place(host).exists() for host in HOSTS)
    looked = cluster.start(source, "--check", "-v").communicate()[0]
    assert "are left from an earlier run" in looked
    assert cluster.sync(source).status == 0
    assert whole(cluster, contents)
    assert cluster.progress("host2")["bytes_before"] >= 1 << 20


def test_encrypted(cluster: Cluster) -> None:
    contents = make_model(cluster.base / "model")
    first = cluster.sync(f"controller:{cluster.base}/model", "-vvv", encrypt=True)
    assert first.status == 0, first.text
    assert "PRIVATE KEY" not in first.text
    assert whole(cluster, contents)


def test_a_port_that_is_taken_ends_the_run_with_the_host_and_the_setting(cluster: Cluster) -> None:
    make_model(cluster.base / "model")
    with socket.socket() as other:
        other.bind(("127.0.0.3", cluster.port))
        other.listen()
        refused = cluster.sync(f"controller:{cluster.base}/model")
    assert refused.status != 0
    assert f"host2: port {cluster.port} on 127.0.0.3 is taken by another program" in refused.text
    assert not any(cluster.place(host).exists() for host in HOSTS)


def test_what_a_running_container_has_mounted_is_not_changed(cluster: Cluster) -> None:
    contents = make_model(cluster.base / "model")
    source = f"controller:{cluster.base}/model"
    assert cluster.sync(source).status == 0
    cluster.write_engine(str(cluster.place("host2")))
    assert set(cluster.sync(source).changed.values()) == {0}, "nothing would change"
    flip(cluster.place("host2") / SHARDS[1])
    wrong = cluster.contents("host2")
    refused = cluster.sync(source)
    assert refused.status != 0
    assert str(cluster.place("host2")) in refused.text
    assert cluster.contents("host2") == wrong != contents


def test_from_what_the_hosts_have_together(cluster: Cluster) -> None:
    contents = make_model(cluster.base / "model")
    for number, host in enumerate(HOSTS[:2]):
        make_model(cluster.place(host))
        (cluster.place(host) / SHARDS[number]).unlink()
    done = cluster.sync("hosts")
    assert min(done.changed.values()) >= 1
    assert whole(cluster, contents)


def test_from_a_mount(cluster: Cluster) -> None:
    contents = make_model(cluster.base / "mount")
    first = cluster.sync(f"mount:{cluster.base}/mount")
    assert min(first.changed.values()) >= 1
    assert whole(cluster, contents)
    assert set(cluster.sync(f"mount:{cluster.base}/mount").changed.values()) == {0}


def test_without_a_source_the_hosts_are_verified(cluster: Cluster) -> None:
    nothing = cluster.sync("")
    assert nothing.status != 0
    assert "mindie_weights_source" in nothing.text
    for host in HOSTS:
        make_model(cluster.place(host))
    assert set(cluster.sync("").changed.values()) == {1}, "the manifest is kept"
    assert set(cluster.sync("").changed.values()) == {0}
    flip(cluster.place("host2") / SHARDS[1])
    wrong = cluster.sync("", weights_verify="full")
    assert wrong.status != 0
    assert re.search(rf"host2:\S+: 1 files differ from the manifest: {SHARDS[1]}", wrong.text)

"""From nothing to an answered chat and back, as an operator goes it. The tests of this file follow one another."""

from __future__ import annotations

import json
from pathlib import Path

from openai import OpenAI

from tests.stories.conftest import HOSTS, SimulatedCluster

MODEL = "/data/models/DeepSeek-R1-BF16"


def address(cluster: SimulatedCluster, host: str = "host1") -> str:
    return cluster.on(host, "hostname", "-I").split()[0]


def test_plan_before_the_first_run_says_what_would_be_made(cluster: SimulatedCluster) -> None:
    done = cluster.cli("plan")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ranktable.json" in done.stdout
    assert "there is no container yet" in done.stdout
    assert cluster.containers() == {}


def test_up_ends_with_an_answered_chat(cluster: SimulatedCluster) -> None:
    done = cluster.cli("up", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"http://{address(cluster)}:1025/v1" in done.stdout
    assert cluster.running() == list(HOSTS)


def test_a_second_up_changes_nothing_and_says_so(cluster: SimulatedCluster) -> None:
    before = cluster.containers()
    done = cluster.cli("up", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to change" in done.stdout
    assert cluster.containers() == before


def test_status_knows_every_member_and_its_npus(cluster: SimulatedCluster) -> None:
    done = cluster.cli("status", "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert status["answering"] is True
    assert list(status["hosts"]) == list(HOSTS)
    for member in status["hosts"].values():
        assert member["running"] is True
        assert len(member["npus"]) == 8
        assert all(npu["hbm_used_mib"] > 40_000 for npu in member["npus"])


def above_info(cluster: SimulatedCluster) -> list[str]:
    """What `check` finds that is more than information."""
    report = json.loads(cluster.cli("check", "--json").stdout)
    return [found["check_id"] for found in report["findings"] if found["severity"] != "info"]


def test_a_running_deployment_is_no_conflict_with_itself(cluster: SimulatedCluster) -> None:
    assert above_info(cluster) == []


def test_logs_of_all_hosts_are_prefixed(cluster: SimulatedCluster) -> None:
    done = cluster.cli("logs", "--tail", "20")
    assert done.returncode == 0, done.stderr
    for host in HOSTS:
        assert any(host in line and "Daemon start success!" in line for line in done.stdout.splitlines())


def test_chat_streams_an_answer(cluster: SimulatedCluster) -> None:
    done = cluster.cli("chat", "Who are you?")
    assert done.returncode == 0, done.stderr
    assert "DeepSeek-R1" in done.stdout


def test_the_openai_client_streams_a_chat(cluster: SimulatedCluster) -> None:
    client = OpenAI(base_url=f"http://{address(cluster)}:1025/v1", api_key="none", max_retries=0)
    stream = client.chat.completions.create(
        model="DeepSeek-R1",
        messages=[{"role": "user", "content": "Count to three."}],
        max_tokens=32,
        stream=True,
    )
    pieces = [chunk.choices[0].delta.content for chunk in stream if chunk.choices]
    assert len([piece for piece in pieces if piece]) > 3
    assert "Count to three." in "".join(piece or "" for piece in pieces)


def test_a_changed_setting_is_shown_and_restarts_the_gang_once(cluster: SimulatedCluster, tmp_path: Path) -> None:
    before = cluster.containers()
    changed = cluster.inventory_with(tmp_path, max_batch_size=72, rope_theta=20000.0)
    plan = cluster.cli("plan", inventory=changed)
    assert plan.returncode == 0, plan.stderr
    assert '"maxBatchSize": 72' in plan.stdout
    assert "launch.sh" not in plan.stdout
    assert cluster.containers() == before
    done = cluster.cli("up", "--yes", inventory=changed)
    assert done.returncode == 0, done.stdout + done.stderr
    after = cluster.containers()
    assert all(after[host] != before[host] for host in HOSTS)
    # The model's own files are never edited: MindIE loads a directory of links with a changed copy.
    shadow = "/var/lib/mindie-deploy/deepseek-r1/model"
    assert json.loads(cluster.on("host2", "cat", f"{shadow}/config.json"))["rope_theta"] == 20000
    assert json.loads(cluster.on("host2", "cat", f"{MODEL}/config.json"))["rope_theta"] == 10000
    assert shadow in cluster.on("host2", "cat", "/var/lib/mindie-deploy/deepseek-r1/config.json")
    again = cluster.cli("up", "--yes", inventory=changed)
    assert "nothing to change" in again.stdout
    assert cluster.containers() == after


def test_a_dead_member_is_seen_and_up_starts_the_whole_gang_again(cluster: SimulatedCluster) -> None:
    cluster.cli("up", "--yes")
    before = cluster.containers()
    cluster.simulator("cluster.py", "act", "--work", str(cluster.work), "host3", "daemon-killed")
    status = json.loads(cluster.cli("status", "--json").stdout)
    assert status["answering"] is False
    assert status["hosts"]["host3"]["running"] is False
    # Its container is there and has ended, which is no fault: `up` makes another. What a killed MindIE leaves is one.
    assert above_info(cluster) == ["os.shm-left"]
    done = cluster.cli("up", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    after = cluster.containers()
    assert all(after[host] != before[host] for host in HOSTS)


def test_down_takes_it_away_and_leaves_the_weights(cluster: SimulatedCluster) -> None:
    done = cluster.cli("down", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.containers() == {}
    for host in HOSTS:
        assert "model-00001-of-000163.safetensors" in cluster.on(host, "ls", MODEL)
        assert "mindie_llm" not in cluster.on(host, "npu-smi", "info")


def test_a_second_down_has_nothing_to_do(cluster: SimulatedCluster) -> None:
    done = cluster.cli("down", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr

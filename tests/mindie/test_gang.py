"""The gang: when it must be started, and how a start ends."""

from __future__ import annotations

from mindie_deploy.mindie.container import LABEL_DIGEST
from mindie_deploy.mindie.gang import Member, member_from_observation, plan, verdict

HOSTS = ("host1", "host2", "host3")


def container(digest: str = "d1", running: bool = True) -> dict[str, object]:
    return {"running": running, "exit_code": 0 if running else 137, "labels": {LABEL_DIGEST: digest}}


def members(**states: str) -> dict[str, Member]:
    return {host: Member(host, state) for host, state in states.items()}


def test_a_running_gang_with_the_wanted_digest_is_left_alone() -> None:
    assert not plan({host: container() for host in HOSTS}, "d1").start


def test_one_stopped_member_starts_all_and_is_named() -> None:
    found = plan({"host1": container(), "host2": container(running=False)}, "d1")
    assert found.start
    assert found.reasons == ("host2: its container is not running (status 137)",)


def test_another_digest_or_no_container_starts_all() -> None:
    found = plan({"host1": container("d0"), "host2": None}, "d1")
    assert [reason.split(":")[0] for reason in found.reasons] == ["host1", "host2"]


def test_a_restart_may_be_asked_for() -> None:
    assert plan({"host1": container()}, "d1", restart=True).start


def test_the_start_goes_on_while_nothing_is_decided() -> None:
    assert verdict(members(host1="listening", host2="started"), HOSTS, over=False) is None


def test_ready_needs_a_word_from_every_member() -> None:
    assert verdict(members(host1="ready", host2="started"), HOSTS, over=False) is None
    end = verdict(members(host1="ready", host2="started", host3="started"), HOSTS, over=False)
    assert end is not None
    assert (end.state, end.host) == ("ready", "host1")


def test_a_dead_member_ends_the_wait_even_when_the_leader_is_ready() -> None:
    end = verdict(members(host1="ready", host2="dead", host3="started"), HOSTS, over=False)
    assert end is not None
    assert (end.state, end.host) == ("dead", "host2")


def test_at_the_deadline_the_slowest_member_is_named() -> None:
    end = verdict(members(host1="starting", host2="started", host3="started"), HOSTS, over=True)
    assert end is not None
    assert (end.state, end.host) == ("timeout", "host1")
    end = verdict(members(host1="starting", host2="started"), HOSTS, over=True)
    assert end is not None
    assert end.host == "host3"


def test_members_are_read_from_observations() -> None:
    gone = member_from_observation("host1", {"exists": False})
    assert gone.state == "dead"
    died = member_from_observation(
        "host1", {"exists": True, "running": False, "exit_code": 137, "log_tail": "first\nlast words\n"}
    )
    assert (died.state, died.exit_status) == ("dead", 137)
    started = member_from_observation("host1", {"exists": True, "running": True, "line_seen": True, "log_tail": "x\n"})
    assert (started.state, started.message) == ("started", "x")
    answered = member_from_observation("host1", {"exists": True, "running": True, "answer": ""})
    assert answered.state == "ready"

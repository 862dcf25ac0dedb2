"""A plan names what is there before and after, once for each thing, hosts in rank order."""

from __future__ import annotations

from mindie_deploy.cli.plan_view import plan_of
from mindie_deploy.runs.events import Event
from mindie_deploy.runs.redaction import Redactor
from mindie_deploy.runs.result import RunResult

HOSTS = ("b", "a", "c")


def changed(host: str, what: str, before: str, after: str) -> Event:
    diff = {"before_header": what, "after_header": what, "before": before, "after": after}
    return Event("runner_on_ok", task="Do it", host=host, result={"changed": True, "diff": diff})


def lines_of(*events: Event) -> list[tuple[tuple[str, ...], str, tuple[str, ...]]]:
    result = RunResult("deploy", "ok", 0, 1.0, changes=events)
    return [(change.hosts, change.what, change.lines) for change in plan_of(result, HOSTS, Redactor([])).changes]


def test_equal_changes_are_one_with_hosts_in_rank_order() -> None:
    told = lines_of(*(changed(host, "/f", "x\n", "y\n") for host in ("c", "a", "b")))
    assert told == [(("b", "a", "c"), "/f", ("-x", "+y"))]


def test_steps_with_one_thing_are_one_change_from_first_to_last() -> None:
    steps = (("stopped\n", "absent\n"), ("absent\n", "created\n"), ("absent\n", "running\n"))
    told = lines_of(*(changed("a", "container m", *step) for step in steps))
    assert told == [(("a",), "container m", ("-stopped", "+running"))]


def test_what_is_taken_away_and_made_anew_is_a_change() -> None:
    told = lines_of(
        changed("a", "container m", "running\n", "absent\n"), changed("a", "container m", "absent\n", "running\n")
    )
    assert told == [(("a",), "container m", ("-running", "+running, made anew"))]


def test_changes_of_one_thing_stand_together_in_rank_order() -> None:
    told = lines_of(changed("c", "/env", "", "c\n"), changed("c", "/run", "", "r\n"), changed("b", "/env", "", "b\n"))
    assert [(hosts, what) for hosts, what, _lines in told] == [(("b",), "/env"), (("c",), "/env"), (("c",), "/run")]

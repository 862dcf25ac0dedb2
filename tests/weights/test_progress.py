"""Lines of progress, made of what hosts say of themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mindie_deploy.weights.progress import duration_text, number, progress_line, slowest

DOING = "bringing the weights"
GB = 10**9
MOVING = {
    "state": "exchanging",
    "bytes": 1369 * GB,
    "bytes_done": 342 * GB,
    "rate": 2 * GB,
    "peers": {
        "host2": {"rate_in": 900 * 10**6, "received": 90 * GB},
        "host3": {"rate_in": 41 * 10**6, "received": 5 * GB},
        "host4": {"rate_in": 1000 * 10**6, "received": 100 * GB},
    },
    "unreached": {},
    "source_trouble": "",
}


def message(**changes: Any) -> str:
    text = progress_line("host1", DOING, {**MOVING, **changes}, 12.34)["message"]
    assert isinstance(text, str)
    return text


def test_a_line_says_how_far_how_fast_and_when() -> None:
    line = progress_line("host1", DOING, MOVING, 12.34)
    assert line["message"] == "bringing the weights: 24 % of 1.37 TB, 2 GB/s, 8 min to go; slowest: host3 at 41 MB/s"
    assert line["slowest"] == "host3"
    assert {key: line[key] for key in ("host", "state", "elapsed_s", "bytes", "bytes_done", "rate")} == {
        "host": "host1",
        "state": "exchanging",
        "elapsed_s": 12.3,
        "bytes": 1369 * GB,
        "bytes_done": 342 * GB,
        "rate": 2 * GB,
    }


def test_what_hinders_is_told() -> None:
    assert message(unreached={"host3": "refused", "host2": ""}).endswith(
        "; not connected: host2, host3; slowest: host3 at 41 MB/s"
    )
    many = message(unreached={f"host{n}": "" for n in range(1, 9)})
    assert "host3" in many and "host4" not in many
    assert message(peers={}, source_trouble="the hub says 429").endswith("; the hub says 429")
    assert "another transfer" in message(state="waiting")


def test_who_has_everything_says_who_still_needs_it() -> None:
    assert (
        message(state="serving", waits_for=["host3", "host4"])
        == f"{DOING}: everything is here; still needed by host3, host4"
    )
    assert message(state="serving", waits_for=[]) == f"{DOING}: done"
    assert message(state="done", bytes_done=1369 * GB, rate=0, peers={}) == f"{DOING}: 100 % of 1.37 TB, 0 bytes/s"


def test_no_end_is_foretold_without_a_rate() -> None:
    assert "to go" not in message(rate=0)
    assert "to go" not in message(bytes_done=1369 * GB)
    assert message(bytes=0, bytes_done=0, rate=0, peers={}) == f"{DOING}: 0 % of 0 bytes, 0 bytes/s"


def peers(**rows: tuple[Any, Any]) -> dict[str, Any]:
    return {name: {"rate_in": rate, "received": received} for name, (rate, received) in rows.items()}


@pytest.mark.parametrize(
    ("heard", "name", "rate"),
    [
        ({}, "", 0),
        ("x", "", 0),
        (peers(host2=(1, 1)), "", 0),
        (peers(host2=(0, 0), host3=(0, 0)), "", 0),
        (peers(host2=(90, 900), host3=(60, 600), host4=(100, 1000)), "", 0),
        (peers(host2=(90, 900), host3=(40, 400), host4=(100, 1000)), "host3", 40),
        (peers(host2=(90, 900), host3=(0, 400), host4=(100, 1000)), "host3", 0),
        (peers(host2=(90, 900), host3=(0, 900), host4=(100, 1000)), "", 0),
        (peers(host2=(90, 400), host3=(0, 900), host4=(100, 1000)), "", 0),
        (peers(host2=(5, 50), host3=("much", "more")), "host3", 0),
        ({**peers(host2=(5, 50), host3=(5, 50)), "host4": "x"}, "", 0),
    ],
)
def test_one_that_is_clearly_behind_is_named(heard: Any, name: str, rate: int) -> None:
    assert slowest({"peers": heard}) == (name, rate)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (42.4, "42 s"),
        (119.4, "119 s"),
        (119.6, "2 min"),
        (3600, "60 min"),
        (7199, "119 min"),
        (11100, "3 h 05 min"),
    ],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize("value", [None, True, -1, 1.5, "7", [7], float("nan")])
def test_what_is_no_count_is_zero(value: object) -> None:
    assert number(value) == 0


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=6,
)
KEYS = ("state", "bytes", "bytes_done", "rate", "peers", "unreached", "waits_for", "source_trouble")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING), st.sampled_from(["serving", "exchanging", "waiting", None]))
def test_a_hostile_status_makes_a_line_or_less_and_never_an_error(status: dict[str, Any], state: str | None) -> None:
    line = progress_line("host1", DOING, {**status, **({"state": state} if state else {})}, 1.0)
    assert line["host"] == "host1"
    assert line["message"].startswith(f"{DOING}: ")
    assert len(json.dumps(line)) < 10_000
    assert all(isinstance(line[key], int) for key in ("bytes", "bytes_done", "rate"))


def test_a_hostile_status_makes_no_endless_line() -> None:
    long = "x" * 100_000
    line = progress_line(
        "host1",
        DOING,
        {
            "state": long,
            "bytes": 10**400,
            "bytes_done": 10**400,
            "rate": 1,
            "peers": {long: {"rate_in": 1}, f"{long}y": {"rate_in": 2}},
            "unreached": {f"{long}{n}": long for n in range(100)},
            "waits_for": [long] * 100,
            "source_trouble": long,
        },
        1.0,
    )
    assert len(json.dumps(line)) < 5000

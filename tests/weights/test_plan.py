"""What a host lacks, and who brings it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindie_deploy.errors import UsageError
from mindie_deploy.weights.plan import HostPlan, Route, host_plan, routes, size_text, source_problems, to_read
from mindie_deploy.weights.source import Source, SourceKind, parse_source
from tests.weights.scans import PATH, SHARDS, digest, good_files, manifest_of, scan

CONTROLLER = Source(SourceKind.CONTROLLER, "/srv/model")


def plan_for(files: Mapping[str, bytes]) -> HostPlan:
    return host_plan(manifest_of(good_files()).files, scan(files))


WHOLE = plan_for(good_files())
EMPTY = plan_for({})


def test_a_host_that_has_all_lacks_nothing() -> None:
    assert WHOLE.complete
    assert WHOLE.disk_needed == 0


def test_missing_and_wrong_files_are_brought_and_others_left_alone() -> None:
    files = good_files()
    del files[SHARDS[0]]
    files[SHARDS[1]] = bytes(len(files[SHARDS[1]]))
    files["notes.txt"] = b"mine"
    plan = plan_for(files)
    assert plan.fetch == SHARDS
    assert plan.wrong == (SHARDS[1],)
    assert plan.extra == ("notes.txt",)


def test_what_an_earlier_run_left_is_used() -> None:
    wanted = manifest_of({"a": b"12345678", "b": b"1234"})
    plan = host_plan(wanted.files, scan({}, incoming={"a": 5, "b": 400, "c": 3}))
    assert plan.reuse_bytes == 5
    assert plan.disk_needed == 12 - 5


def test_a_disk_that_is_too_small_is_told_with_both_numbers() -> None:
    wanted = manifest_of({"a": bytes(2000)})
    plan = host_plan(wanted.files, scan({}, disk={"path": "/data", "available_bytes": 1999}))
    assert plan.disk_problem == "the disk of /data has 2 kB free and the weights need 2 kB more"
    enough = host_plan(wanted.files, scan({}, disk={"path": "/data", "available_bytes": 2000}))
    assert enough.disk_problem is None


def test_a_file_nobody_could_read_is_brought_again_and_in_check_mode_only_counted() -> None:
    wanted = manifest_of(good_files())
    unread = scan(read=False)
    assert len(host_plan(wanted.files, unread).fetch) == len(wanted.files)
    by_size = host_plan(wanted.files, unread, by_size=True)
    assert by_size.fetch == ()
    assert len(by_size.unproven) == len(wanted.files)


def test_only_files_of_the_right_size_are_worth_reading() -> None:
    mine = scan({"a": b"1234", "b": b"1234", "c": b"1234"}, read=False)
    wanted = scan({"a": b"xxxx", "b": b"longer"})
    assert to_read(wanted.files, mine) == ("a",)
    assert to_read(None, mine) == ("a", "b", "c")
    assert to_read(None, wanted) == ()
    assert to_read(None, wanted, everything=True) == ("a", "b")


def test_a_source_is_compared_with_its_checksums_and_its_past() -> None:
    files = good_files()
    assert source_problems(scan(files, checksums=f"{digest(files[SHARDS[0]])}  {SHARDS[0]}\n"), "here") == ()
    changed = source_problems(scan(files, checksums=f"{digest(b'other')}  {SHARDS[0]}\n"), "here")
    assert len(changed) == 1
    assert changed[0].startswith(SHARDS[0])
    past = manifest_of({**files, SHARDS[1]: b"old"}).to_dict()
    assert SHARDS[1] in source_problems(scan(files, manifest=past), "here")[0]
    assert source_problems(scan(files, manifest=past), "here", accept_changed=True) == ()


def routed(source: Source, **plans: HostPlan) -> dict[str, Route]:
    return routes(source, plans, dict.fromkeys(plans, PATH))


def test_from_the_controller_each_byte_is_sent_once() -> None:
    found = routed(CONTROLLER, host1=EMPTY, host2=EMPTY, host3=WHOLE)
    assert found["host3"] == Route(serve=PATH)
    assert found["host1"] == found["host2"] == Route(fetch_from="host3")
    found = routed(CONTROLLER, host1=EMPTY, host2=EMPTY)
    assert found == {"host1": Route(push=True, serve=PATH), "host2": Route(fetch_from="host1")}


def test_one_host_alone_needs_no_server() -> None:
    assert routed(CONTROLLER, host1=EMPTY) == {"host1": Route(push=True)}
    source = Source(SourceKind.HOST, "/other", "host1")
    assert routed(source, host1=EMPTY, host2=WHOLE)["host1"] == Route(copy_from="/other")


def test_a_source_host_serves_and_copies_for_itself() -> None:
    source = Source(SourceKind.HOST, "/other", "host2")
    assert routed(source, host1=EMPTY, host2=EMPTY) == {
        "host1": Route(fetch_from="host2"),
        "host2": Route(copy_from="/other", serve="/other"),
    }
    at_its_place = Source(SourceKind.HOST, PATH, "host2")
    assert routed(at_its_place, host1=EMPTY, host2=WHOLE)["host2"] == Route(serve=PATH)


def test_from_a_mount_every_host_copies() -> None:
    found = routed(Source(SourceKind.MOUNT, "/mnt"), host1=EMPTY, host2=WHOLE)
    assert found == {"host1": Route(copy_from="/mnt"), "host2": Route()}


def test_nothing_moves_when_nothing_is_lacking() -> None:
    assert set(routed(CONTROLLER, host1=WHOLE, host2=WHOLE).values()) == {Route()}


@given(
    st.dictionaries(st.sampled_from(["h1", "h2", "h3", "h4"]), st.booleans(), min_size=1),
    st.sampled_from([CONTROLLER, Source(SourceKind.MOUNT, "/m"), Source(SourceKind.HOST, "/o", "h1")]),
)
def test_every_lacking_host_has_one_way_and_every_server_is_asked(whole: dict[str, bool], source: Source) -> None:
    if source.kind is SourceKind.HOST:
        whole.setdefault("h1", False)
    found = routed(source, **{name: WHOLE if has else EMPTY for name, has in whole.items()})
    servers = {name for name, route in found.items() if route.serve}
    for name, has in whole.items():
        route = found[name]
        assert sum(map(bool, (route.push, route.copy_from, route.fetch_from))) == (0 if has else 1)
    assert servers == {route.fetch_from for route in found.values() if route.fetch_from}
    assert sum(route.push for route in found.values()) <= 1


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("", Source(SourceKind.NOTHING)),
        ("controller:/srv/m/", Source(SourceKind.CONTROLLER, "/srv/m")),
        ("host:host1:/data/m", Source(SourceKind.HOST, "/data/m", "host1")),
        ("mount:/mnt", Source(SourceKind.MOUNT, "/mnt")),
        ("huggingface:a/b-1.0", Source(SourceKind.HUGGINGFACE, "a/b-1.0")),
        ("modelscope:a/b", Source(SourceKind.MODELSCOPE, "a/b")),
        ("https://mirror.example:8443/models/r1", Source(SourceKind.HTTP, "https://mirror.example:8443/models/r1/")),
    ],
)
def test_sources_are_read(text: str, source: Source) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    "text", ["/data", "host:/data", "host:x:data", "controller:data", "ftp://x/", "hosts:/x", ":/x"]
)
def test_sources_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_source(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1_368_979_691_008, "1.37 TB"), (8_600_000_000, "8.6 GB")],
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert size_text(size) == text

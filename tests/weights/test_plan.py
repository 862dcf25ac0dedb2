"""What a host lacks, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mindie_deploy.errors import UsageError
from mindie_deploy.weights.plan import HostPlan, host_plan, size_text, source_problems, to_read
from mindie_deploy.weights.source import Source, SourceKind, parse_source
from tests.weights.scans import SHARDS, digest, good_files, manifest_of, scan


def plan_for(files: Mapping[str, bytes]) -> HostPlan:
    return host_plan(manifest_of(good_files()).files, scan(files))


def test_a_host_that_has_all_lacks_nothing() -> None:
    plan = plan_for(good_files())
    assert plan.complete
    assert plan.fetch == ()
    assert plan.disk_needed == 0


def test_a_host_that_has_nothing_lacks_everything() -> None:
    plan = plan_for({})
    assert set(plan.fetch) == set(good_files())
    assert plan.wrong == ()
    assert plan.fetch_bytes == plan.disk_needed == sum(map(len, good_files().values()))


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
    assert plan.fetch_bytes == 12
    assert plan.reuse_bytes == 5


@pytest.mark.parametrize(("reserved", "needed"), [({}, 12), ({"a": 6}, 6), ({"a": 4096, "c": 4096}, 4)])
def test_room_that_is_taken_already_is_not_needed_again(reserved: dict[str, int], needed: int) -> None:
    """What arrived may be less than what is reserved for it (allocated), and blocks are larger than bytes."""
    wanted = manifest_of({"a": b"12345678", "b": b"1234"})
    plan = host_plan(wanted.files, scan({}, incoming={"a": 5}, reserved=reserved))
    assert plan.disk_needed == needed
    assert plan.reuse_bytes == 5


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

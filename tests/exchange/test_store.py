"""Files on the disk: where they are written, when they get their names, and what is told when they cannot."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from mindie_exchange.layout import Segment
from mindie_exchange.plan import File, Place
from mindie_exchange.store import MOST_IDLE, DiskFullError, Store, StoreError, allocate, crc_of, trouble

CONTENT = bytes(range(256)) * 16


def make(tmp_path: Path, *names: str, complete: tuple[str, ...] = (), **changes: object) -> Store:
    final, incoming = tmp_path / "final", tmp_path / "incoming"
    final.mkdir(exist_ok=True)
    place = Place(str(final), str(incoming), frozenset(complete), False, None, None)._replace(**changes)  # type: ignore[arg-type]
    return Store(place, [File(name, len(CONTENT), "") for name in names])


def fill(store: Store, file: int = 0) -> None:
    store.write(Segment(file, 0, len(CONTENT)), memoryview(CONTENT))


def read(store: Store, file: int = 0) -> bytes:
    view = memoryview(bytearray(len(CONTENT)))
    store.read_into(Segment(file, 0, len(CONTENT)), view)
    return bytes(view)


def test_a_file_is_partial_until_it_is_proven(tmp_path: Path) -> None:
    store = make(tmp_path, "sub/a b")
    fill(store)
    partial, arrived = tmp_path / "incoming/sub/a b.partial", tmp_path / "incoming/sub/a b"
    assert partial.exists()
    assert not arrived.exists()
    assert stat.S_IMODE(partial.stat().st_mode) == 0o600
    assert read(store) == CONTENT
    store.finish([0])
    assert arrived.read_bytes() == CONTENT
    assert not partial.exists()
    assert stat.S_IMODE(arrived.stat().st_mode) == 0o640
    assert store.ready(0)
    assert read(store) == CONTENT


def test_a_file_that_is_proven_is_not_written_to(tmp_path: Path) -> None:
    store = make(tmp_path, "a", "b", complete=("b",))
    fill(store)
    store.finish([0])
    for file in (0, 1):
        with pytest.raises(StoreError, match="is proven and is not written to"):
            fill(store, file)
    store.sync(0)
    store.sync(1)
    assert sorted(path.name for path in (tmp_path / "incoming").iterdir()) == ["a"], "a sync makes no file"


def test_a_file_that_broke_loses_its_name(tmp_path: Path) -> None:
    store = make(tmp_path, "a")
    fill(store)
    store.finish([0])
    store.reopen(0)
    assert not (tmp_path / "incoming/a").exists()
    store.write(Segment(0, 0, 1), memoryview(b"x"))
    assert read(store)[:2] == b"x\1"
    store.finish([0])
    assert (tmp_path / "incoming/a").read_bytes() == b"x" + CONTENT[1:]


def test_an_empty_file(tmp_path: Path) -> None:
    store = Store(make(tmp_path).place, [File("empty", 0, "")])
    store.finish([0])
    assert (tmp_path / "incoming/empty").read_bytes() == b""


def test_owner_and_group(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives files away")
    for owner, group in ((1234, None), (None, 1234), (1234, 1235)):
        store = make(tmp_path, f"{owner}-{group}", owner=owner, group=group)
        fill(store)
        store.finish([0])
        info = (tmp_path / f"incoming/{owner}-{group}").stat()
        assert (info.st_uid, info.st_gid) == (owner or 0, group or 0)


def test_links_are_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    store = make(tmp_path, "a", "sub/b", "c")
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming/a.partial").symlink_to(victim)
    (tmp_path / "incoming/sub").symlink_to(tmp_path)
    (tmp_path / "incoming/c").symlink_to(victim)
    with pytest.raises(StoreError, match=r"a\.partial is a symbolic link, where a file of the transfer must be"):
        fill(store, 0)
    with pytest.raises(StoreError, match=r"is no directory|Not a directory"):
        fill(store, 1)
    assert not store.adopt(2)
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "b.partial").exists()


def test_a_link_in_the_final_directory_is_followed(tmp_path: Path) -> None:
    """There the operator's own links count, as hubs' caches make them."""
    store = make(tmp_path, "a", complete=("a",))
    (tmp_path / "blob").write_bytes(CONTENT)
    (tmp_path / "final/a").symlink_to(tmp_path / "blob")
    assert read(store) == CONTENT


def test_only_a_file_of_the_right_size_is_taken_for_proven(tmp_path: Path) -> None:
    store = make(tmp_path, "a", "b", "c")
    incoming = tmp_path / "incoming"
    (incoming / "c").mkdir(parents=True)
    (incoming / "a").write_bytes(CONTENT)
    (incoming / "b").write_bytes(CONTENT[1:])
    assert [store.adopt(file) for file in range(3)] == [True, False, False]


def test_a_file_that_became_shorter(tmp_path: Path) -> None:
    store = make(tmp_path, "a", complete=("a",))
    (tmp_path / "final/a").write_bytes(CONTENT[:100])
    with pytest.raises(StoreError, match="final/a is shorter than it was"):
        read(store)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    store = make(tmp_path, "a", complete=("a",))
    with pytest.raises(StoreError, match="No such file") as caught:
        read(store)
    assert caught.value.number == errno.ENOENT


def test_a_full_disk_is_told() -> None:
    full = trouble("/x/a", OSError(errno.ENOSPC, "No space left on device"))
    assert isinstance(full, DiskFullError)
    assert str(full).startswith("the disk of /x/a is full (nothing more fits): make room and start the sync again")
    assert "quota" in str(trouble("/x/a", OSError(errno.EDQUOT, "")))


def test_room_is_taken_beforehand(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as handle:
        allocate(handle.fileno(), 1 << 20)
        assert path.stat().st_size == 0
        assert path.stat().st_blocks * 512 >= 1 << 20
        with pytest.raises(OSError, match=r"No space|too large"):
            allocate(handle.fileno(), 1 << 50)


def test_no_more_files_stay_open_than_are_needed(tmp_path: Path) -> None:
    count = 5 * MOST_IDLE
    store = make(tmp_path, *(f"f{index}" for index in range(count)))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    held = store.take(0, write=True)
    for file in range(count):
        fill(store, file)
    assert len(os.listdir("/proc/self/fd")) - before <= 2 * MOST_IDLE + 1  # noqa: PTH208
    assert os.pread(held.number, 5, 0) == CONTENT[:5]
    store.give_back(held)
    store.finish(range(count))
    assert len(list((tmp_path / "incoming").iterdir())) == count


def test_the_crc_of_a_piece_and_of_its_parts() -> None:
    import zlib

    view = memoryview(b"abcdef")
    assert crc_of([Segment(0, 0, 6)], view) == (zlib.crc32(b"abcdef"), [zlib.crc32(b"abcdef")])
    whole, parts = crc_of([Segment(0, 0, 2), Segment(1, 0, 4)], view)
    assert (whole, parts) == (zlib.crc32(b"abcdef"), [zlib.crc32(b"ab"), zlib.crc32(b"cdef")])


def test_many_files_are_on_the_disk_before_one_of_them_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 100
    store = make(tmp_path, *map(str, range(count)))
    for file in range(count):
        fill(store, file)
    did: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def sync(number: int) -> None:
        fsync(number)
        did.append(("synced", str(Path(f"/proc/self/fd/{number}").readlink())))

    def name(old: str, new: str) -> None:
        did.append(("named", old))
        rename(old, new)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", name)
    store.finish(range(count))
    partial = {store.partial(file) for file in range(count)}
    assert {path for what, path in did[:count] if what == "synced"} == partial
    assert {path for what, path in did[count:] if what == "named"} == partial


def test_none_of_many_files_has_its_name_when_one_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 100
    store = make(tmp_path, *map(str, range(count)))
    for file in range(count):
        fill(store, file)
    bad = store.partial(57)

    def sync(number: int) -> None:
        if str(Path(f"/proc/self/fd/{number}").readlink()) == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(StoreError, match=r"/57\.partial: Input/output error"):
        store.finish(range(count))
    assert not any(store.ready(file) or Path(store.arrived(file)).exists() for file in range(count))


def test_what_is_open_for_writing_is_not_opened_again_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(tmp_path, "a")
    fill(store)
    monkeypatch.setattr(os, "open", None)
    assert read(store) == CONTENT

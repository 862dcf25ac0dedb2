"""Bundles: what goes in comes out, secrets do not, and no archive of a stranger does harm."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import random
import re
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.errors import UsageError
from mindie_deploy.preflight.saved import INDEX, Saved
from mindie_deploy.runs import bundle
from mindie_deploy.runs.bundle import files_below, read_saved, write_bundle
from mindie_deploy.runs.redaction import Redactor
from mindie_deploy.runs.scrub import scrub
from tests.preflight.builders import hosts_of, settings

SAVED = Saved(settings(), tuple(hosts_of({"host1": 1, "host2": 2})), {"host1": {}, "host2": {}})
FILES = {f"facts/{name}": json.dumps(document) for name, document in SAVED.documents().items()}


def refusal(source: Path) -> str:
    with pytest.raises(UsageError) as refused:
        read_saved(source)
    return str(refused.value)


def archive(path: Path, members: dict[str, bytes], **fields: object) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in fields.items():
                setattr(member, key, value)
            out.addfile(member, io.BytesIO(content))
    return path


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    write_bundle(target, {**FILES, "host-000/config.json": "{}"}, str)

    assert read_saved(target) == SAVED
    assert oct(target.stat().st_mode)[-3:] == "600"
    with tarfile.open(target) as found:
        names = [name.removeprefix(f"{bundle.ROOT}/") for name in found.getnames()]
    assert names == [*sorted([*FILES, "host-000/config.json"]), "MANIFEST"]


def test_the_same_files_make_the_same_archive(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        write_bundle(tmp_path / name, FILES, str)
        contents.append(gzip.decompress((tmp_path / name).read_bytes()))
    assert contents[0] == contents[1]


def test_a_directory_of_a_record_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "facts").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    assert read_saved(tmp_path) == SAVED == read_saved(tmp_path / "facts")


def test_links_are_not_followed_into_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "secret").symlink_to("/etc/hostname")
    assert files_below(tmp_path) == {"a": "a"}


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"../../etc/passwd": b"x"},
        {f"{bundle.ROOT}/facts/../{INDEX}": b"{}"},
        {f"/{bundle.ROOT}/facts/{INDEX}": b"{}"},
        {f"{bundle.ROOT}/facts/{INDEX}": b"{"},
        {f"{bundle.ROOT}/facts/{INDEX}": b"\xff\xfe"},
        {f"{bundle.ROOT}/facts/{INDEX}": b"[]"},
        {f"{bundle.ROOT}/facts/{INDEX}": b"[" * 200_000},
        {f"{bundle.ROOT}/facts/{INDEX}": b'{"format": 99}'},
        {f"{bundle.ROOT}/facts/{INDEX}": FILES[f"facts/{INDEX}"].encode()},
    ],
)
def test_an_archive_of_another_form_is_refused_with_a_reason(tmp_path: Path, members: dict[str, bytes]) -> None:
    source = archive(tmp_path / "b.tar.gz", members)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(UsageError) as caught:
        read_saved(source)
    assert str(source) in caught.value.message and caught.value.remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"no tar" * 200, mtime=0)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(UsageError):
        read_saved(tmp_path / "b")
    with pytest.raises(UsageError):
        read_saved(tmp_path / "not there")
    whole = tmp_path / "whole"
    write_bundle(whole, FILES, str)
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(UsageError):
        read_saved(whole)


def test_links_and_huge_members_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{bundle.ROOT}/facts/{INDEX}"
    with pytest.raises(UsageError, match="is not in it"):
        read_saved(archive(tmp_path / "link", {name: b""}, type=tarfile.SYMTYPE, linkname="/etc/passwd"))
    monkeypatch.setattr(bundle, "LARGEST_MEMBER", 5)
    with pytest.raises(UsageError, match="too large"):
        read_saved(archive(tmp_path / "huge", {name: b"123456"}))
    monkeypatch.setattr(bundle, "MOST_MEMBERS", 2)
    with pytest.raises(UsageError, match="more than 2"):
        read_saved(archive(tmp_path / "many", {str(number): b"" for number in range(3)}))


def test_a_directory_has_the_limits_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, packed = tmp_path / "place", tmp_path / "packed"
    place.mkdir()
    for name, text in FILES.items():
        if name.startswith("facts/"):
            (place / name.removeprefix("facts/")).write_text(text, encoding="utf-8")
    (place / "pipe.json").symlink_to("/dev/zero")
    os.mkfifo(place / "waits.json")
    write_bundle(packed, FILES, str)
    assert read_saved(place) == SAVED
    for limit, value in (("LARGEST_MEMBER", 5), ("LARGEST_TOTAL", 700), ("MOST_MEMBERS", 1)):
        with monkeypatch.context() as patched:
            patched.setattr(bundle, limit, value)
            said = [refusal(source) for source in (place, packed)]
        told = [text.replace(str(source), "IT") for text, source in zip(said, (place, packed), strict=True)]
        if limit == "LARGEST_MEMBER":  # the manifest of an archive is a member, too
            told = [re.sub(r"IT: \S+ is", "IT: FILE is", text) for text in told]
        assert told[0] == told[1]
        assert re.search("too large|more than 1 members", told[0]), told


def test_a_huge_member_that_is_none_of_ours_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever sizes the archive claims: one member, many, or the long name of one, which is read before its size."""
    monkeypatch.setattr(bundle, "LARGEST_TOTAL", 10 * bundle.LARGEST_MEMBER)
    monkeypatch.setattr(bundle, "LARGEST_MEMBER", 100_000)
    with pytest.raises(UsageError, match="too large"):
        read_saved(archive(tmp_path / "one", {"other": bytes(200_000)}))
    long_name = archive(tmp_path / "name", {"x" * 150_000: b""})
    with pytest.raises(UsageError, match="too large"):
        read_saved(long_name)
    monkeypatch.setattr(bundle, "LARGEST_TOTAL", 150_000)
    with pytest.raises(UsageError, match="too large"):
        read_saved(archive(tmp_path / "two", {"other": bytes(90_000), "another": bytes(90_000)}))


def test_only_as_much_is_unpacked_as_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header of a member may claim any size: what counts is what has been read."""
    monkeypatch.setattr(bundle, "LARGEST_TOTAL", 4 * 1024 * 1024)
    source = archive(tmp_path / "zeros", {str(number): bytes(1024 * 1024) for number in range(64)})
    tracemalloc.start()
    with pytest.raises(UsageError, match="too large"):
        read_saved(source)
    assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    tracemalloc.stop()


def test_a_bundle_that_somebody_has_unpacked_to_a_tar_is_read(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b.tar.gz", FILES, str)
    (tmp_path / "b.tar").write_bytes(gzip.decompress((tmp_path / "b.tar.gz").read_bytes()))
    assert read_saved(tmp_path / "b.tar") == SAVED


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b.tar.gz", FILES, str)
    whole = (tmp_path / "b.tar.gz").read_bytes()
    chance = random.Random(1)
    for _ in range(200):
        broken = bytearray(whole)
        broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        (tmp_path / "broken").write_bytes(broken)
        with contextlib.suppress(UsageError):
            read_saved(tmp_path / "broken")


def test_a_bundle_with_secrets_is_still_a_bundle(tmp_path: Path) -> None:
    """The facts of a host hold JSON in JSON, and a known secret may look like a part of it."""
    image = json.dumps([{"Id": "sha256:" + "b" * 64, "Config": {"Env": ["MODEL_ACCESS_KEY=abcdefgh"]}}])
    items = {"engine/image": {"status": 0, "stdout": f"{image}\n", "x_password": None}, "n": {"seconds": 12345.5}}
    saved = Saved(SAVED.settings, SAVED.hosts, {"host1": {"collection": {"items": items}}, "host2": {}})
    files = {f"facts/{name}": json.dumps(document) for name, document in saved.documents().items()}
    target = tmp_path / "b.tar.gz"
    write_bundle(target, files, Redactor(["12345", '": {"']))

    found = read_saved(target)
    assert b"abcdefgh" not in gzip.decompress(target.read_bytes())
    told: Any = found.answers["host1"]["collection"]
    assert told["items"]["n"] == {"seconds": 12345.5} and told["items"]["engine/image"]["x_password"] is None
    assert json.loads(told["items"]["engine/image"]["stdout"])[0]["Id"] == "sha256:" + "b" * 64


def test_a_bundle_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(UsageError):
        write_bundle(tmp_path / "directory", FILES, str)
    assert [path.name for path in tmp_path.iterdir()] == ["directory"]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("HF_TOKEN=hf_abcdefgh", "hf_abcdefgh"),
        ('{"api_key": "sk-123456"}', "sk-123456"),
        ("db_password: hunter22", "hunter22"),
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ("proxy http://user:geheim@proxy:3128/", "geheim"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
        ("-----BEGIN PRIVATE KEY-----\nMIIcut", "MIIcut"),
        ("secretKey='abcd1234'", "abcd1234"),
    ],
)
def test_what_looks_like_a_secret_leaves_no_house(tmp_path: Path, text: str, secret: str) -> None:
    target = tmp_path / "b.tar.gz"
    write_bundle(target, {**FILES, "host-000/container.log": f"before\n{text}\nafter"}, scrub)

    assert secret.encode() not in gzip.decompress(target.read_bytes())
    assert read_saved(target) == SAVED


@pytest.mark.parametrize("text", ["max_tokens: 4096", "token 5 of 7", "npu.ecc", "10.0.0.1:1025", "tokenizer.json=640"])
def test_ordinary_words_stay(text: str) -> None:
    assert scrub(text) == text

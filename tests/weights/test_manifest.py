"""A manifest says what a model is made of, and nothing hostile passes for one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindie_deploy.weights.manifest import Manifest, ManifestError, parse_checksums
from mindie_deploy.weights.names import name_problem
from tests.weights.scans import digest

A, B = digest(b"a"), digest(b"b")


def row(name: Any = "config.json", size: Any = 1, sha256: Any = A) -> dict[str, Any]:
    return {"name": name, "size": size, "sha256": sha256}


def test_it_survives_being_written_and_read() -> None:
    manifest = Manifest.of([row("tokenizer.json", 3, B), row("config.json")])
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert [entry.name for entry in manifest.files] == ["config.json", "tokenizer.json"]
    assert manifest.total_bytes == 4


def test_its_digest_depends_on_the_files_and_not_on_their_order() -> None:
    rows = [row("a", 1, A), row("b", 2, B)]
    assert Manifest.of(rows).digest == Manifest.of(reversed(rows)).digest
    assert Manifest.of(rows).digest != Manifest.of([row("a", 1, A), row("b", 2, A)]).digest


HOSTILE_NAMES = [
    *("", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a\nb", "a\0b"),
    *("x" * 300, "a/b/c/d/e/f/g/h/i", "\ud800", 7, None, ["a"]),
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_that_lead_elsewhere_are_refused(name: Any) -> None:
    with pytest.raises(ManifestError):
        Manifest.of([row(name)])


@pytest.mark.parametrize(
    "name", ["config.json", "figures/a b.png", "模型.safetensors", "model-00001-of-000163.safetensors"]
)
def test_usual_and_unusual_names_are_taken(name: str) -> None:
    assert Manifest.of([row(name)]).by_name[name].size == 1


@pytest.mark.parametrize(
    "rows",
    [
        [row(), row()],
        [row("a"), row("a/b")],
        [row(size=-1)],
        [row(size=True)],
        [row(size="1")],
        [row(size=1.5)],
        [row(size=1 << 60)],
        [row(sha256="x" * 64)],
        [row(sha256=A.upper())],
        [row(sha256=None)],
        ["config.json"],
        [None],
    ],
)
def test_rows_that_make_no_sense_are_refused(rows: list[Any]) -> None:
    with pytest.raises(ManifestError):
        Manifest.of(rows)


def test_a_manifest_that_was_edited_is_refused() -> None:
    value = Manifest.of([row("a", 1, A), row("b", 2, B)]).to_dict()
    value["files"] = [row("a", 1, A)]
    with pytest.raises(ManifestError, match="digest"):
        Manifest.from_dict(value)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"files": 3}', '{"files": [', "[" * 100_000, '{"files": [], "format": 9}']
)
def test_text_that_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        Manifest.from_json(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(json_values)
def test_any_json_is_a_manifest_or_refused(value: Any) -> None:
    for candidate in (value, {"files": [value]}, {"files": [row(value)]}, {"files": [row(size=value)]}):
        try:
            manifest = Manifest.from_dict(candidate)
        except ManifestError:
            continue
        assert all(name_problem(entry.name) is None for entry in manifest.files)
        assert Manifest.from_json(json.dumps(manifest.to_dict())) == manifest


@given(st.text())
def test_no_accepted_name_leaves_the_directory(name: str) -> None:
    if name_problem(name) is None:
        assert not name.startswith("/")
        assert ".." not in name.split("/")
        assert "\0" not in name


def test_checksum_files_are_read() -> None:
    text = f"# made by sha256sum\n{A}  config.json\n{B} *./tokenizer.json\r\n\n{B}  .gitattributes\n"
    assert parse_checksums(text) == {"config.json": A, "tokenizer.json": B}


@pytest.mark.parametrize(
    "text", ["nonsense", f"{A}", f"{A}  ../x", f"{A}  /etc/passwd", f"{A}  a\n{B}  a", f"{A[:-1]}  a", "\\" + A + "  a"]
)
def test_checksum_files_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        parse_checksums(text)


@given(st.text())
def test_any_text_is_a_checksum_file_or_refused(text: str) -> None:
    try:
        names = parse_checksums(text)
    except ManifestError:
        return
    assert all(name_problem(name) is None for name in names)

"""Listings of hubs, right and hostile."""

from __future__ import annotations

import json

import pytest

from mindie_deploy.weights.hub_listing import (
    HubFile,
    huggingface_commit,
    huggingface_files,
    modelscope_files,
    next_query,
    served,
)
from mindie_deploy.weights.hub_web import HubError

SHA256, BLOB = "a" * 64, "b" * 40


def tree(**changes: object) -> bytes:
    row: dict[str, object] = {"type": "file", "path": "config.json", "size": 5, "oid": BLOB}
    return json.dumps([{**row, **changes}]).encode()


def listing(**changes: object) -> bytes:
    row: dict[str, object] = {"Type": "blob", "Path": "config.json", "Size": 5, "Sha256": SHA256.upper()}
    return json.dumps({"Code": 200, "Data": {"Files": [{**row, **changes}]}}).encode()


def test_huggingface() -> None:
    assert huggingface_files(tree()) == [HubFile("config.json", 5, None, BLOB)]
    large = tree(path="m.safetensors", size=134, lfs={"oid": SHA256, "size": 8_600_000_000, "pointerSize": 134})
    assert huggingface_files(large) == [HubFile("m.safetensors", 8_600_000_000, SHA256)]
    assert huggingface_files(tree(type="directory", path="figures", size=0)) == []
    assert huggingface_commit(json.dumps({"sha": BLOB, "siblings": []}).encode()) == BLOB


def test_modelscope() -> None:
    assert modelscope_files(listing()) == ([HubFile("config.json", 5, SHA256)], None)
    assert modelscope_files(listing(Type="tree", Sha256="")) == ([], None)
    assert modelscope_files(listing(Sha256="", Revision=BLOB))[0] == [HubFile("config.json", 5, None, revision=BLOB)]


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "../etc/passwd"}, {"path": "/etc/passwd"}, {"path": "a//b"}, {"path": "a\\b"}, {"path": ""},
        {"path": "a\nb"}, {"path": "x" * 2000}, {"path": "/".join("abcdefghij")}, {"path": 7}, {"path": None},
        {"path": ".git/../../x"}, {"path": "./a"}, {"path": ".cache/a\nb"},
        {"size": -1}, {"size": True}, {"size": "5"}, {"size": 1 << 60}, {"size": None}, {"size": 1.5},
        {"oid": "b" * 39}, {"oid": None}, {"oid": "B" * 40},
        {"lfs": {"oid": "short", "size": 5}}, {"lfs": {"oid": SHA256}}, {"lfs": {}},
    ],
)  # fmt: skip
def test_hostile_trees(changes: dict[str, object]) -> None:
    with pytest.raises(HubError):
        huggingface_files(tree(**changes))


@pytest.mark.parametrize("changes", [{"Path": "../x"}, {"Size": -5}, {"Sha256": "short"}, {"Path": None}])
def test_hostile_listings(changes: dict[str, object]) -> None:
    with pytest.raises(HubError):
        modelscope_files(listing(**changes))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"<html>Please log in</html>", b"\xff\xfe", b"null", b"7", b"{}", b"[7]", b"[[]]", b"[" * 100_000,
        b'{"Code": 200}', b'{"Code": 200, "Data": {"Files": {}}}', b'{"Code": 404, "Message": "no such model"}',
        b'{"Code": 200, "Data": {"Files": [], "TotalCount": 5}}', b'{"sha": "main"}', b'{"sha": 5}',
    ],
)  # fmt: skip
def test_answers_that_are_none(text: bytes) -> None:
    for read in (modelscope_files, huggingface_files, huggingface_commit):
        with pytest.raises(HubError):
            read(text)


@pytest.mark.parametrize(
    ("link", "query"),
    [
        ("", None),
        ('<https://huggingface.co/api/x?recursive=true&cursor=YQ%3D%3D>; rel="next"', "recursive=true&cursor=YQ%3D%3D"),
        ('<https://a/?page=1>; rel="prev", <https://a/?page=3>; rel="next"', "page=3"),
        ("<https://a/?page=3>; rel=next", "page=3"),
        ('<https://a/?page=1>; rel="prev"', None),
        ("nonsense", None),
    ],
)
def test_next_pages(link: str, query: str | None) -> None:
    assert next_query(link) == query


def files(*names: str) -> list[HubFile]:
    return [HubFile(name, 1, SHA256) for name in names]


def test_what_a_served_model_needs() -> None:
    kept, left_out = served(
        files(
            "model-1.safetensors", "config.json", ".gitattributes", ".cache/x", "pytorch_model-1.bin", "model.gguf",
            "original/consolidated.00.pth", "original/params.json", "figures/benchmark.png", "encoding/tokenizer.py",
        )
    )  # fmt: skip
    assert [file.name for file in kept] == [
        "config.json", "encoding/tokenizer.py", "figures/benchmark.png", "model-1.safetensors",
    ]  # fmt: skip
    assert set(left_out.values()) == {"hidden", "another form of the same tensors"}


def test_without_safetensors_other_forms_stay() -> None:
    kept, _ = served(files("pytorch_model.bin", "config.json", "original/x.pt"))
    assert len(kept) == 3


@pytest.mark.parametrize("names", [["a", "a"], [".a", ".a"], [], [".a"], [str(number) for number in range(20_001)]])
def test_listings_that_are_no_model(names: list[str]) -> None:
    with pytest.raises(HubError):
        served(files(*names))

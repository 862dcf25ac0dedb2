"""Items of a collection that came in another form than the module sends: each is Unknown with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts import answer as answers
from mindie_deploy.hosts import engine, paths, ports, weights_directory
from mindie_deploy.hosts.answer import Answer, FileText, Missing
from mindie_deploy.hosts.collection import specification, status_specification
from mindie_deploy.hosts.facts import PathState, SystemFacts, Unknown, WeightsFacts
from mindie_deploy.hosts.read import read_overview
from mindie_deploy.hosts.system import system

ROOT = {"path": "/usr/bin/tool", "exists": True, "kind": "link", "target": "/opt/tool", "target_kind": "file"}


def collected(**items: object) -> dict[str, Any]:
    return {"items": {key.replace("__", "/").replace("_", "-"): value for key, value in items.items()}}


def shell(text: str, status: int = 0) -> dict[str, Any]:
    return {"status": status, "stdout": text, "stderr": "", "error": None}


def file(text: str) -> dict[str, Any]:
    return {"exists": True, "path": "/proc/file", "text": text}


def test_a_look_at_the_npus_alone_asks_for_the_table_and_nothing_else() -> None:
    asked = status_specification(Settings())
    assert [item["key"] for item in asked["items"]] == ["npu-smi/info"]  # type: ignore[attr-defined]
    assert {name: asked[name] for name in ("programs", "values")} == {
        name: specification(Settings())[name] for name in ("programs", "values")
    }
    assert isinstance(read_overview({}), Unknown)


@pytest.mark.parametrize(
    ("collection", "expected"),
    [
        ({}, "not collected"),
        (collected(program__tool={"paths": "no list"}), ""),
        ({**collected(program__tool={"paths": []})}, "nobody looked"),
    ],
)
def test_a_program_of_which_nothing_is_known(collection: dict[str, Any], expected: str) -> None:
    found = paths.program(collection, "tool")
    assert isinstance(found, Unknown) and expected in found.reason


def test_a_program_that_is_a_link_is_what_it_leads_to() -> None:
    collection = {**collected(program__tool={"paths": [ROOT]}), "programs": {"tool": "/usr/bin/tool"}}
    found = paths.program(collection, "tool")
    assert isinstance(found, PathState) and found.kind == "file"
    elsewhere = paths.program({**collection, "programs": {"tool": "/opt/bin/tool"}}, "tool")
    assert elsewhere == PathState("/opt/bin/tool", exists=True, kind="file")


@pytest.mark.parametrize(
    "item",
    [
        None,
        {"error": "Permission denied", "total_bytes": 1, "available_bytes": 1},
        {"total_bytes": -1, "available_bytes": 5},
        {"total_bytes": "much", "available_bytes": True},
    ],
)
def test_a_disk_without_sizes(item: object) -> None:
    assert isinstance(paths.disk(collected(d=item), "d", "/data"), Unknown)


@pytest.mark.parametrize(
    "answer",
    [
        Unknown("no answer"),
        Answer(1, "", "df: no such file"),
        Answer(0, "Filesystem\n"),
        Answer(0, "Filesystem\na b x y z f /\n"),
        Answer(0, "Filesystem\n/dev/a ext4 1 1 1 1% /\n/dev/b ext4 1 1 1 1% /b\n"),
    ],
)
def test_a_table_of_df_that_says_nothing(answer: Answer | Unknown) -> None:
    assert isinstance(paths.disk_of_table(answer, "/data"), Unknown)


def test_sockets_of_which_the_table_is_cut_or_unreadable() -> None:
    assert ports.listening([Unknown("denied")]) == Unknown("denied")
    assert isinstance(ports.listening([FileText("/proc/net/tcp", "", truncated=True)]), Unknown)
    assert isinstance(ports.listening([Missing("/proc/net/tcp")]), Unknown)
    assert isinstance(ports.listening([FileText("/proc/net/tcp", "0: 0:0401 0:0 0A rest")]), Unknown)


def test_a_system_with_all_that_it_may_lack() -> None:
    kernel = shell("Linux node1 5.10.0 aarch64\n")
    bare = system(collected(uname=kernel))
    assert isinstance(bare, SystemFacts)
    assert (bare.page_size, bare.modules, bare.interfaces) == (None, None, {})
    assert bare.addresses == Unknown("addresses/4 was not collected")
    assert bare.memory_total_bytes is None and bare.os_name is None

    whole = system(
        collected(
            uname=kernel,
            page_size=shell("65536\n"),
            modules=file("drv_pcie_host 1 0 - Live 0x0\n\next4 2 1 - Live 0x0\n"),
            meminfo=file("MemTotal:  100 kB\nMemAvailable:   50 kB\nbroken line\n"),
            addresses__4=file("  |-- 10.0.0.2\n     /32 host LOCAL\n  |-- 127.0.0.1\n     /32 host LOCAL\n"),
            addresses__6=file("fe800000000000000000000000000001 02 40 20 80 eth0\n"
                              "20010db8000000000000000000000001 02 40 20 80 eth0\nshort\n"),
            interfaces=shell("2: eth0    inet 10.0.0.2/24 brd 10.0.0.255\n3: bond0@if4 inet6 2001:db8::1/64\n"
                             "1: lo inet 127.0.0.1/8\n4: x inet 1.2.3.999/8\n"),
        )
    )  # fmt: skip
    assert isinstance(whole, SystemFacts)
    assert whole.page_size == 65536 and whole.modules == ("drv_pcie_host", "ext4")
    assert whole.memory_available_bytes == 50 * 1024
    assert whole.addresses == ("10.0.0.2", "2001:db8::1")
    assert whole.interfaces == {"10.0.0.2": "eth0", "2001:db8::1": "bond0"}


@pytest.mark.parametrize("answer", [shell("Linux node1\n"), shell("", 1), None, shell("Linux a b c"), {"status": "0"}])
def test_no_kernel_no_system(answer: object) -> None:
    assert isinstance(system(collected(uname=answer)), Unknown)


@pytest.mark.parametrize("size", ["4095\n", "0\n", "big\n", ""])
def test_a_page_size_that_is_none(size: str) -> None:
    found = system(collected(uname=shell("Linux a b c\n"), page_size=shell(size)))
    assert isinstance(found, SystemFacts) and found.page_size is None


def test_listings_of_the_model_directory_that_say_nothing() -> None:
    assert isinstance(weights_directory.weights({}, "/m"), Unknown)
    assert isinstance(weights_directory.weights(collected(weights={"error": "denied"}), "/m"), Unknown)
    assert isinstance(weights_directory.weights(collected(weights={"entries": [], "truncated": True}), "/m"), Unknown)
    entries = [
        {"name": "a", "kind": "file", "size": 5, "mode": "0640"},
        {"name": "b", "kind": "file", "size": -5},
        {"name": "c", "kind": "directory", "size": 5},
        {"kind": "file", "size": 5},
        "text",
    ]
    found = weights_directory.weights(collected(weights={"entries": entries}), "/m")
    assert isinstance(found, WeightsFacts) and found.files == {"a": 5} and found.file_modes == {"a": "0640"}


@pytest.mark.parametrize(
    "source",
    [
        Unknown("denied"),
        Missing("/m/config.json"),
        FileText("/m/config.json", "{}", truncated=True),
        FileText("/m/config.json", "{"),
        FileText("/m/config.json", "[" * 100_000),
        FileText("/m/config.json", "[1]"),
    ],
)
def test_a_configuration_that_cannot_be_read(source: Any) -> None:
    found = weights_directory.configuration(source)
    assert isinstance(found, Unknown) and found.reason


@pytest.mark.parametrize(
    "item", [None, "text", {"error": "denied"}, {"timed_out": True}, {"exists": True, "path": "/f"}, {"text": 5}]
)
def test_a_file_without_text(item: object) -> None:
    assert isinstance(answers.file_text(collected(f=item), "f"), Unknown)


def test_an_engine_of_which_nothing_is_known() -> None:
    assert isinstance(engine.engine(Unknown("no answer"), Unknown("no answer"), "name"), Unknown)

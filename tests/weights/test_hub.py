"""From a repository to a manifest, against a hub on this machine; and the hosts' reader with what comes of it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.errors import ExitCode, UsageError
from mindie_deploy.remote.hub_client import HubClient
from mindie_deploy.weights.hub import HubModel, HubSource, origin_spec, parse_hub_source, prove, read_hub
from mindie_deploy.weights.hub_facts import hub_scan, read_shards
from mindie_deploy.weights.hub_web import HubError, HubUnreachableError
from mindie_deploy.weights.manifest import ManifestError
from mindie_deploy.weights.model import judge_model
from mindie_deploy.weights.source import SourceKind
from tests.weights.fake_hub import REPOSITORY, SHA, FakeHub, serving
from tests.weights.fake_proxy import proxying
from tests.weights.hub_models import model

KINDS = ["huggingface", "modelscope", "http"]
LEFT_OUT = {".gitattributes", "pytorch_model.bin"}


def checksums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()).encode()


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    files = model()
    with serving(FakeHub({**files, "SHA256SUMS": checksums(files)})) as one:
        yield one


def source_of(hub: FakeHub, kind: str, revision: str = "") -> HubSource:
    text = f"{hub.endpoint}/dir" if kind == "http" else f"{kind}:{REPOSITORY}"
    return parse_hub_source(text, revision, hub.endpoint)


def client(hub: FakeHub, kind: str = "huggingface", **settings: Any) -> HubClient:
    return HubClient(source_of(hub, kind), sleep=lambda _: None, **settings)


def read(hub: FakeHub, kind: str = "huggingface", revision: str = "", **settings: Any) -> HubModel:
    with client(hub, kind, **settings) as web:
        return read_hub(source_of(hub, kind, revision), web)


def test_sources() -> None:
    assert parse_hub_source("huggingface:a/b") == HubSource(
        SourceKind.HUGGINGFACE, "https://huggingface.co", "a/b", "main"
    )
    mirrored = parse_hub_source("modelscope:a/b", "v1", "https://mirror.example/")
    assert mirrored == HubSource(SourceKind.MODELSCOPE, "https://mirror.example", "a/b", "v1")
    assert mirrored.label == "modelscope:a/b@v1 at https://mirror.example"
    assert parse_hub_source("https://mirror.example/r1").label == "https://mirror.example/r1/"
    for text in ("", "controller:/data", "huggingface:x"):
        with pytest.raises(UsageError):
            parse_hub_source(text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_repository_becomes_a_manifest(hub: FakeHub, kind: str) -> None:
    hub.page_size = 3
    with client(hub, kind) as web:
        found = read_hub(source_of(hub, kind), web)
        before = len(hub.seen)
        manifest = prove(found, web)
    if kind != "http":
        assert found.source.revision == SHA
    wanted = {name: content for name, content in hub.files.items() if name not in LEFT_OUT}
    if kind == "http":
        del wanted["SHA256SUMS"]
    assert {file.name: (file.size, file.sha256) for file in manifest.files} == {
        name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in wanted.items()
    }
    assert found.pinned
    assert set(found.left_out) == (LEFT_OUT - {".gitattributes"} if kind == "http" else LEFT_OUT)
    assert not any(".safetensors?" in one.path for one in hub.asked("cdn")), "no shard was touched"
    if kind != "huggingface":
        assert len(hub.seen) == before, "all digests were told"


@pytest.mark.parametrize("kind", KINDS)
def test_the_hosts_read_what_the_controller_found(hub: FakeHub, kind: str) -> None:
    sys.path.insert(0, str(Path(__file__).parents[2] / "plugins"))
    try:
        from mindie_exchange.hub import HttpOrigin
    finally:
        sys.path.pop(0)
    hub.token = "hf_secret"
    with client(hub, kind, token=hub.token) as web:
        found = read_hub(source_of(hub, kind), web)
        manifest = prove(found, web)
    origin = HttpOrigin(origin_spec(found, token=hub.token))
    for file in manifest.files:
        # in two parts: the gateway of ModelScope gives small files from their beginning only
        content = bytearray(file.size)
        half = file.size // 2
        origin.read_into(file.name, 0, memoryview(content)[:half])
        origin.read_into(file.name, half, memoryview(content)[half:])
        assert hashlib.sha256(content).hexdigest() == file.sha256, file.name
    origin.close()
    assert all("Authorization" not in one.headers and "Cookie" not in one.headers for one in hub.asked("cdn"))


def test_fp8_is_seen_before_a_shard_moves() -> None:
    files = model(quantization_config={"quant_method": "fp8"})
    with serving(FakeHub(files)) as hub:
        problems = judge_model(hub_scan(read(hub)))
        assert [problem.id for problem in problems if problem.severity == "block"] == ["model-fp8"]
        assert not any(".safetensors?" in one.path for one in hub.asked("cdn"))


@pytest.mark.parametrize("kind", ["huggingface", "http"])
def test_headers_of_shards_are_read_on_request(kind: str) -> None:
    files = model(dtype="F8_E4M3")
    files["model-2.safetensors"] = files["model-2.safetensors"][:-1]
    with serving(FakeHub({**files, "SHA256SUMS": checksums(files)})) as hub:
        with client(hub, kind) as web:
            found = read_hub(source_of(hub, kind), web)
            shards = read_shards(found, web)
        assert shards["model-1.safetensors"].dtypes == {"F8_E4M3": 2}
        assert shards["model-1.safetensors"].absent == 0
        assert "promises 200 bytes of tensors and the file has 199" in str(shards["model-2.safetensors"].error)
        ids = {problem.id for problem in judge_model(hub_scan(found, shards))}
        assert {"model-fp8", "model-shard-broken"} <= ids


def test_a_tensor_that_is_not_where_the_index_says() -> None:
    files = model()
    index = json.loads(files["model.safetensors.index.json"])
    index["weight_map"]["z"] = "model-1.safetensors"
    index["weight_map"]["y"] = "model-9.safetensors"
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    with serving(FakeHub(files)) as hub, client(hub) as web:
        found = read_hub(source_of(hub, "huggingface"), web)
        shards = read_shards(found, web)
    assert (shards["model-1.safetensors"].absent, shards["model-1.safetensors"].absent_names) == (1, ("z",))
    ids = {problem.id for problem in judge_model(hub_scan(found, shards))}
    assert ids == {"model-shard-missing", "model-tensor-missing"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", b"[1]", "not a JSON object"),
        ("config.json", None, "missing"),
        ("model.safetensors.index.json", b"{}", "weight_map"),
        ("model.safetensors.index.json", b"\xff", "not a JSON object"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": 1}}', "weight_map"),
    ],
)
def test_small_files_that_are_none(hub: FakeHub, name: str, content: bytes | None, said: str) -> None:
    hub.files = {key: value for key, value in hub.files.items() if key != name}
    if content is not None:
        hub.files[name] = content
    problems = judge_model(hub_scan(read(hub)))
    assert said in " ".join(problem.message for problem in problems if problem.severity == "block")


@pytest.mark.parametrize(
    ("kind", "revision", "said"),
    [("huggingface", "absent", "Invalid rev id"), ("modelscope", "absent", "revision not found")],
)
def test_revisions_that_are_not_there(hub: FakeHub, kind: str, revision: str, said: str) -> None:
    with pytest.raises(HubError, match=said) as caught:
        read(hub, kind, revision)
    assert "mindie_weights_revision" in caught.value.remedy
    assert caught.value.exit_code is ExitCode.CHECK_FAILED


def test_a_branch_with_a_slash(hub: FakeHub) -> None:
    assert read(hub, revision="refs/pr/1").source.revision == SHA


def test_modelscope_without_a_commit_pins_each_file(hub: FakeHub) -> None:
    hub.faults.commit_hidden = True
    found = read(hub, "modelscope")
    assert found.pinned
    assert all(f"/resolve/{SHA}/" in file.url for file in found.files)
    assert found.source.revision == "master"


def test_a_token_is_asked_for(hub: FakeHub) -> None:
    hub.token = "hf_secret"
    with pytest.raises(HubError, match="401") as caught:
        read(hub)
    assert "mindie_weights_hub_token" in caught.value.remedy
    assert len(prove_all(hub, token="hf_secret")) == len(hub.files) - len(LEFT_OUT)
    assert all("Authorization" not in one.headers for one in hub.asked("cdn"))


def prove_all(hub: FakeHub, **settings: Any) -> set[str]:
    with client(hub, **settings) as web:
        return set(prove(read_hub(source_of(hub, "huggingface"), web), web).by_name)


def test_pages_come_from_the_mirror_that_was_asked(hub: FakeHub) -> None:
    hub.page_size = 8
    hub.faults.page_link = f"https://huggingface.co/api/models/{REPOSITORY}/tree/{SHA}?recursive=true&cursor=8"
    assert len(prove_all(hub)) == len(hub.files) - len(LEFT_OUT)


def test_pages_without_end(hub: FakeHub) -> None:
    hub.page_size = 3
    hub.faults.page_link = f"{hub.endpoint}/?recursive=true&cursor=0"
    with pytest.raises(HubError, match="no end"):
        read(hub)


@pytest.mark.parametrize("kind", ["huggingface", "modelscope"])
@pytest.mark.parametrize("listing", [{}, [], "x", None, [{"type": "file"}], {"Code": 200, "Data": {"Files": [1]}}])
def test_hostile_listings(hub: FakeHub, kind: str, listing: object) -> None:
    hub.faults.listing = {"error": listing} if listing is None else listing
    with pytest.raises(HubError):
        read(hub, kind)


def test_a_file_that_is_not_what_the_listing_says(hub: FakeHub) -> None:
    with client(hub) as web:
        found = read_hub(source_of(hub, "huggingface"), web)
        hub.files["README.md"] = hub.files["README.md"][::-1]
        with pytest.raises(HubError, match="git id"):
            prove(found, web)
        hub.files["README.md"] += b"more"
        with pytest.raises(HubError, match=r"README\.md has more bytes"):
            prove(found, web)


def test_large_files_without_a_digest_are_refused(hub: FakeHub) -> None:
    hub.files["vocabulary.txt"] = bytes(64 * 1024 * 1024)
    hub.large_from = 1 << 40
    with client(hub) as web, pytest.raises(HubError, match=r"vocabulary\.txt"):
        prove(read_hub(source_of(hub, "huggingface"), web), web)


def test_a_directory_without_checksums(hub: FakeHub) -> None:
    del hub.files["SHA256SUMS"]
    with pytest.raises(HubError, match="404") as caught:
        read(hub, "http")
    assert "SHA256SUMS" in caught.value.remedy


def test_a_directory_with_bad_checksums(hub: FakeHub) -> None:
    hub.files["SHA256SUMS"] = b"nonsense\n"
    with pytest.raises(ManifestError):
        read(hub, "http")
    hub.files["SHA256SUMS"] = b"0" * 64 + b"  ../../etc/passwd\n"
    with pytest.raises(ManifestError):
        read(hub, "http")
    hub.files["SHA256SUMS"] = bytes(5 * 1024 * 1024)
    with pytest.raises(HubError, match="more than"):
        read(hub, "http")
    hub.files["SHA256SUMS"] = b"0" * 64 + b"  config.json\n"
    with pytest.raises(HubError, match="sha256"):
        read(hub, "http")


def test_a_directory_of_a_server_without_ranges(hub: FakeHub) -> None:
    hub.faults.no_ranges = True
    assert {file.name: file.size for file in read(hub, "http").files}["tokenizer.json"] == 5002
    hub.faults.length_hidden = True
    with pytest.raises(HubError, match="does not tell its size"):
        read(hub, "http")


def test_errors_that_pass(hub: FakeHub) -> None:
    hub.faults.too_many, hub.faults.too_many_at = 3, "hub"
    hub.faults.cut, hub.faults.cut_after = 2, 20
    hub.faults.broken = 1
    assert len(prove_all(hub)) == len(hub.files) - len(LEFT_OUT)


def test_errors_that_stay(hub: FakeHub) -> None:
    hub.faults.too_many, hub.faults.too_many_at = 1000, "hub"
    with pytest.raises(HubUnreachableError, match="429"):
        read(hub)
    with pytest.raises(HubUnreachableError) as caught:
        read(FakeHub({}, endpoint="http://127.0.0.1:9"))
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    assert "mindie_weights_proxy" in caught.value.remedy


def test_waiting_is_as_long_as_told_but_not_for_ever(hub: FakeHub) -> None:
    waits: list[float] = []
    hub.faults.too_many, hub.faults.too_many_at, hub.faults.retry_after = 1, "hub", "17"
    with HubClient(source_of(hub, "huggingface"), sleep=waits.append) as web:
        web.get(f"{hub.endpoint}/{REPOSITORY}/resolve/{SHA}/config.json", largest=1000)
        hub.faults.too_many, hub.faults.retry_after = 1, "86400"
        web.get(f"{hub.endpoint}/{REPOSITORY}/resolve/{SHA}/config.json", largest=1000)
    assert waits == [17, 60]


@pytest.mark.parametrize("where", ["ftp://127.0.0.1/", "file:///etc/passwd"])
def test_redirects_that_lead_nowhere(hub: FakeHub, where: str) -> None:
    hub.faults.elsewhere = where
    with client(hub) as web, pytest.raises(HubError, match="redirects"):
        web.get(f"{hub.endpoint}/{REPOSITORY}/resolve/{SHA}/tokenizer.json", largest=10)


def test_redirects_without_end(hub: FakeHub) -> None:
    hub.faults.circle = True
    with client(hub) as web, pytest.raises(HubError, match="more than 5"):
        web.get(f"{hub.endpoint}/{REPOSITORY}/resolve/{SHA}/tokenizer.json", largest=10)


def test_proxies(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert read(hub).files
    with proxying() as proxy:
        assert read(hub, proxy=f"http://me:secret@{proxy.address}").files
        assert len(proxy.seen) >= 3


def test_a_ca_file_that_is_none(hub: FakeHub) -> None:
    with pytest.raises(UsageError, match="mindie_weights_hub_ca_file"):
        client(hub, ca_file="/nonexistent")


def test_the_spec_for_hosts(hub: FakeHub) -> None:
    found = read(hub, "modelscope")
    spec = origin_spec(found, token="t0ken", proxy="http://p:1", ca_file="/ca.pem")
    assert spec["headers"] == {"Authorization": "Bearer t0ken", "Cookie": "m_session_id=t0ken"}
    assert spec["proxy"] == {"http": "http://p:1", "https": "http://p:1", "no": ""}
    assert set(json.loads(json.dumps(spec))) == {"urls", "sizes", "headers", "proxy", "ca_file", "timeout"}
    assert origin_spec(found)["headers"] == {}
    assert origin_spec(found)["proxy"] is None

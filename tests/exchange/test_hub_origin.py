"""Ranges of files from web servers, as hosts read them: under this Python and under the oldest one that hosts have."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.interpreters import PYTHONS
from tests.weights.fake_hub import REPOSITORY, SHA, FakeHub, serving
from tests.weights.fake_proxy import proxying

HERE = Path(__file__).parent
PLUGINS = HERE.parents[1] / "plugins"
SHARD = bytes(hashlib.shake_256(b"shard").digest(300_000))
SMALL = b'{"model_type": "deepseek_v3"}'
NAMES = {"model-1.safetensors": SHARD, "config.json": SMALL, "name with ä space.txt": b"x" * 40, "empty": b""}


@pytest.fixture(params=PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with serving(FakeHub(dict(NAMES), token="hf_secret")) as one:
        yield one


def run(
    python: str, spec: dict[str, object], reads: Sequence[tuple[str, int, int]], threads: int = 1
) -> dict[str, Any]:
    """Reads in another process, which must not care for the proxies of its environment."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PLUGINS), "http_proxy": "http://127.0.0.1:9"}
    task = json.dumps({"spec": spec, "reads": reads, "threads": threads})
    done = subprocess.run(
        [python, str(HERE / "origin_driver.py")],
        input=task, capture_output=True, text=True, timeout=60, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def shard(python: str, hub: FakeHub, offset: int = 0, length: int = len(SHARD), **changes: object) -> dict[str, Any]:
    """Reads a part of the shard, with what came of it under "result"."""
    told = run(python, hub.origin_spec(**changes), [("model-1.safetensors", offset, length)])
    told["result"] = told["results"][0]
    return told


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_whole(told: dict[str, Any], offset: int = 0, length: int = len(SHARD)) -> bool:
    return bool(told["result"] == {"sha256": sha256(SHARD[offset : offset + length])})


def test_all_kinds_of_files_and_ranges(python: str, hub: FakeHub) -> None:
    reads = [(name, 0, len(content)) for name, content in NAMES.items()]
    reads += [("model-1.safetensors", 299_999, 1), ("model-1.safetensors", 1000, 0), ("config.json", 3, 5)]
    told = run(python, hub.origin_spec(), reads)
    expected = [sha256(NAMES[name][offset : offset + length]) for name, offset, length in reads]
    assert told["results"] == [{"sha256": digest} for digest in expected]
    assert told["failures"] == told["bytes_asked_twice"] == 0
    assert told["bytes_received"] == sum(length for _, _, length in reads)
    assert told["rate"] > 0
    assert told["waits"] == []


def test_the_login_is_for_the_hub_only(python: str, hub: FakeHub) -> None:
    told = shard(python, hub)
    assert is_whole(told)
    assert [one.headers["Authorization"] for one in hub.asked("hub")] == ["Bearer hf_secret"]
    assert all("Authorization" not in one.headers for one in hub.asked("cdn"))
    assert all(one.headers["Accept-Encoding"] == "identity" for one in hub.seen)


def test_a_redirect_within_the_hub_keeps_the_login(python: str, hub: FakeHub) -> None:
    hub.faults.elsewhere = "/dir/model-1.safetensors"
    told = shard(python, hub, 1000, 5000)
    assert is_whole(told, 1000, 5000)
    assert [one.headers.get("Authorization") for one in hub.seen] == ["Bearer hf_secret"] * 2


def test_a_signed_target_is_remembered_and_asked_anew_when_it_has_expired(python: str, hub: FakeHub) -> None:
    hub.faults.uses = 4
    told = run(python, hub.origin_spec(), [("model-1.safetensors", start, 1000) for start in range(0, 10_000, 1000)])
    assert [set(one) for one in told["results"]] == [{"sha256"}] * 10
    assert len(hub.asked("hub")) == 3
    assert told["targets_asked_anew"] == 2
    assert told["failures"] == 0
    assert told["waits"] == []


def test_a_new_target_that_is_refused_is_not_asked_for_ever(python: str, hub: FakeHub) -> None:
    hub.faults.refuse = 1
    assert is_whole(shard(python, hub))
    hub.faults.refuse = 100
    told = shard(python, hub)
    assert told["result"]["final"]
    assert "403" in told["result"]["error"]
    assert "Request has expired" in told["result"]["error"], "the server's own words tell why"
    assert "Signature" not in told["result"]["error"], "a signed URL is as good as a login"
    assert len(hub.asked("hub")) <= 4


def test_cut_connections_go_on_at_the_byte_reached(python: str, hub: FakeHub) -> None:
    hub.faults.cut, hub.faults.cut_after = 3, 70_000
    told = shard(python, hub)
    assert is_whole(told)
    assert told["failures"] == 3
    assert told["bytes_received"] == len(SHARD), "no byte came twice"
    assert told["bytes_asked_twice"] == 230_000 + 160_000 + 90_000
    ranges = [one.headers["Range"] for one in hub.asked("cdn")]
    assert ranges == [f"bytes={start}-299999" for start in (0, 70_000, 140_000, 210_000)]
    assert len(told["waits"]) == 3


def test_without_progress_it_ends_after_eight_tries(python: str, hub: FakeHub) -> None:
    hub.faults.broken = 1000
    told = shard(python, hub)
    assert not told["result"]["final"]
    assert "no progress in 8 tries" in told["result"]["error"]
    assert "500" in told["result"]["error"]
    assert len(told["waits"]) == 7
    longest = [min(30, 0.5 * 2**number) for number in range(7)]
    assert all(most / 2 <= wait <= most for most, wait in zip(longest, told["waits"], strict=True))


def test_a_few_bytes_per_connection_are_no_progress(python: str, hub: FakeHub) -> None:
    hub.faults.cut, hub.faults.cut_after = 1000, 100
    told = shard(python, hub)
    assert "no progress in 8 tries" in told["result"]["error"]


@pytest.mark.parametrize("words", ["7", "date"])
def test_too_many_requests_wait_as_told(python: str, hub: FakeHub, words: str) -> None:
    hub.faults.too_many = 2
    hub.faults.retry_after = formatdate(time.time() + 8, usegmt=True) if words == "date" else words
    told = shard(python, hub)
    assert is_whole(told)
    assert len([wait for wait in told["waits"] if 5 < wait < 9]) == 2
    assert told["failures"] == 2


def test_too_long_a_wait_is_capped_and_told(python: str, hub: FakeHub) -> None:
    hub.faults.too_many, hub.faults.too_many_at, hub.faults.retry_after = 100, "hub", "86400"
    told = shard(python, hub)
    assert told["result"]["retry_after"] == 300
    assert not told["result"]["final"]
    assert max(told["waits"]) < 301


def test_the_rate_limit_header_is_read_too(python: str) -> None:
    sys.path.insert(0, str(PLUGINS))
    try:
        from mindie_exchange.hub_answer import pause_of
    finally:
        sys.path.remove(str(PLUGINS))
    from email.message import Message

    headers = Message()
    headers["RateLimit"] = '"api";r=0;t=55'
    assert pause_of(headers, 0.0) == 55
    headers["Retry-After"] = "nonsense"
    assert pause_of(headers, 0.0) == 55
    assert pause_of(Message(), 0.0) is None


def test_a_wrong_range_is_asked_again(python: str, hub: FakeHub) -> None:
    hub.faults.wrong_range = 2
    told = shard(python, hub, 1000, 5000)
    assert is_whole(told, 1000, 5000)
    assert told["failures"] == 2


def test_a_changed_size_is_final(python: str, hub: FakeHub) -> None:
    hub.faults.wrong_total = True
    told = shard(python, hub)
    assert told["result"]["final"]
    assert "300001 bytes, not 300000" in told["result"]["error"]
    hub.faults.wrong_total = False
    told = shard(python, hub, sizes={"model-1.safetensors": 300_005})
    assert told["result"]["final"]
    assert "the hub's file has 300000 bytes" in told["result"]["error"]
    told = run(python, hub.origin_spec(sizes={"config.json": 500}), [("config.json", 200, 300)])
    assert told["results"][0]["final"], "416"


@pytest.mark.parametrize("fault", ["same_tags", "same_linked_tags"])
def test_a_changed_tag_is_final(python: str, hub: FakeHub, fault: str) -> None:
    hub.faults.uses = 1  # so that the hub is asked each time
    setattr(hub.faults, fault, 2)
    told = run(python, hub.origin_spec(), [("model-1.safetensors", start, 1000) for start in range(0, 3000, 1000)])
    assert [set(one) == {"sha256"} for one in told["results"]] == [True, True, False]
    assert told["results"][2]["final"]
    assert "changed from" in told["results"][2]["error"]


def test_weak_tags_say_nothing(python: str, hub: FakeHub) -> None:
    hub.faults.weak_tags = True
    told = run(python, hub.origin_spec(), [("model-1.safetensors", 0, 10), ("model-1.safetensors", 10, 10)])
    assert all("sha256" in one for one in told["results"])


def test_a_server_without_ranges_is_read_up_to_what_is_wanted(python: str, hub: FakeHub) -> None:
    hub.faults.no_ranges = True
    assert is_whole(shard(python, hub, 0, 1000), 0, 1000)
    told = shard(python, hub, 5000, 1000)
    assert is_whole(told, 5000, 1000)
    assert told["bytes_asked_twice"] == 5000
    assert told["bytes_received"] == 1000
    hub.faults.length_hidden = True
    assert is_whole(shard(python, hub, 5000, 1000), 5000, 1000)


def test_far_behind_the_beginning_a_server_without_ranges_is_useless(python: str, hub: FakeHub) -> None:
    hub.faults.no_ranges = True
    hub.files["large.safetensors"] = bytes(64 * 1024 * 1024 + 2)
    told = run(python, hub.origin_spec(), [("large.safetensors", 64 * 1024 * 1024 + 1, 1)])
    assert told["results"][0]["final"]
    assert "no ranges" in told["results"][0]["error"]


def test_a_server_that_gives_the_range_and_says_200(python: str, hub: FakeHub) -> None:
    hub.faults.quiet_ranges = True
    assert is_whole(shard(python, hub, 5000, 1000), 5000, 1000)


def test_a_page_in_place_of_the_file_is_final(python: str, hub: FakeHub) -> None:
    spec = hub.origin_spec()
    spec["urls"] = {"absent": f"{hub.endpoint}/models/{REPOSITORY}/resolve/{SHA}/absent"}
    spec["sizes"] = {"absent": 4000}
    told = run(python, spec, [("absent", 0, 100)])
    assert told["results"][0]["final"]
    assert "the file has 4000: it changed" in told["results"][0]["error"]


def test_a_body_without_length_ends_with_the_connection(python: str, hub: FakeHub) -> None:
    hub.faults.length_hidden = True
    assert is_whole(shard(python, hub))


def test_an_encoded_body_is_refused(python: str, hub: FakeHub) -> None:
    hub.faults.encoded = True
    assert shard(python, hub)["result"]["final"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"headers": {}}, "401"),
        ({"urls": {"model-1.safetensors": "ftp://127.0.0.1/x"}}, "ftp"),
        ({"urls": {"model-1.safetensors": "http://u:p@127.0.0.1/x"}}, "a login in it"),
        ({"headers": {"Authorization": "a\r\nb: c"}}, "header"),
        ({"urls": {}}, "no file"),
        ({"ca_file": "/nonexistent"}, "/nonexistent"),
        ({"proxy": {"http": "https://127.0.0.1:1"}}, "http://host:port"),
    ],
)
def test_what_cannot_work_is_final_at_once(python: str, hub: FakeHub, changes: dict[str, object], said: str) -> None:
    told = run(python, hub.origin_spec(**changes), [("model-1.safetensors", 0, 10)])
    assert told["results"][0]["final"]
    assert said in told["results"][0]["error"]
    assert not told.get("waits")


def test_a_missing_file_is_final(python: str, hub: FakeHub) -> None:
    spec = hub.origin_spec(urls={"model-1.safetensors": f"{hub.endpoint}/{REPOSITORY}/resolve/{SHA}/absent"})
    told = run(python, spec, [("model-1.safetensors", 0, 10)])
    assert told["results"][0]["final"]
    assert "404" in told["results"][0]["error"]
    assert "Entry not found" in told["results"][0]["error"]


def test_nothing_listens(python: str, hub: FakeHub) -> None:
    told = run(python, hub.origin_spec(urls={"config.json": "http://127.0.0.1:9/x"}), [("config.json", 0, 10)])
    assert not told["results"][0]["final"]
    assert "127.0.0.1:9" in told["results"][0]["error"]


def test_redirects_without_end(python: str, hub: FakeHub) -> None:
    hub.faults.circle = True
    told = shard(python, hub)
    assert told["result"]["final"]
    assert "redirects more than 5 times" in told["result"]["error"]


@pytest.mark.parametrize("where", ["file:///etc/passwd", "http://u:p@127.0.0.1/x", "http://"])
def test_redirects_that_lead_nowhere(python: str, hub: FakeHub, where: str) -> None:
    hub.faults.elsewhere = where
    told = shard(python, hub)
    assert told["result"]["final"]
    assert "u:p" not in told["result"]["error"]


def test_a_trickle_is_no_transfer(python: str, hub: FakeHub) -> None:
    hub.faults.trickle = True
    told = shard(python, hub, timeout=0.2)
    assert "no progress in 8 tries" in told["result"]["error"]
    assert "bytes came within" in told["result"]["error"]


def test_many_threads_share_an_origin(python: str, hub: FakeHub) -> None:
    hub.faults.cut, hub.faults.cut_after, hub.faults.uses, hub.faults.broken = 5, 1000, 7, 3
    reads = [("model-1.safetensors", start, 5000) for start in range(0, 300_000, 5000)]
    told = run(python, hub.origin_spec(), reads, threads=8)
    assert told["results"] == [{"sha256": sha256(SHARD[start : start + 5000])} for _, start, _ in reads]
    assert told["bytes_received"] == len(SHARD)


def test_connections_are_used_again(python: str, hub: FakeHub) -> None:
    reads = [("model-1.safetensors", start, 5000) for start in range(0, 100_000, 5000)]
    told = run(python, hub.origin_spec(), reads)
    assert told["requests"] == 21
    assert len({one.headers.get("Host") for one in hub.seen}) == 2


def test_proxies_are_used_when_told_so(python: str, hub: FakeHub) -> None:
    login = "Basic " + base64.b64encode(b"me:p w").decode()
    with proxying(login) as proxy:
        by_proxy = {"http": f"http://me:p%20w@{proxy.address}", "https": "", "no": ""}
        assert is_whole(shard(python, hub, proxy=by_proxy))
        assert len(proxy.seen) == 2
        assert all(one[1] == login for one in proxy.seen)
        assert all("Proxy-Authorization" not in one.headers for one in hub.seen)
        told = shard(python, hub, proxy={"http": f"http://{proxy.address}"})
        assert told["result"]["final"], "407"
        before = len(proxy.seen)
        for no in ("127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", "*"):
            assert is_whole(shard(python, hub, proxy={**by_proxy, "no": no}))
        assert len(proxy.seen) == before


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    place = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (place / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    (place / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    )
    return place / "cert.pem", place / "key.pem"


def test_certificates_are_checked(python: str, certificate: tuple[Path, Path]) -> None:
    with serving(FakeHub(dict(NAMES)), certificate) as hub, proxying() as proxy:
        told = run(python, hub.origin_spec(), [("config.json", 0, len(SMALL))])
        assert told["results"][0]["final"]
        assert "mindie_weights_hub_ca_file" in told["results"][0]["error"]
        trusted = hub.origin_spec(ca_file=str(certificate[0]))
        told = run(python, trusted, [("config.json", 0, len(SMALL)), ("model-1.safetensors", 0, 10)])
        assert told["results"][0] == {"sha256": sha256(SMALL)}
        assert "from https to http" in told["results"][1]["error"]
        assert told["results"][1]["final"]
        by_proxy = {**trusted, "proxy": {"https": f"http://{proxy.address}"}}
        told = run(python, by_proxy, [("config.json", 0, len(SMALL)), ("config.json", 5, 3)])
        assert "sha256" in told["results"][0]
        assert [one[0].split()[0] for one in proxy.seen] == ["CONNECT"], "one tunnel for both requests"

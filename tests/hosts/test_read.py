"""From a whole collection to a host's facts: a healthy host, one that cannot be asked, and hostile contents."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from mindie_deploy.hosts.collection import specification
from mindie_deploy.hosts.facts import HostFacts, NpuOverview, Unknown
from mindie_deploy.hosts.read import read
from tests.hosts.samples import sample
from tests.hosts.typecheck import mismatch

SETTINGS = cast(
    Any,
    SimpleNamespace(
        deployment="deepseek-r1",
        model_path="/data/models/R1",
        npus_per_host=8,
        npu_smi_path="",
        hccn_tool_path="",
        engine="docker",
        image="mindie:2.0",
        state_directory="/var/lib/mindie-deploy",
    ),
)
RELATED = {"/data/models/R1", "/var/lib/mindie-deploy"}


def command(name: str) -> dict[str, object]:
    """An item of the collection with a sample's answer."""
    answer = sample(name).answer
    return {
        "status": answer.status,
        "stdout": answer.stdout,
        "stderr": answer.stderr,
        "error": None,
        "timed_out": False,
    }


def words(text: str, status: int = 0) -> dict[str, object]:
    return {
        "status": status,
        "stdout": f"{text}\n",
        "stderr": "",
        "error": None,
        "timed_out": False,
        "truncated": False,
    }


def healthy() -> dict[str, Any]:
    """A collection of a host without faults."""
    items: dict[str, object] = {
        "npu-smi/info": command("info-idle-8-neutral"),
        "npu-smi/topology": command("topo-all-hccs-default"),
        "engine/info": words(json.dumps({"ServerVersion": "24.0.7", "DockerRootDir": "/data/docker"})),
        "engine/containers": words(""),
        "engine/image": words(json.dumps([{"Id": "sha256:" + "b" * 64}])),
        "disk/engine": words(
            "Filesystem Type 1024-blocks Used Available Capacity Mounted on\n/dev/sda ext4 100 40 60 40% /\n"
        ),
        "disk/model": {"path": "/data/models", "ancestor": "/data", "total_bytes": 10, "available_bytes": 5},
        "program/npu-smi": {
            "paths": [
                {"path": "/usr/local/bin/npu-smi", "exists": False},
                {
                    "path": "/usr/local/sbin/npu-smi",
                    "exists": True,
                    "kind": "link",
                    "target_kind": "file",
                    "mode": "0777",
                },
            ]
        },
        "weights": {
            "exists": True,
            "real_path": "/mnt/R1",
            "mode": "0750",
            "uid": 0,
            "entries": [
                {"name": "model.safetensors.index.json", "kind": "file", "size": 3, "mode": "0640"},
                {"name": "sub", "kind": "directory", "size": 3, "mode": "0750"},
                {"name": "dangling", "link": True, "error": "No such file or directory"},
            ],
        },
        "weights/config": {
            "path": "/data/models/R1/config.json",
            "exists": True,
            "text": '{"torch_dtype": "bfloat16"}',
        },
    }
    for npu in range(8):
        board = sample("board-compat-ok-0").answer.stdout.replace(": 0\n", f": {npu}\n", 1)
        items[f"npu-smi/board/{npu}"] = words(board)
        items[f"npu-smi/health/{npu}"] = words("\tHealth Status : OK\n\tError Code : NA\n\tError Information : NA\n")
        items[f"hccn/{npu}/ip"] = words(f"ipaddr:10.0.{npu}.1\nnetmask:255.255.255.0\n")
        items[f"hccn/{npu}/link"] = words("link status: UP\n")
        items[f"hccn/{npu}/tls"] = words(f"dev_id:{npu}, tls switch[0](0:disable, 1:enable)\n")
    return {
        "started": 1000.5,
        "finished": 1002.5,
        "seconds": 2.0,
        "python": "3.7.9",
        "programs": {"npu-smi": "/usr/local/sbin/npu-smi", "hccn_tool": None},
        "items": items,
    }


def test_a_healthy_host() -> None:
    facts = read("host1", healthy(), SETTINGS, requested_at=1000.0, answered_at=1003.0)
    assert facts.name == "host1"
    assert isinstance(facts.overview, NpuOverview) and len(facts.overview.npus) == 8
    assert facts.hccn[7].address == "10.0.7.1" and facts.hccn[7].link_up is True and facts.hccn[7].tls is False
    assert facts.npu_error_codes[3] == ()
    assert not isinstance(facts.topology, Unknown) and len(facts.topology) == 56
    assert not isinstance(facts.npu_smi, Unknown)
    assert (facts.npu_smi.path, facts.npu_smi.kind) == ("/usr/local/sbin/npu-smi", "file")
    assert {*facts.disks} == {*RELATED, "/data/docker"}
    assert not isinstance(facts.disks["/data/docker"], Unknown)
    assert facts.disks["/data/docker"].available_bytes == 60 * 1024
    assert not isinstance(facts.weights, Unknown)
    assert facts.weights.index_present and list(facts.weights.files) == ["model.safetensors.index.json"]
    assert facts.weights.configuration == {"torch_dtype": "bfloat16"}
    assert not isinstance(facts.clock, Unknown) and abs(facts.clock.skew_s) <= facts.clock.uncertainty_s
    assert mismatch(facts, HostFacts) is None


def test_what_timed_out_or_is_missing_says_so() -> None:
    collection = healthy()
    collection["items"]["npu-smi/info"] = {
        "status": None,
        "stdout": "",
        "timed_out": True,
        "error": "no answer within 60 s",
    }
    collection["items"]["hccn/5/link"] = words("hccn_tool is busy, please try again.\n", 11)
    del collection["items"]["weights"]
    facts = read("host1", collection, SETTINGS)
    assert facts.overview == Unknown("npu-smi/info: no answer within 60 s")
    assert isinstance(facts.hccn[5].link_up, Unknown) and "busy" in facts.hccn[5].link_up.reason
    assert facts.weights == Unknown("weights was not collected")
    assert isinstance(facts.clock, Unknown)


def test_weights_that_are_not_there_are_an_answer() -> None:
    collection = healthy()
    collection["items"]["weights"] = {"exists": False, "error": "No such file or directory"}
    facts = read("host1", collection, SETTINGS)
    assert not isinstance(facts.weights, Unknown) and facts.weights.exists is False


def test_every_item_that_is_read_is_asked_for() -> None:
    asked = [item["key"] for item in cast(list[dict[str, Any]], specification(SETTINGS)["items"])]
    assert len(asked) == len(set(asked))
    collection = healthy()
    assert set(collection["items"]) <= set(asked)


def test_the_request_is_json_and_names_both_usual_places() -> None:
    request = specification(SETTINGS)
    assert json.loads(json.dumps(request)) == request
    programs = cast(dict[str, list[str]], request["programs"])
    assert programs["npu-smi"][:2] == ["/usr/local/bin/npu-smi", "/usr/local/sbin/npu-smi"]
    configured = SimpleNamespace(**{**vars(SETTINGS), "npu_smi_path": "/opt/npu-smi"})
    assert cast(Any, specification(cast(Any, configured)))["programs"]["npu-smi"] == ["/opt/npu-smi"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["status", "stdout", "paths", "path", "exists", "entries", "text", "error", "kind", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_hostile_contents_become_unknown(data: st.DataObject) -> None:
    collection: Any = healthy()
    keys = [item["key"] for item in cast(list[dict[str, Any]], specification(SETTINGS)["items"])]
    for key in data.draw(st.lists(st.sampled_from(keys), max_size=12, unique=True)):
        collection["items"][key] = data.draw(JSON)
    for key in data.draw(st.lists(st.sampled_from(list(collection)), max_size=2, unique=True)):
        collection[key] = data.draw(JSON)
    facts = read("host1", collection, SETTINGS, requested_at=1000.0, answered_at=1003.0)
    assert mismatch(facts, HostFacts) is None


def test_something_that_is_no_collection_at_all() -> None:
    values: list[Any] = [None, [], "text", 3, {"items": []}]
    for value in values:
        facts = read("host1", value, SETTINGS, requested_at=1.0, answered_at=2.0)
        assert mismatch(facts, HostFacts) is None
        assert isinstance(facts.overview, Unknown)

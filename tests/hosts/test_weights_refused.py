"""Files of the model that the host may not look at are no missing files."""

from __future__ import annotations

from typing import Any

import pytest

from mindie_deploy.hosts.facts import Unknown, WeightsFacts
from mindie_deploy.hosts.weights_directory import weights
from tests.preflight.builders import judged_one, only

SHARD = "model-{:05d}-of-000002.safetensors"
SEEN = [
    {"name": name, "kind": "file", "size": 3, "mode": "0640"}
    for name in ("config.json", "model.safetensors.index.json", SHARD.format(1), SHARD.format(2))
]


def listed(*entries: dict[str, Any]) -> Any:
    item = {"exists": True, "real_path": "/m", "mode": "0750", "uid": 0, "entries": [*SEEN, *entries]}
    return weights({"items": {"weights": item}}, "/m")


def refused(name: str, **more: object) -> dict[str, Any]:
    return {"name": name, "link": False, "error": "Permission denied", "exists": True, **more}


def test_one_and_many_are_told_with_the_reason() -> None:
    assert listed(refused("tokenizer.json")) == Unknown(
        "a file of /m cannot be looked at (tokenizer.json: Permission denied)"
    )
    assert listed(refused("a.json"), refused("b.json")) == Unknown(
        "2 files of /m cannot be looked at (a.json: Permission denied)"
    )


@pytest.mark.parametrize(
    "entry",
    [
        refused(".snapshot"),
        refused("README.md"),
        {"name": SHARD.format(3), "link": True, "error": "No such file or directory", "exists": False},
    ],
)
def test_what_is_not_of_the_model_or_leads_nowhere_does_not_matter(entry: dict[str, Any]) -> None:
    found = listed(entry)
    assert isinstance(found, WeightsFacts) and len(found.files) == len(SEEN)


def test_the_checks_do_not_know_and_say_why() -> None:
    """Before, all of a model on NFS with root_squash was missing."""
    unread = listed(refused("model-00001-of-000163.safetensors"))
    found = only(judged_one(weights=unread))
    assert (found.check_id, found.kind) == ("weights.present", "unknown")
    assert "Permission denied" in found.evidence[0].says

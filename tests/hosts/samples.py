"""The samples of tool output beside the tests, with what a reader should get from each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mindie_deploy.hosts.answer import Answer

ROOT = Path(__file__).parent.parent / "samples"


@dataclass(frozen=True)
class Sample:
    """One captured or generated answer. `status` is 0 where the capture does not tell it."""

    name: str
    command: str
    answer: Answer
    expect: Any

    @property
    def text(self) -> str:
        return self.answer.stdout


@cache
def samples() -> tuple[Sample, ...]:
    """Returns all samples of both indexes."""
    found = []
    for entry in yaml.safe_load((ROOT / "index.yaml").read_text(encoding="utf-8")):
        text = (ROOT / entry["file"]).read_text(encoding="utf-8")
        status = 215 if "Invalid card id" in text else 0
        found.append(Sample(entry["file"], entry["command"], Answer(status, text), entry["expect"]))
    for entry in yaml.safe_load((ROOT / "generated" / "index.yaml").read_text(encoding="utf-8")):
        answer = Answer(
            entry["exit_status"],
            (ROOT / entry["stdout"]).read_text(encoding="utf-8"),
            (ROOT / entry["stderr"]).read_text(encoding="utf-8"),
        )
        found.append(Sample(entry["stdout"], entry["command"], answer, entry["expect"]))
    return tuple(found)


def sample(part: str) -> Sample:
    """Returns the one sample whose name contains a text."""
    found = [one for one in samples() if part in one.name]
    assert len(found) == 1, [one.name for one in found]
    return found[0]

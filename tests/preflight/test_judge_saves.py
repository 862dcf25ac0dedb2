"""What action mindie_judge writes into the record of a run holds no secret, and judges to the same."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from mindie_deploy.preflight.saved import Saved, from_documents
from tests.preflight.builders import hosts_of, settings

PLUGIN = Path(__file__).parents[2] / "plugins" / "action" / "mindie_judge.py"


def action() -> Any:
    specification = importlib.util.spec_from_file_location("mindie_judge", PLUGIN)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_secrets_of_hosts_do_not_reach_the_record(tmp_path: Path) -> None:
    info = {"ServerVersion": "24.0.7", "HttpProxy": "http://bob:geheim@proxy:3128", "Labels": ["MIES_TOKEN=abcdefgh"]}
    items = {"engine/info": {"status": 0, "stdout": json.dumps(info) + "\n", "stderr": "db.password: geheim"}}
    answers = {"host1": {"collection": {"collection": {"items": items, "started": 1.0, "finished": 1.0}}}}
    saved = Saved(settings(), tuple(hosts_of(["host1"])), answers)

    action().save(saved.documents(), tmp_path / "facts")

    files = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "facts").iterdir()}
    assert not any(secret in text for secret in ("geheim", "abcdefgh") for text in files.values())
    assert all((tmp_path / "facts" / name).stat().st_mode & 0o777 == 0o600 for name in files)
    again = from_documents({name: json.loads(text) for name, text in files.items()})
    assert again.report().to_dict() == saved.report().to_dict()

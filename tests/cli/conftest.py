from __future__ import annotations

from tests.runs.conftest import content as content

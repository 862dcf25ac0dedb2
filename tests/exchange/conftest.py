"""The agent's package is no part of the controller's, so tests find it where it is."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "plugins"))

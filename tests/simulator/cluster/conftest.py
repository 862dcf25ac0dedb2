"""The simulator's scripts import one another by their own directory, as they do when they are run."""

from __future__ import annotations

import sys
from pathlib import Path

SIMULATOR = Path(__file__).resolve().parents[3] / "molecule" / "simulator"
if str(SIMULATOR) not in sys.path:
    sys.path.insert(0, str(SIMULATOR))

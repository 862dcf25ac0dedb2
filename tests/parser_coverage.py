"""Ends with 1 where a module of hosts/ is covered less than it must be; reads coverage's JSON report.

python tests/parser_coverage.py .work/coverage.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LEAST_PERCENT = 95.0  # of the branches of each parser


def main(report: str) -> int:
    """Prints the branch coverage of every module with branches, the worst first. Returns the exit status."""
    files = json.loads(Path(report).read_text(encoding="utf-8"))["files"]
    covered = {
        Path(name).name: 100.0 * data["summary"]["covered_branches"] / data["summary"]["num_branches"]
        for name, data in files.items()
        if data["summary"]["num_branches"]
    }
    if not covered:
        print("the report names no module with branches")
        return 1
    for name, percent in sorted(covered.items(), key=lambda one: one[1]):
        print(f"{percent:6.1f} %  {name}{'' if percent >= LEAST_PERCENT else '   too little'}")
    return 0 if min(covered.values()) >= LEAST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""Runs the module that proves a model directory as Ansible would, without Ansible's own start.

python scan.py MODULE ARGUMENTS     ARGUMENTS is a JSON object; prints what the module answers
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import ansible.module_utils
from ansible.module_utils.testing import patch_module_args


def main(module: Path, arguments: dict[str, object]) -> None:
    """The module ends the process."""
    ansible.module_utils.__path__.append(str(module.parents[1] / "module_utils"))
    with patch_module_args(arguments):
        runpy.run_path(str(module), run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))

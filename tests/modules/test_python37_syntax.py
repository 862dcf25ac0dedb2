"""Hosts may have Python 3.7: what runs there has no newer syntax."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.modules.module_runner import MODULES, UTILITIES


@pytest.mark.parametrize("path", sorted([*MODULES.glob("*.py"), *UTILITIES.glob("*.py")]), ids=lambda path: path.stem)
def test_the_syntax_is_that_of_python_3_7(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))

#!/usr/bin/python3
"""Prints docs/simulator-state.md, made of the schema: document.py > docs/simulator-state.md."""

from __future__ import annotations

import os
import sys
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tools.fields import Field, Table
from tools.schema import HOST

HEAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "document-head.md")


def document() -> str:
    """The whole page."""
    with open(HEAD, encoding="utf-8") as head:
        parts = [head.read()]
    tables: list[tuple[str, Table]] = [("the file", HOST)]
    while tables:
        title, table = tables.pop(0)
        parts.append(f"\n## {title}\n\n| field | value | default | meaning |\n|---|---|---|---|\n")
        for name, field in table.items():
            inner = field.kind in ("section", "rows")
            parts.append(f"| `{name}` | {_values(field)} | {_default(field)} | {_escaped(field.meaning)} |\n")
            if inner:
                tables.append((name if title == "the file" else f"{title}.{name}", field.inner))
    return "".join(parts)


def _values(field: Field) -> str:
    names = {"rows": "list of mappings", "section": "mapping", "free": "mapping", "list": f"list of {field.of}"}
    text = names.get(field.kind, field.kind)
    if field.words:
        text = ", ".join(f"`{word}`" for word in field.words)
    if field.low is not None or field.high is not None:
        low = "" if field.low is None else f"{field.low:g}"
        high = "" if field.high is None else f"{field.high:g}"
        text += f" {low}..{high}"
    return text + (" or null" if field.none else "")


def _default(field: Field) -> str:
    if field.kind in ("section", "rows", "free"):
        return ""
    value: Any = field.default
    if isinstance(value, list) and len(str(value)) > 40:
        return "see schema"
    shown = {None: "null", True: "true", False: "false"}.get(value, value) if not isinstance(value, list) else value
    return f"`{shown}`" if shown != "" else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())

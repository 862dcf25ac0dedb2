"""The commented inventory file of all settings, made from their declarations.

`python -m mindie_deploy.cluster.reference` prints inventory/group_vars/all.yml.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Collection

from mindie_deploy.cluster.schema import PREFIX, note, rule_text
from mindie_deploy.cluster.settings import GROUPS, Settings

WIDTH = 100
HEAD = """\
Every setting of mindie-deploy. The values are the defaults: a line that is removed changes nothing.
Numbers and true/false are written without quotes. A name that is not listed here is refused.
"""
SHORT_HEAD = "Settings of mindie-deploy; those that are not here have their defaults."


def render_group_vars(settings: Settings | None = None, only: Collection[str] | None = None) -> str:
    """Returns a YAML document of settings with their meaning, unit, range and reason as comments.

    `settings` gives the values (default: the defaults); `only` limits it to these names (without the prefix).
    """
    values = settings if settings is not None else Settings()
    head = HEAD if settings is None and only is None else SHORT_HEAD
    lines = ["---", *_comment(head)]
    for group in GROUPS:
        names = [name for name in group.model_fields if only is None or name in only]
        if not names:
            continue
        lines += ["", f"# ---- {group.TITLE} ----"]
        for name in names:
            field = Settings.model_fields[name]
            lines += ["", *_comment(field.description or "")]
            lines += _comment(f"Accepts: {rule_text(field)}.")
            if note(field, "why"):
                lines += _comment(f"Default: {note(field, 'why')}.")
            if note(field, "example"):
                lines += _comment(f"Example: {note(field, 'example')}")
            lines.append(f"{PREFIX}{name}: {_value(getattr(values, name))}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [
        f"# {line}"
        for paragraph in text.splitlines()
        for line in textwrap.wrap(paragraph, WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    ]


def _value(value: object) -> str:
    """Writes a value as YAML on one line. JSON is YAML, and quotes keep texts such as "0:0" texts."""
    return json.dumps(value, ensure_ascii=False)


def main() -> None:
    """Prints the reference."""
    sys.stdout.write(render_group_vars())


if __name__ == "__main__":
    main()

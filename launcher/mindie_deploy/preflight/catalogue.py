"""The page of all checks, made from the registry: `python -m mindie_deploy.preflight.catalogue > docs/checks.md`."""

from __future__ import annotations

import sys

from mindie_deploy.preflight.explain import Explanation, explain
from mindie_deploy.preflight.registry import all_checks

HEAD = """\
# Checks

Made from the registry by `python -m mindie_deploy.preflight.catalogue`; do not edit.
`mindie-deploy explain ID` prints the same.

- **block**: a launch would fail, or is not proven to work; `check` ends with 3 and `up` does not start.
  **warn**: allowed, but look at it. **info**: worth knowing.
- Some checks know milder or graver cases than the severity in the table; the finding says which.
- Evidence that could not be read is *unknown*, never a verdict about the hardware. It counts as the column
  "no answer" says.
- A finding is hidden where another one at the same host and NPU explains it ("hidden by"); the report keeps it
  with its cause.
- `mindie_checks_warn` lowers a check from block to warn by id, `mindie_checks_skip` leaves it out; the report shows
  both.
- In a deployment of one host all of `hccn.*` is info: nothing goes over the RoCE ports.
- What runs for this very deployment already is no conflict with itself.
"""


def catalogue() -> str:
    """Returns the page in Markdown."""
    explanations = [explain(check_id) for check_id in sorted(all_checks())]
    lines = [HEAD, "| id | severity | no answer | looks at |", "| --- | --- | --- | --- |"]
    lines += [
        f"| [{one.id}](#{_anchor(one.id)}) | {one.severity} | {one.unknown} | {one.scope} |" for one in explanations
    ]
    for one in explanations:
        lines += ["", *_section(one)]
    return "\n".join(lines) + "\n"


def _section(one: Explanation) -> list[str]:
    lines = [f"## {one.id}", "", f"**{_sentence(one.title)}.** {one.why}", ""]
    lines.append(f"- Seen by: {_code(one.command)}")
    lines.append(f"- What to do: {_escaped(one.remedy)}")
    if one.fix:
        lines.append(f"- Mended by: {_code(one.fix)}, which {one.fix_does}")
    if one.caused_by:
        lines.append(f"- Hidden by: {', '.join(one.caused_by)}")
    lines.append(f"- Source: {_escaped(one.source)}")
    return lines


def _sentence(title: str) -> str:
    """With a capital, unless it begins with the name of a program."""
    return title if title.startswith(("hccn_tool", "npu-smi")) else title[0].upper() + title[1:]


def _anchor(check_id: str) -> str:
    """As Markdown renderers make the anchor of a heading: dots vanish."""
    return check_id.replace(".", "")


def _code(text: str) -> str:
    return f"`{text}`"


def _escaped(text: str) -> str:
    return text.replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(catalogue())

"""What a check means, for a person who was just woken by it."""

from __future__ import annotations

import difflib
import textwrap
from dataclasses import asdict, dataclass

from mindie_deploy.errors import UsageError
from mindie_deploy.preflight.registry import FIXES, all_checks, causes_of

NOT_PROVEN = ": what is not proven to work may not work"


@dataclass(frozen=True)
class Explanation:
    """A check in words. `caused_by` explains it away at the same place, `hides` are the checks that it explains.

    `fix` is the command that mends it, and `fix_does` what that does; None where there is none.
    """

    id: str
    title: str
    severity: str
    unknown: str
    scope: str
    why: str
    command: str
    remedy: str
    source: str
    caused_by: tuple[str, ...]
    hides: tuple[str, ...]
    skippable: bool
    fix: str | None
    fix_does: str | None

    def to_dict(self) -> dict[str, object]:
        """Returns the fields by name; JSON-safe."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def to_text(self, width: int = 100) -> str:
        """Returns a page for a terminal."""
        rows = [
            ("what", f"{self.title} ({self.severity}; judged for {self.scope})"),
            ("why", self.why),
            ("seen by", self.command),
            ("no answer", f"counts as {self.unknown}{NOT_PROVEN if self.unknown == 'block' else ''}"),
            ("do", self.remedy),
            ("source", self.source),
        ]
        if self.fix:
            rows.insert(-1, ("or", f"{self.fix} ({self.fix_does})"))
        if self.caused_by:
            rows.append(("hidden by", ", ".join(self.caused_by)))
        if self.hides:
            rows.append(("hides", ", ".join(self.hides)))
        ways = (
            "mindie_checks_warn or mindie_checks_skip"
            if "block" in (self.severity, self.unknown)
            else "mindie_checks_skip"
        )
        passes = f"add {self.id} to {ways}" if self.skippable else "it always counts"
        rows.append(("let pass", passes))
        lines = [self.id, ""]
        for label, text in rows:
            lines += textwrap.wrap(
                text, width, initial_indent=f"  {label:<11}", subsequent_indent=" " * 13, break_on_hyphens=False
            )
        return "\n".join(lines) + "\n"


SCOPES = {
    "host": "each host",
    "cluster": "all hosts against one another",
    "unreachable": "each host that gave no facts",
}


def explain(check_id: str) -> Explanation:
    """Returns the explanation of a check. Raises UsageError with the nearest id for one that does not exist."""
    checks = all_checks()
    check = checks.get(check_id.strip())
    if check is None:
        near = difflib.get_close_matches(check_id, checks, n=3, cutoff=0.5)
        near += [one for one in checks if check_id and check_id in one and one not in near][:3]
        hint = f"did you mean {', '.join(near)}?" if near else "docs/checks.md lists all of them"
        raise UsageError(f"there is no check {check_id!r}", hint)
    own_causes = [*check.caused_by, *check.caused_by_any_npu]
    hides = [one.id for one in checks.values() if check.id in causes_of(one)]
    return Explanation(
        id=check.id,
        title=check.title,
        severity=check.severity,
        unknown=check.unknown,
        scope=SCOPES[check.scope],
        why=check.why,
        command=check.command,
        remedy=check.remedy,
        source=check.source,
        caused_by=tuple(own_causes),
        hides=("everything else of the host",) if check.scope == "unreachable" else tuple(hides),
        skippable=check.skippable,
        fix=f"mindie-deploy fix {check.id}" if check.fix else None,
        fix_does=FIXES[check.fix] if check.fix else None,
    )

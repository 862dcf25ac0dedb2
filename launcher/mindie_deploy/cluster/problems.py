"""What is wrong with a setting, and the error that carries all such problems at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mindie_deploy.errors import UsageError

LONGEST_VALUE = 120  # characters of a value in a message


@dataclass(frozen=True)
class SettingProblem:
    """One wrong setting: its key as the user wrote it, its value, and the rule that it breaks."""

    key: str
    value: object
    rule: str

    @property
    def setting(self) -> str:
        """The variable that is wrong, where the key names a place inside of it: "mindie_config_overrides: A.b"."""
        return self.key.partition(":")[0]

    def __str__(self) -> str:
        return f"{self.key} = {shown(self.value)}: {self.rule}"


class SettingsError(UsageError):
    """Settings that break rules; `problems` has all of them, not only the first."""

    def __init__(self, problems: Sequence[SettingProblem]) -> None:
        self.problems = list(problems)
        count = "a setting is" if len(self.problems) == 1 else f"{len(self.problems)} settings are"
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{count} wrong:\n{lines}", "correct them in the inventory (group_vars) and run again")


def shown(value: object) -> str:
    """Returns a value as one would write it in YAML, shortened."""
    if value is None:
        text = "(empty)"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str):
        text = '"' + value.encode("unicode_escape").decode("ascii") + '"' if not value.isprintable() else f'"{value}"'
    else:
        text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."

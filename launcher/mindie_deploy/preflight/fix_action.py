"""What a fix does to a host: one change of one thing, with what it was before, as plain data between the rooms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from mindie_deploy.preflight.finding import as_list, as_mapping

ABSENT = "absent"
CONTAINER_ID = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True)
class FixAction:
    """One change.

    `kind` and `target` are what the module mindie_fix works with: the NPU's index, the path, or the name of the
    container. `what` names the target for people. `before` is the value that was seen and `after` the wanted one, both
    in the module's words: "on", an address, "0755", the id of a container, "absent". `command` is what an operator
    would type for it, and `undo` what takes it back; None where nothing does.
    """

    check_id: str
    kind: str
    target: str
    what: str
    before: str
    after: str
    command: str
    undo: str | None

    @property
    def change(self) -> str:
        """Returns "before -> after" for people; ids of containers as short as the engine shows them."""
        before, after = (CONTAINER_ID.sub(lambda match: match[0][:12], value) for value in (self.before, self.after))
        return f"{before} -> {after}"

    def reversed(self) -> FixAction | None:
        """Returns the change that takes this one back, or None."""
        if self.undo is None:
            return None
        return FixAction(
            self.check_id, self.kind, self.target, self.what, self.after, self.before, self.undo, self.command
        )

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> FixAction:
        """Reads to_dict's form; other keys are passed over. Raises KeyError where one is missing."""
        texts = {field.name: str(value[field.name]) for field in fields(cls) if field.name != "undo"}
        return cls(**texts, undo=None if value["undo"] is None else str(value["undo"]))


@dataclass(frozen=True)
class HostFixes:
    """The changes of one host in order, and the tool that its NPUs are set with.

    `libraries` is the value of LD_LIBRARY_PATH for a login that has none.
    """

    actions: tuple[FixAction, ...]
    hccn_tool: str = ""
    libraries: str = ""

    def to_dict(self) -> dict[str, object]:
        return {**asdict(self), "actions": [action.to_dict() for action in self.actions]}

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> HostFixes:
        """Reads to_dict's form. Raises KeyError or TypeError for anything else."""
        actions = tuple(FixAction.from_dict(as_mapping(one)) for one in as_list(value["actions"]))
        return cls(actions, str(value["hccn_tool"]), str(value["libraries"]))


@dataclass(frozen=True)
class HostPlaces:
    """Where on a host changes are made, as the host itself says: the tool, its LD_LIBRARY_PATH, the model's directory.

    A text is empty where it is not known.
    """

    hccn_tool: str = ""
    libraries: str = ""
    model: str = ""

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> HostPlaces:
        """Reads to_dict's form. Raises KeyError where a key is missing."""
        return cls(**{field.name: str(value[field.name]) for field in fields(cls)})


@dataclass(frozen=True)
class Left:
    """What a finding names and no fix touches, and why."""

    check_id: str
    host: str
    why: str

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Left:
        """Reads to_dict's form. Raises KeyError where a key is missing."""
        return cls(str(value["check_id"]), str(value["host"]), str(value["why"]))


@dataclass(frozen=True)
class FixPlan:
    """The changes by host in rank order, and what is left as it is."""

    hosts: Mapping[str, HostFixes]
    left: Sequence[Left] = ()

    @property
    def count(self) -> int:
        """The number of changes on all hosts."""
        return sum(len(fixes.actions) for fixes in self.hosts.values())

    def to_dict(self) -> dict[str, object]:
        """Returns the JSON form; docs/fix.md describes it."""
        return {
            "hosts": {name: fixes.to_dict() for name, fixes in self.hosts.items()},
            "left": [one.to_dict() for one in self.left],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> FixPlan:
        """Reads to_dict's form. Raises KeyError or TypeError for anything else."""
        return cls(
            {name: HostFixes.from_dict(as_mapping(fixes)) for name, fixes in as_mapping(value["hosts"]).items()},
            tuple(Left.from_dict(as_mapping(one)) for one in as_list(value["left"])),
        )

    def to_text(self) -> str:
        """Returns the plan as plain lines: what, from which value to which, by which command, and its way back."""
        lines = []
        for host, fixes in self.hosts.items():
            for action in fixes.actions:
                lines.append(f"{host}: {action.what}: {action.change}  ({action.check_id})")
                lines.append(f"    run:  {action.command}")
                lines.append(f"    undo: {action.undo or 'nothing takes this back'}")
        lines += [f"{one.host}: left as it is: {one.why}  ({one.check_id})" for one in self.left]
        return "\n".join(lines or ["nothing to mend"]) + "\n"

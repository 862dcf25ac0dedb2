"""What a fault changed in a state file, kept so small that it can be taken back beside other changes.

A change is one of: a mapping or list that was made (`made`), an item put at a list's end (`added`), or a value that was
set (`before`, absent when there was none, and `after`).
"""

from __future__ import annotations

from typing import Any

Change = dict[str, Any]
_ABSENT = object()


def differences(before: Any, after: Any, path: tuple[str | int, ...] = ()) -> list[Change]:
    """The changes that lead from one plain value to the other, in the order in which they can be made."""
    if before is _ABSENT and isinstance(after, dict | list):
        return [{"path": list(path), "made": True}, *differences(type(after)(), after, path)]
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        return [
            change
            for key in keys
            for change in differences(before.get(key, _ABSENT), after.get(key, _ABSENT), (*path, key))
        ]
    if isinstance(before, list) and isinstance(after, list):
        if len(before) == len(after):
            return [
                change
                for index in range(len(before))
                for change in differences(before[index], after[index], (*path, index))
            ]
        if after[: len(before)] == before:
            return [{"path": list(path), "added": item} for item in after[len(before) :]]
    if before == after and type(before) is type(after):
        return []
    change: Change = {"path": list(path)}
    if before is not _ABSENT:
        change["before"] = before
    if after is not _ABSENT:
        change["after"] = after
    return [change]


def restore(raw: Any, changes: list[Change], later: list[Change]) -> list[str]:
    """Takes changes back in `raw`; the dotted paths of those that are left because the field was changed since.

    Where one of the `later` changes (of faults that stay) was made on top, that one is altered to return to what was
    before.
    Mappings and lists that were made are left to `prune`, as others may use them.
    """
    left = []
    for change in reversed(changes):
        if "made" in change:
            continue
        heir = next((other for other in later if other["path"] == change["path"] and "after" in other), None)
        if heir is not None:
            _inherit(heir, change)
        elif not _undo(raw, change):
            left.append(".".join(map(str, change["path"])))
    return left


def _inherit(heir: Change, change: Change) -> None:
    """Lets a later change of the same place return to what was before `change`."""
    if "added" in change:
        heir["before"] = [item for item in heir.get("before", []) if item != change["added"]]
        return
    heir.pop("before", None)
    if "before" in change:
        heir["before"] = change["before"]


def prune(raw: Any, made: list[list[str | int]]) -> list[list[str | int]]:
    """Takes away the mappings and lists of `made` that are empty again; those that are still in use."""
    used = []
    for path in sorted(made, key=len, reverse=True):
        place = _holder(raw, path)
        if place is None or not _has(place, path[-1]):
            continue
        if place[path[-1]]:
            used.append(path)
        else:
            del place[path[-1]]
    return used


def _holder(raw: Any, path: list[str | int]) -> Any:
    """The mapping or list that holds the last name of the path; None when it is not there."""
    place: Any = raw
    for key in path[:-1]:
        if not isinstance(place, dict | list) or not _has(place, key):
            return None
        following: Any = place
        place = following[key]
    return place if isinstance(place, dict | list) else None


def _has(place: Any, key: Any) -> bool:
    return key in place if isinstance(place, dict) else isinstance(key, int) and key < len(place)


def _undo(raw: Any, change: Change) -> bool:
    """Takes one change back; False when the place is not as the change left it."""
    place, last = _holder(raw, change["path"]), change["path"][-1]
    if place is None:
        return False
    present = _has(place, last)
    if "added" in change:
        if not present or change["added"] not in place[last]:
            return False
        place[last].remove(change["added"])
        return True
    if present != ("after" in change) or (present and place[last] != change["after"]):
        return False
    if "before" in change:
        place[last] = change["before"]
    elif present:
        del place[last]
    return True

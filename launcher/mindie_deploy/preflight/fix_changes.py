"""The changes that a fix can make, and no others: built here for a plan, recognised here in a record."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Callable, Mapping
from typing import TypeAlias

from mindie_deploy.cluster.names import container_name
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.items_surroundings import SHARED_MEMORY, SHARED_MEMORY_FILES
from mindie_deploy.hosts.text import is_ipv4
from mindie_deploy.hosts.weights_directory import is_of_the_model
from mindie_deploy.preflight.checks.devices import GROUP_READ_WRITE
from mindie_deploy.preflight.fix_action import ABSENT, FixAction
from mindie_deploy.preflight.registry import all_checks

NODES = ("/dev/devmm_svm", "/dev/hisi_hdc")
OTHERS_WRITE = 0o002
ALL_BUT_OTHERS_WRITE = 0o7777 & ~OTHERS_WRITE
DIRECTORY_MODE, CONFIGURATION_MODE = 0o750, 0o640
BEYOND_THE_NINE = 0o7000  # bits of a mode that no fix touches
MODE = re.compile(r"[0-7]{4}")

Rule: TypeAlias = Callable[[FixAction, Settings], bool]


def tls_change(check_id: str, index: int) -> FixAction:
    """Returns the change that switches TLS of an NPU off."""
    return FixAction(
        check_id=check_id,
        kind="tls",
        target=str(index),
        what=f"TLS of NPU {index}",
        before="on",
        after="off",
        command=f"hccn_tool -i {index} -tls -s enable 0",
        undo=f"hccn_tool -i {index} -tls -s enable 1",
    )


def netdetect_change(check_id: str, index: int, before: str, after: str) -> FixAction:
    """Returns the change of the address that an NPU's port is probed with."""
    set_to = f"hccn_tool -i {index} -netdetect -s address"
    return FixAction(
        check_id=check_id,
        kind="netdetect",
        target=str(index),
        what=f"detect address of NPU {index}",
        before=before,
        after=after,
        command=f"{set_to} {after}",
        undo=f"{set_to} {before}",
    )


def mode_change(check_id: str, path: str, before: int, after: int) -> FixAction:
    """Returns the change of a mode."""
    old, new, quoted = f"{before:04o}", f"{after:04o}", shlex.quote(path)
    return FixAction(
        check_id=check_id,
        kind="mode",
        target=path,
        what=f"mode of {path}",
        before=old,
        after=new,
        command=f"chmod {new} {quoted}",
        undo=f"chmod {old} {quoted}",
    )


def masked(mode: int, allowed: int) -> int:
    """Returns a mode without what is beyond the allowed bits. Bits beyond the nine stay."""
    return mode & (allowed | BEYOND_THE_NINE)


def require_ours(action: FixAction, settings: Settings) -> None:
    """Raises ValueError for what no fix of this deployment does, and what does not take back what one did.

    Whether a path is the model's is known only when the host was asked: is_in_model.
    """
    check = all_checks().get(action.check_id)
    if check is None or check.fix is None:
        raise ValueError(f"{action.check_id!r} is no check with a fix")
    back = action.reversed()
    if not any(_RULES[check.fix](one, settings) for one in (action, back) if one is not None):
        raise ValueError(
            f"fix does not do this for {action.check_id}: {action.what}: {action.before} -> {action.after}"
        )


def is_of_weights(action: FixAction) -> bool:
    """Tells whether a change that is ours is about a path of the model."""
    return action.kind == "mode" and action.target not in NODES


def is_in_model(path: str, model: str) -> bool:
    """Tells whether a path is the directory of the model, or a file of the model in it."""
    directory = model.rstrip("/")
    name = path.removeprefix(f"{directory}/")
    return bool(model) and (path == model or (name != path and "/" not in name and is_of_the_model(name)))


def _is_tls(action: FixAction, settings: Settings) -> bool:
    return _is_npu(action, settings) and action == tls_change(action.check_id, int(action.target))


def _is_netdetect(action: FixAction, settings: Settings) -> bool:
    return (
        _is_npu(action, settings)
        and all(map(is_ipv4, (action.before, action.after)))
        and action == netdetect_change(action.check_id, int(action.target), action.before, action.after)
    )


def _is_npu(action: FixAction, settings: Settings) -> bool:
    return action.target in map(str, range(settings.npus_per_host))


def _is_weights_mode(action: FixAction, settings: Settings) -> bool:
    return _is_mode(action) and any(
        int(action.after, 8) == masked(int(action.before, 8), allowed)
        for allowed in (ALL_BUT_OTHERS_WRITE, DIRECTORY_MODE, CONFIGURATION_MODE)
    )


def _is_device_mode(action: FixAction, settings: Settings) -> bool:
    return (
        action.target in NODES and _is_mode(action) and int(action.after, 8) == int(action.before, 8) | GROUP_READ_WRITE
    )


def _is_mode(action: FixAction) -> bool:
    if not MODE.fullmatch(action.before) or not MODE.fullmatch(action.after):
        return False
    return action == mode_change(action.check_id, action.target, int(action.before, 8), int(action.after, 8))


def _is_container(action: FixAction, settings: Settings) -> bool:
    return _is_removal(action, "container") and action.target == container_name(settings)


def _is_shared_memory(action: FixAction, settings: Settings) -> bool:
    directory, _, name = action.target.rpartition("/")
    fits = directory == SHARED_MEMORY and any(
        fnmatch.fnmatchcase(name, pattern.rpartition("/")[2]) for pattern in SHARED_MEMORY_FILES
    )
    return fits and _is_removal(action, "shared-memory")


def _is_removal(action: FixAction, kind: str) -> bool:
    return action.kind == kind and action.after == ABSENT and action.undo is None


# By the kinds of registry.FIXES.
_RULES: Mapping[str, Rule] = {
    "tls": _is_tls,
    "netdetect": _is_netdetect,
    "weights-modes": _is_weights_mode,
    "device-modes": _is_device_mode,
    "container": _is_container,
    "shared-memory": _is_shared_memory,
}

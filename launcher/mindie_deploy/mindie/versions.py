"""MindIE versions as data: where things are in the image, and the names that a release uses.

Only what differs between releases is here; config.json is written as one superset for all of them (see config.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mindie_deploy.errors import UsageError

CHIP = "800I-A2"  # also serves Atlas 800T A2; an image for another chip ends in a core dump
TAG = re.compile(r"(?:^|[:-])(?:dev-)?(?P<version>[0-9]+\.[0-9]+\.(?:RC|T)?[0-9]+)(?P<rest>[^/]*)$")
CHIP_IN_TAG = re.compile(r"(?P<chip>800I-A[0-9]|300I-[A-Za-z]+|A5|910C)")
ORDER = re.compile(r"(?P<major>[0-9]+)\.(?P<minor>[0-9]+)\.(?P<kind>RC|T)?(?P<number>[0-9]+)")

SERVICE = "/usr/local/Ascend/mindie/latest/mindie-service"
DAEMON = "bin/mindieservice_daemon"
# In the order in which the documents source them; a layout has some of them, those that exist are sourced.
SET_ENV_FILES = (
    "/usr/local/Ascend/ascend-toolkit/set_env.sh",
    "/usr/local/Ascend/cann/set_env.sh",  # instead of ascend-toolkit from CANN 8.5 on
    "/usr/local/Ascend/nnal/atb/set_env.sh",
    "/usr/local/Ascend/atb-models/set_env.sh",
    "/usr/local/Ascend/llm_model/set_env.sh",  # the older name of atb-models
    "/usr/local/Ascend/mindie/set_env.sh",
)
DEEPSEEK_V2_ONLY = frozenset({"deepseekv2"})
NOT_KNOWN: frozenset[str] = frozenset()  # releases of the time of DeepSeek-V3.2: no document lists what they take
DEEPSEEK_BOTH = frozenset({"deepseekv2", "deepseek_v3"})


@dataclass(frozen=True)
class Version:
    """One release.

    `service_directories` are the places of the service in the image, tried in order, with the daemon at DAEMON below;
    `starter` is a command that is preferred where the image has it (it finds the daemon in its Python package).
    `rank_table_variables` all get the table's path. `model_types` are the values of model_type in the weights'
    config.json that this release takes for DeepSeek, none where that is not known; nothing is changed by us, it is
    only judged.
    `source` says where the row comes from, and how sure it is.
    """

    name: str
    rank_table_variables: tuple[str, ...]
    model_types: frozenset[str]
    source: str
    service_directories: tuple[str, ...] = (SERVICE,)
    starter: str = ""
    set_env_files: tuple[str, ...] = SET_ENV_FILES

    @property
    def order(self) -> tuple[int, int, int, int]:
        """A key that sorts releases: 2.0.T3 < 2.0.RC1 < 2.0.RC2 < 2.3.0."""
        return _order(self.name)


BOTH = ("RANKTABLEFILE", "RANK_TABLE_FILE")  # the first up to 2.0, the second from 2.1; setting both is harmless

VERSIONS: tuple[Version, ...] = (
    Version("2.0.T3", BOTH, DEEPSEEK_V2_ONLY, "README of DeepSeek-R1 and V3 (ModelZoo-PyTorch)"),
    Version("2.0.RC1", BOTH, DEEPSEEK_BOTH, "release table; layout as 2.0.T3 (inferred)"),
    Version("2.0.RC2", BOTH, DEEPSEEK_BOTH, "GPUStack's manual; layout as 2.0.T3 (inferred)"),
    Version("2.1.RC1", BOTH, DEEPSEEK_BOTH, "release notes 2.1.RC1"),
    Version("2.1.RC2", BOTH, DEEPSEEK_BOTH, "release table"),
    Version("2.2.RC1", BOTH, DEEPSEEK_BOTH, "MindIE-LLM, prefill_decode_mixed_deployment.md"),
    Version("2.3.0", BOTH, NOT_KNOWN, "hiascend pages of MindIE 2.3.0"),
    Version(
        "3.0.0",
        BOTH,
        NOT_KNOWN,
        "MindIE-LLM of 2026",
        starter="mindie_llm_server",
    ),
)


@dataclass(frozen=True)
class VersionChoice:
    """The release that is rendered for. `warning` is empty, or says that a row of another release is used and why."""

    version: Version
    warning: str = ""


def known_versions() -> tuple[str, ...]:
    """Returns the names of all releases, oldest first."""
    return tuple(version.name for version in VERSIONS)


def version_in_tag(image: str) -> str | None:
    """Returns the release that an image reference names, or None."""
    found = TAG.search(image.split("@")[0])
    return found["version"] if found else None


def choose_version(setting: str, image: str) -> VersionChoice:
    """Returns the release for `mindie_version` ("auto": from the image's tag) and the image reference.

    A release without a row of its own gets the nearest older one with a warning. Raises UsageError where none can be
    told, where the setting contradicts the tag, or where the image is for another chip.
    """
    tag = image.split("@")[0]
    chip = CHIP_IN_TAG.search(tag.rsplit("/", 1)[-1])
    if chip and chip["chip"] != CHIP:
        raise UsageError(
            f"image {image} is for {chip['chip']}, not for {CHIP}",
            f"take an image with {CHIP} in its tag; it serves Atlas 800T A2 as well",
        )
    named = version_in_tag(image)
    wanted = named if setting == "auto" else setting
    if wanted is None:
        raise UsageError(
            f"the tag of image {image} does not tell the MindIE version",
            f"set mindie_version to one of: {', '.join(known_versions())}",
        )
    if not ORDER.fullmatch(wanted):
        raise UsageError(
            f'mindie_version "{wanted}" is not a version', f"set it to auto or one of: {', '.join(known_versions())}"
        )
    if named is not None and named != wanted and setting != "auto":
        raise UsageError(
            f"mindie_version is {wanted}, but the tag of image {image} says {named}",
            "set mindie_version to auto, or take the image of that version",
        )
    for version in VERSIONS:
        if version.name == wanted:
            return VersionChoice(version)
    if _order(wanted) < VERSIONS[0].order:
        raise UsageError(
            f"MindIE {wanted} is too old: DeepSeek-R1 over several hosts needs {VERSIONS[0].name} or newer",
            f"take an image of one of: {', '.join(known_versions())}",
        )
    nearest = max((version for version in VERSIONS if version.order <= _order(wanted)), key=lambda row: row.order)
    return VersionChoice(nearest, f"MindIE {wanted} is not known here; files are rendered as for {nearest.name}")


def model_types(setting: str, image: str) -> frozenset[str]:
    """Returns the values of model_type that the chosen release takes for DeepSeek.

    None of them where the release has no row of its own, or cannot be told: then nothing is known about it.
    """
    try:
        choice = choose_version(setting, image)
    except UsageError:
        return frozenset()
    return frozenset() if choice.warning else choice.version.model_types


def _order(name: str) -> tuple[int, int, int, int]:
    found = ORDER.fullmatch(name)
    if not found:
        raise ValueError(f"not a MindIE version: {name}")
    stage = {"T": 0, "RC": 1, None: 2}[found["kind"]]
    return int(found["major"]), int(found["minor"]), stage, int(found["number"])

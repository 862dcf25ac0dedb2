"""Listings of repositories, as hubs give them, and which of the files a served model needs. No input or output.

Whatever a hub says is read strictly: its words end in paths and requests on every host.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from mindie_deploy.weights.hub_web import HubError
from mindie_deploy.weights.manifest import LARGEST_FILE, MOST_FILES, SHA256
from mindie_deploy.weights.names import is_shard, name_problem

COMMIT = re.compile(r"[0-9a-f]{40}")
NEXT_PAGE = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next"?')
# Other forms of the same tensors, which nobody loads where there are safetensors.
DUPLICATES = (".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".ot")
DUPLICATE_DIRECTORIES = ("original",)


@dataclass(frozen=True)
class HubFile:
    """A file of a repository. `sha256` is None where the hub tells only git's name of the content (`blob_sha1`)."""

    name: str
    size: int
    sha256: str | None
    blob_sha1: str | None = None
    url: str = ""
    revision: str = ""


def huggingface_commit(text: bytes) -> str:
    """Returns the commit that Hugging Face's answer about a revision names. Raises HubError."""
    commit = _object(_parsed(text), "the answer about the revision").get("sha")
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise HubError(f"the hub names the commit {str(commit)[:80]!r}")
    return commit


def huggingface_files(text: bytes) -> list[HubFile]:
    """Returns the files of one page of a tree. Raises HubError."""
    files = []
    for row in _rows(_parsed(text)):
        if row.get("type") != "file":
            continue
        large = row.get("lfs")
        if isinstance(large, Mapping):
            digest = _sha256(str(large.get("oid") or "").removeprefix("sha256:"), row.get("path"))
            files.append(HubFile(_name(row.get("path")), _size(large.get("size"), row.get("path")), digest))
            continue
        blob = row.get("oid")
        if not isinstance(blob, str) or not COMMIT.fullmatch(blob):
            raise HubError(f"the hub gives {str(row.get('path'))[:100]!r} the git id {str(blob)[:80]!r}")
        files.append(HubFile(_name(row.get("path")), _size(row.get("size"), row.get("path")), None, blob))
    return files


def next_query(link: str) -> str | None:
    """Returns the query of the next page from a Link header, None after the last page.

    Only the query: a mirror passes on the hub's own address, and the page is to come from the mirror.
    """
    found = NEXT_PAGE.search(link)
    return urlsplit(found[1]).query if found else None


def modelscope_files(text: bytes) -> tuple[list[HubFile], str | None]:
    """Returns the files of ModelScope's listing, and its commit where the hub tells it. Raises HubError."""
    whole = _object(_parsed(text), "the listing")
    if whole.get("Code") != 200:
        raise HubError(f"the hub answers {str(whole.get('Code'))[:40]}: {str(whole.get('Message'))[:200]}")
    data = _object(whole.get("Data"), "the listing's Data")
    rows = _rows(data.get("Files"))
    total = data.get("TotalCount")
    if isinstance(total, int) and total > len(rows):
        raise HubError(f"the hub lists {len(rows)} of {total} files")
    latest = data.get("LatestCommitter")
    commit = latest.get("Id") if isinstance(latest, Mapping) else None
    files = []
    for row in rows:
        if row.get("Type") == "tree":
            continue
        path = row.get("Path")
        digest = str(row.get("Sha256") or "").lower()
        revision = row.get("Revision")
        files.append(
            HubFile(
                _name(path),
                _size(row.get("Size"), path),
                _sha256(digest, path) if digest else None,
                revision=revision if isinstance(revision, str) and COMMIT.fullmatch(revision) else "",
            )
        )
    return files, commit if isinstance(commit, str) and COMMIT.fullmatch(commit) else None


def served(files: Iterable[HubFile]) -> tuple[tuple[HubFile, ...], dict[str, str]]:
    """Returns the files that a served model needs, by name, and why the others are left out: {name: reason}.

    Raises HubError for a name that no file may have, and for one that comes twice.
    """
    wanted: dict[str, HubFile] = {}
    left_out: dict[str, str] = {}
    for file in files:
        if len(wanted) + len(left_out) >= MOST_FILES:
            raise HubError(f"the repository has more than {MOST_FILES} files: it is no model")
        if file.name in wanted or file.name in left_out:
            raise HubError(f"the hub lists {file.name!r} twice")
        if any(part.startswith(".") for part in file.name.split("/")):
            left_out[file.name] = "hidden"
        else:
            wanted[file.name] = file
    if any(is_shard(name) for name in wanted):
        for name in list(wanted):
            if name.lower().endswith(DUPLICATES) or name.split("/")[0] in DUPLICATE_DIRECTORIES:
                left_out[name] = "another form of the same tensors"
                del wanted[name]
    if not wanted:
        raise HubError("the repository has no files that could be served", "check mindie_weights_source")
    return tuple(wanted[name] for name in sorted(wanted)), left_out


def at(files: Iterable[HubFile], urls: Mapping[str, str]) -> tuple[HubFile, ...]:
    """Returns files with the URLs to fetch them from: {name: URL}."""
    return tuple(replace(file, url=urls[file.name]) for file in files)


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise HubError(
            f"the hub's answer is not JSON: {str(error)[:100]}; it begins {text[:60]!r}",
            "check mindie_weights_hub_endpoint and mindie_weights_proxy: a login page answers so",
        ) from error


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise HubError(f"{what} is {str(value)[:80]!r}, not a JSON object")
    return value


def _rows(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list) or len(value) > MOST_FILES:
        raise HubError(f"the hub's listing is no list of files, or one of more than {MOST_FILES}")
    return [_object(row, "a file in the listing") for row in value]


def _name(value: object) -> str:
    """Returns a name; hidden ones too, which are left out later. Raises HubError for what may not be a name at all."""
    problem = name_problem(value)
    parts = value.split("/") if isinstance(value, str) else []
    if problem and isinstance(value, str) and not {".", ".."} & set(parts):
        problem = name_problem("/".join(part.lstrip(".") or part for part in parts))
    if problem:
        raise HubError(f"the hub lists a file {str(value)[:100]!r}, whose name {problem}")
    return str(value)


def _size(value: object, name: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_FILE:
        raise HubError(f"the hub gives {str(name)[:100]!r} the size {str(value)[:80]!r}")
    return value


def _sha256(value: str, name: object) -> str:
    if not SHA256.fullmatch(value):
        raise HubError(f"the hub gives {str(name)[:100]!r} the sha256 {value[:80]!r}")
    return value

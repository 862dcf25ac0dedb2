"""From a repository on a hub, or a directory on a web server, to a manifest and to what every host must know.

A branch is looked up once; its commit is used from then on. Sources: the API of huggingface_hub (revision, tree,
resolve) and of the modelscope package (repo/files, resolve).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from mindie_deploy.errors import UsageError
from mindie_deploy.weights.hub_listing import (
    COMMIT,
    HubFile,
    at,
    huggingface_commit,
    huggingface_files,
    modelscope_files,
    next_query,
    served,
)
from mindie_deploy.weights.hub_web import HubError, HubUnreachableError, WebAnswer, WebReader
from mindie_deploy.weights.manifest import LARGEST_FILE, LARGEST_TEXT, MOST_FILES, Manifest, parse_checksums
from mindie_deploy.weights.model import CONFIGURATION, INDEX
from mindie_deploy.weights.names import is_shard
from mindie_deploy.weights.source import SourceKind, parse_source

ENDPOINTS = {SourceKind.HUGGINGFACE: "https://huggingface.co", SourceKind.MODELSCOPE: "https://www.modelscope.cn"}
BRANCHES = {SourceKind.HUGGINGFACE: "main", SourceKind.MODELSCOPE: "master"}
CHECKSUMS = "SHA256SUMS"
LARGEST_ANSWER = 32 * 1024 * 1024
LARGEST_CHECKSUMS = 4 * 1024 * 1024
MOST_PAGES = 500
# Files whose sha256 no hub tells are read by the controller; together they may not be larger.
LARGEST_SMALL_FILES = 64 * 1024 * 1024


@dataclass(frozen=True)
class HubSource:
    """Where to look: kind, address, OWNER/NAME and revision; for a web directory its URL as `endpoint` alone."""

    kind: SourceKind
    endpoint: str
    repository: str = ""
    revision: str = ""

    @property
    def label(self) -> str:
        """How messages name it."""
        if self.kind is SourceKind.HTTP:
            return self.endpoint
        mirror = "" if self.endpoint == ENDPOINTS[self.kind] else f" at {self.endpoint}"
        return f"{self.kind}:{self.repository}@{self.revision}{mirror}"


@dataclass(frozen=True)
class HubModel:
    """A repository as it was found. The revision of `source` is a commit, if the hub told it (`pinned`).

    `texts`: the contents of config.json and of the index, compared with what the hub says of them. `left_out`: files
    that a served model does not need, with the reason.
    """

    source: HubSource
    files: tuple[HubFile, ...]
    texts: Mapping[str, bytes]
    left_out: Mapping[str, str]
    pinned: bool

    @property
    def total_bytes(self) -> int:
        return sum(file.size for file in self.files)


def parse_hub_source(text: str, revision: str = "", endpoint: str = "") -> HubSource:
    """Takes the settings weights_source, weights_revision and weights_hub_endpoint.

    Raises UsageError for a source that is not on the web.
    """
    source = parse_source(text)
    if source.kind is SourceKind.HTTP:
        return HubSource(source.kind, source.path)
    if not source.kind.on_the_web:
        raise UsageError(f"{source.label} is neither a hub's repository nor a directory on a web server")
    where = (endpoint or ENDPOINTS[source.kind]).rstrip("/")
    return HubSource(source.kind, where, source.path, revision or BRANCHES[source.kind])


def read_hub(source: HubSource, web: WebReader) -> HubModel:
    """Lists a repository and reads config.json and the index, so that the model can be judged before it is copied.

    Raises HubError, HubUnreachableError, and ManifestError for a bad SHA256SUMS.
    """
    found, left_out, source, pinned = LISTERS[source.kind](source, web)
    texts = {
        file.name: read_file(file, source, web)
        for file in found
        if file.name in (CONFIGURATION, INDEX) and file.size <= LARGEST_TEXT
    }
    return HubModel(source, found, texts, left_out, pinned)


def prove(model: HubModel, web: WebReader) -> Manifest:
    """Returns the manifest. Files whose sha256 the hub does not tell are read, and compared with their git id.

    Raises HubError, HubUnreachableError and ManifestError.
    """
    unknown = [file for file in model.files if file.sha256 is None]
    total = sum(file.size for file in unknown)
    if total > LARGEST_SMALL_FILES:
        largest = max(unknown, key=lambda file: file.size)
        raise HubError(
            f"{model.source.label}: the hub tells no sha256 of {len(unknown)} files with {total} bytes in all, such as "
            f"{largest.name}; at most {LARGEST_SMALL_FILES} bytes of such files are read",
            "take a copy of the model whose large files are in the hub's large storage (LFS)",
        )
    digests = {}
    for file in unknown:
        content = model.texts.get(file.name)
        content = read_file(file, model.source, web) if content is None else content
        digests[file.name] = hashlib.sha256(content).hexdigest()
    return Manifest.of(
        {"name": file.name, "size": file.size, "sha256": file.sha256 or digests[file.name]} for file in model.files
    )


def read_file(file: HubFile, source: HubSource, web: WebReader) -> bytes:
    """Returns the whole content of a small file, compared with everything that the hub said of it. Raises HubError."""
    if not file.size:
        return b""
    answer = web.get(file.url, largest=file.size)
    content = checked(answer, source, file.name, may_be_cut=True)
    if answer.cut or len(content) != file.size:
        more = "more" if answer.cut else str(len(content))
        raise HubError(f"{source.label}: {file.name} has {more} bytes, and the hub says {file.size}")
    if file.sha256 and hashlib.sha256(content).hexdigest() != file.sha256:
        raise HubError(f"{source.label}: {file.name} does not have the sha256 that the hub says", AGAIN)
    if file.blob_sha1 and blob_sha1(content) != file.blob_sha1:
        raise HubError(f"{source.label}: {file.name} does not have the git id that the hub says", AGAIN)
    return content


def blob_sha1(content: bytes) -> str:
    """Returns git's name of a content; it only compares what the hub says with what it sends."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def hub_headers(kind: SourceKind, token: str) -> dict[str, str]:
    """Returns the headers that tell a hub who asks; nothing without a token."""
    if not token:
        return {}
    headers = {"Authorization": f"Bearer {token}"}
    if kind is SourceKind.MODELSCOPE:
        headers["Cookie"] = f"m_session_id={token}"
    return headers


def origin_spec(
    model: HubModel, *, token: str = "", proxy: str = "", ca_file: str = "", timeout_s: float = 60
) -> dict[str, object]:
    """Returns what the agents need to read the files themselves (mindie_exchange.hub).

    It holds the token and the proxy's login: tasks that pass it on are marked no_log.
    """
    return {
        "urls": {file.name: file.url for file in model.files},
        "sizes": {file.name: file.size for file in model.files},
        "headers": hub_headers(model.source.kind, token),
        "proxy": {"http": proxy, "https": proxy, "no": ""} if proxy else None,
        "ca_file": ca_file or None,
        "timeout": timeout_s,
    }


AGAIN = "try again; if it stays so, the mirror or the proxy changes files: take another mindie_weights_hub_endpoint"
Found = tuple[tuple[HubFile, ...], Mapping[str, str], HubSource, bool]


def _huggingface(source: HubSource, web: WebReader) -> Found:
    api = f"{source.endpoint}/api/models/{source.repository}"
    answer = web.get(f"{api}/revision/{quote(source.revision, safe='')}", largest=LARGEST_ANSWER)
    pinned = replace(source, revision=huggingface_commit(checked(answer, source)))
    tree = f"{api}/tree/{pinned.revision}"
    query: str | None = "recursive=true"
    files: list[HubFile] = []
    seen: set[str] = set()
    while query is not None:
        if query in seen or len(seen) >= MOST_PAGES or len(files) > MOST_FILES:
            raise HubError(f"{source.label}: the pages of the hub's listing have no end")
        seen.add(query)
        answer = web.get(f"{tree}?{query}", largest=LARGEST_ANSWER)
        files += huggingface_files(checked(answer, source))
        query = next_query(answer.headers.get("link", ""))
    wanted, left_out = served(files)
    base = f"{source.endpoint}/{source.repository}/resolve/{pinned.revision}/"
    return at(wanted, {file.name: base + quote(file.name) for file in wanted}), left_out, pinned, True


def _modelscope(source: HubSource, web: WebReader) -> Found:
    query = urlencode({"Revision": source.revision, "Recursive": "true"})
    url = f"{source.endpoint}/api/v1/models/{source.repository}/repo/files?{query}"
    files, commit = modelscope_files(checked(web.get(url, largest=LARGEST_ANSWER), source))
    if COMMIT.fullmatch(source.revision):
        commit = source.revision
    wanted, left_out = served(files)
    base = f"{source.endpoint}/models/{source.repository}/resolve"
    # Where the hub does not tell the listing's commit, each file has the commit that changed it last.
    urls = {
        file.name: f"{base}/{quote(commit or file.revision or source.revision, safe='')}/{quote(file.name)}"
        for file in wanted
    }
    pinned = replace(source, revision=commit or source.revision)
    return at(wanted, urls), left_out, pinned, commit is not None or all(file.revision for file in wanted)


def _directory(source: HubSource, web: WebReader) -> Found:
    answer = web.get(source.endpoint + CHECKSUMS, largest=LARGEST_CHECKSUMS)
    try:
        text = checked(answer, source, CHECKSUMS).decode("utf-8")
    except UnicodeDecodeError as error:
        raise HubError(f"{source.label}{CHECKSUMS} is not UTF-8 text") from error
    sums = parse_checksums(text)
    wanted, left_out = served(HubFile(name, 0, digest) for name, digest in sums.items() if name != CHECKSUMS)
    urls = {file.name: source.endpoint + quote(file.name) for file in wanted}
    sized = tuple(replace(file, size=_size(urls[file.name], source, web)) for file in wanted)
    return at(sized, urls), left_out, source, True


LISTERS = {
    SourceKind.HUGGINGFACE: _huggingface,
    SourceKind.MODELSCOPE: _modelscope,
    SourceKind.HTTP: _directory,
}


def _size(url: str, source: HubSource, web: WebReader) -> int:
    """Returns the size of a file on a web server: from a request for its first byte."""
    answer = web.get(url, largest=1, span=(0, 0))
    told = answer.headers.get("content-range", "").rpartition("/")[2].strip()
    if answer.status == 416 and told == "0":
        return 0
    checked(answer, source, url.removeprefix(source.endpoint), may_be_cut=True)
    if answer.status == 200:
        told = answer.headers.get("content-length", "").strip()
    if not (told.isascii() and told.isdigit() and len(told) < 17) or int(told) > LARGEST_FILE:
        raise HubError(f"{url}: the server does not tell its size, which is needed to share the file out")
    return int(told)


def checked(answer: WebAnswer, source: HubSource, name: str = "", *, may_be_cut: bool = False) -> bytes:
    """Returns the body of a good answer. Raises HubError or HubUnreachableError with what its status means."""
    what = f"{source.label}{': ' if name else ''}{name}"
    words = answer.headers.get("x-error-message") or answer.body[:300].decode("utf-8", "replace")
    words = " ".join(words[:300].split())
    said = f"{what}: the server answered {answer.status}{': ' if words else ''}{words}"
    if answer.status in (401, 403):
        raise HubError(
            said,
            "check the name in mindie_weights_source; for a private or gated repository set mindie_weights_hub_token, "
            "and accept its terms on the hub's page",
        )
    if answer.status in (404, 410):
        missing = "beside the files there must be SHA256SUMS: " if name == CHECKSUMS else ""
        raise HubError(said, f"{missing}check mindie_weights_source and mindie_weights_revision")
    if answer.status == 429 or answer.status >= 500:
        raise HubUnreachableError(said, "wait and try again; a token (mindie_weights_hub_token) has a higher limit")
    if answer.status not in (200, 206):
        raise HubError(said, "check mindie_weights_hub_endpoint and mindie_weights_proxy")
    if answer.cut and not may_be_cut:
        raise HubError(f"{what}: the answer has more than {len(answer.body)} bytes")
    return answer.body


def shards_of(model: HubModel) -> tuple[HubFile, ...]:
    """Returns the files that hold tensors."""
    return tuple(file for file in model.files if is_shard(file.name))

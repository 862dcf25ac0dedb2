"""A bundle: one archive of what all hosts said, of what explains a failure, and of how it was judged.

mindie-deploy-bundle/
  MANIFEST             sha256, size and name of every file
  facts/               what a judgement needs; `check --from` reads it
  host-000/ ...        rendered files and logs of each host, by rank
  report.json, report.txt, versions.json

Reading takes members into memory within limits and writes nothing: an archive may come from anybody.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, cast

from mindie_deploy.errors import UsageError
from mindie_deploy.preflight.saved import Saved, from_documents
from mindie_deploy.runs.limited import Limited, too_large
from mindie_deploy.runs.scrub_json import scrub_json
from mindie_deploy.runs.whole_file import write_whole

ROOT = "mindie-deploy-bundle"
FACTS = "facts"
MANIFEST = "MANIFEST"
LARGEST_MEMBER = 64 * 1024 * 1024  # bytes; what one host says is 1 to 2 MB
LARGEST_TOTAL = 1024 * 1024 * 1024  # of what is unpacked
GZIP_MAGIC = b"\x1f\x8b"
BROKEN = (OSError, tarfile.TarError, zlib.error, EOFError, TypeError, ValueError, RecursionError, OverflowError)
MOST_MEMBERS = 10_000
REMEDY = "make a bundle with `mindie-deploy bundle`, or name the directory of a run's record"


def write_bundle(target: Path, files: Mapping[str, str], redact: Callable[[str], str]) -> None:
    """Writes the files (text by name) as a .tar.gz, beside its place and then renamed; readable by its owner only.

    `redact` takes known secrets out of a text; what looks like one is taken out of every file, and JSON stays JSON.
    Times and owners are left out, so that the same files make the same archive. Raises UsageError when it cannot be
    written.
    """
    contents = {name: scrub_json(text, redact).encode() for name, text in sorted(files.items())}
    lines = [f"{hashlib.sha256(content).hexdigest()}  {len(content)}  {name}" for name, content in contents.items()]
    contents[MANIFEST] = ("\n".join(lines) + "\n").encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{ROOT}/{name}")
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    try:
        write_whole(target, packed.getvalue(), 0o600)
    except OSError as error:
        raise UsageError(f"the bundle cannot be written: {error}", "name a directory that you can write to") from error


def files_below(directory: Path) -> dict[str, str]:
    """Returns the text of all files below a directory, by their names relative to it. Links are left out."""
    return {
        str(path.relative_to(directory)): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def read_saved(source: Path) -> Saved:
    """Returns what a bundle, or a directory with `facts`, saved. Raises UsageError with the reason for all others."""
    try:
        texts = _texts_of_directory(source) if source.is_dir() else _texts_of_archive(source)
        return from_documents({name: json.loads(text) for name, text in texts.items()})
    except UsageError:
        raise
    except KeyError as error:
        raise UsageError(f"{source}: {error} is not in it", REMEDY) from error
    except BROKEN as error:
        raise UsageError(f"{source} is no bundle of mindie-deploy: {str(error)[:300]}", REMEDY) from error


def _texts_of_directory(source: Path) -> dict[str, str]:
    place = source / FACTS if (source / FACTS).is_dir() else source
    texts: dict[str, str] = {}
    total = 0
    for path in sorted(place.glob("*.json")):
        if path.is_symlink() or not path.is_file():
            continue  # as in an archive: a link leads elsewhere, a pipe never ends
        if len(texts) >= MOST_MEMBERS:
            raise _too_many(source)
        with path.open("rb") as file:
            content = file.read(LARGEST_MEMBER + 1)
        if len(content) > LARGEST_MEMBER:
            raise _too_large(source, path.name)
        total += len(content)
        if total > LARGEST_TOTAL:
            raise ValueError(too_large(LARGEST_TOTAL))
        texts[path.name] = content.decode()
    return texts


def _too_many(source: Path) -> UsageError:
    return UsageError(f"{source} has more than {MOST_MEMBERS} members", REMEDY)


def _too_large(source: Path, name: str) -> UsageError:
    return UsageError(f"{source}: {name[:200]} is too large for what a host says", REMEDY)


def _texts_of_archive(source: Path) -> dict[str, str]:
    """Reads the members below facts/, which must be those of the manifest.

    What an archive unpacks to is counted while it is read, whatever it says.
    """
    texts: dict[str, str] = {}
    manifest = ""
    with source.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        unpacked = gzip.GzipFile(fileobj=file) if packed else file
        limited = cast(IO[bytes], Limited(unpacked, LARGEST_MEMBER, LARGEST_TOTAL))  # as much of one as tarfile uses
        with tarfile.open(fileobj=limited, mode="r:") as archive:
            for count, member in enumerate(archive):
                if count >= MOST_MEMBERS:
                    raise _too_many(source)
                if member.size > LARGEST_MEMBER:
                    raise _too_large(source, member.name)
                parts = PurePosixPath(member.name).parts
                is_fact = len(parts) == 3 and parts[:2] == (ROOT, FACTS)
                if not member.isreg() or not (is_fact or parts == (ROOT, MANIFEST)):
                    continue
                stream = archive.extractfile(member)
                text = "" if stream is None else stream.read(LARGEST_MEMBER).decode()
                if is_fact:
                    texts[parts[2]] = text
                else:
                    manifest = text
    _require_unchanged(source, texts, manifest)
    return texts


def _require_unchanged(source: Path, texts: Mapping[str, str], manifest: str) -> None:
    """Raises UsageError where a file is not the one of the manifest: damaged on its way, or edited since."""
    digests = {name: digest for digest, _, name in (line.split("  ", 2) for line in manifest.splitlines())}
    for name, text in texts.items():
        if digests.get(f"{FACTS}/{name}") != hashlib.sha256(text.encode()).hexdigest():
            raise UsageError(f"{source}: {FACTS}/{name} is not the one that its {MANIFEST} names", REMEDY)

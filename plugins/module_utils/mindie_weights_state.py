# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Where the state of the weights on a host is, and how it is read and written: shared by scan and fetch."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import json
import os
import tempfile

LARGEST = 256 * 1024 * 1024  # bytes of a file of ours; a larger one is not ours


class WeightsError(Exception):
    """Ends a module; something to tell the operator without a traceback."""


def state_paths(state_directory, directory):
    """Returns the paths of (proof, manifest, progress) for a model directory."""
    base = _base(state_directory, directory)
    return base + ".proof.json", base + ".json", base + ".progress.json"


def pieces_path(state_directory, directory):
    """Returns the path of the checksums of pieces for a model directory; see mindie_weights_pieces."""
    return _base(state_directory, directory) + ".pieces"


def _base(state_directory, directory):
    key = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return os.path.join(state_directory, "weights", key)


def incoming_directory(final):
    """Where a transfer into final keeps what is not proven yet: beside it, inside it when it is a mount point."""
    name = "." + os.path.basename(final) + ".incoming"
    parent = os.path.dirname(final)
    if os.path.isdir(final) and os.stat(final).st_dev != os.stat(parent).st_dev:
        return os.path.join(final, name)
    return os.path.join(parent, name)


def identity(info):
    """What must stay the same for a remembered sha256 to hold: writing changes mtime, setting mtime changes ctime."""
    return "%d:%d:%d:%d" % (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def write_json(path, value, mode):
    """Writes a value as JSON, whole or not at all."""
    write_text(path, json.dumps(value), mode)


def write_text(path, text, mode):
    """Writes beside the path, flushes, renames."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o750, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix="." + os.path.basename(path), dir=directory)
    try:
        with os.fdopen(handle, "w") as out:
            out.write(text)
            out.flush()
            os.fchmod(out.fileno(), mode)
            os.fsync(out.fileno())
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def read_json(path):
    """Returns the JSON object in a file of ours, or None when it is missing or damaged (then it is made again)."""
    try:
        with open(path, "rb") as handle:
            value = json.loads(handle.read(LARGEST).decode("utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


# What the exchange keeps in the incoming directory; see plugins/mindie_exchange/journal.py, agent.py and sums.py.
JOURNAL, PROVEN, SUMS = ".pieces", ".proven", ".sums"
PARTIAL = ".partial"  # behind the name of a file on its way
LOST = "lost"  # in a journal: what of other ranges is in this one does not count any more


def is_journal(name):
    """Whether a file of the incoming directory says what has arrived; there may be several, and a new one."""
    return name == JOURNAL or name.startswith(JOURNAL + ".")


def is_sums(name):
    """Whether a file of the incoming directory has the checksums of pieces; there is one for every lane."""
    return name.startswith(SUMS + ".")


def arrived_ranges(incoming):
    """Returns {name: [(begin, end), ...]} of what has arrived of partial files, as the journals of the exchange tell:
    in order, and joined where ranges meet."""
    ranges = {}
    try:
        names = sorted(name for name in os.listdir(incoming) if is_journal(name) and name != JOURNAL + ".new")
    except OSError:
        return {}
    for line in whole_lines(incoming, names):
        parts = line.split("\t")
        if len(parts) == 4 and parts[1].isdigit() and parts[2].isdigit():
            begin, end = int(parts[1]), int(parts[1]) + int(parts[2])
            known = ranges.setdefault(parts[0], set())
            if parts[3] == LOST:
                known.difference_update([one for one in known if one[0] < end and begin < one[1]])
            else:
                known.add((begin, end))
    return {
        name: _joined(rows) for name, rows in ranges.items() if os.path.isfile(os.path.join(incoming, name + PARTIAL))
    }


def _joined(rows):
    joined = []
    for begin, end in sorted(rows):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


def arrived_bytes(incoming):
    """Returns {name: bytes} of what has arrived of partial files."""
    return {name: sum(end - begin for begin, end in rows) for name, rows in arrived_ranges(incoming).items()}


def read_proven(incoming):
    """Returns {identity: sha256} of the files that the exchange has proven."""
    proven = {}
    for line in whole_lines(incoming, [PROVEN]):
        parts = line.split("\t")
        if len(parts) == 3 and len(parts[1]) == 64:
            proven[parts[0]] = parts[1]
    return proven


def whole_lines(directory, names):
    """Yields the whole lines of files of ours; a line without an end was cut off."""
    for name in names:
        try:
            number = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue
        with os.fdopen(number, "rb") as handle:
            text = handle.read(LARGEST).decode("utf-8", "replace")
        for line in text.split("\n")[:-1]:
            yield line

# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Reads files, directories and disks of a host. A path on a dead network file system blocks, so a child does it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import errno
import glob
import grp
import os
import pwd
import re
import socket
import stat

OUTPUT_LIMIT = 1 << 20  # bytes kept of each stream of a command, and of a file
READER_LIMIT = 32 << 20  # bytes of the answer of a reading child, which is JSON and so longer than what it read
ENTRY_LIMIT = 20000  # entries of a directory, matches of a pattern
CONNECT_PATIENCE = 3.0  # seconds for a connection, and again for its first words
# What the kernel says when a connection fails. EACCES and EPERM come from filters on the way out.
REFUSALS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "stranger",  # it was taken, and cut before we could look
    errno.ETIMEDOUT: "silent",
    errno.EHOSTUNREACH: "no-route",
    errno.ENETUNREACH: "no-route",
    errno.EACCES: "no-route",
    errno.EPERM: "no-route",
}
SYSTEM_DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]


def filled(text, texts):
    """Returns the text with every {name} of a known value replaced."""
    for name, value in texts.items():
        text = text.replace("{%s}" % name, value)
    return text


def decoded(content):
    """Returns bytes as text that JSON can carry; what is not UTF-8 is kept as escapes."""
    return content.decode("utf-8", "backslashreplace")


def owner_name(number, table):
    """Returns the name of a user or group number, or the number as text where there is none."""
    try:
        return table(number)[0]
    except (KeyError, OverflowError):
        return str(number)


def kind_of(mode):
    """Returns the word for the type of a path."""
    for test, word in (
        (stat.S_ISLNK, "link"),
        (stat.S_ISDIR, "directory"),
        (stat.S_ISREG, "file"),
        (stat.S_ISCHR, "char"),
        (stat.S_ISBLK, "block"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISFIFO, "fifo"),
    ):
        if test(mode):
            return word
    return "other"


def path_state(path):
    """Returns what lstat says of a path; a missing one is an answer, not an error."""
    try:
        info = os.lstat(path)
    except OSError as problem:
        missing = problem.errno in (errno.ENOENT, errno.ENOTDIR)
        return {"path": path, "exists": False, "error": None if missing else problem.strerror}
    state = {
        "path": path,
        "exists": True,
        "kind": kind_of(info.st_mode),
        "mode": "%04o" % stat.S_IMODE(info.st_mode),
        "uid": info.st_uid,
        "gid": info.st_gid,
        "owner": owner_name(info.st_uid, pwd.getpwuid),
        "group": owner_name(info.st_gid, grp.getgrgid),
        "size": info.st_size,
        "modified": info.st_mtime,
        "error": None,
    }
    if state["kind"] == "link":
        state["target"] = os.path.realpath(path)
        try:
            state["target_kind"] = kind_of(os.stat(path).st_mode)
        except OSError as problem:
            state["target_kind"] = None
            state["error"] = "the link leads nowhere: %s" % problem.strerror
    elif state["kind"] in ("char", "block"):
        state["device"] = [os.major(info.st_rdev), os.minor(info.st_rdev)]
    return state


def read_stat(patterns):
    """Returns the state of every path, and of every match of the patterns among them, each once."""
    paths = []
    for pattern in patterns:
        found = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
        paths.extend(path for path in found if path not in paths)
    return {"paths": [path_state(path) for path in paths[:ENTRY_LIMIT]], "truncated": len(paths) > ENTRY_LIMIT}


def read_file(candidates, limit, lines):
    """Returns the text of the first candidate that exists. Only regular files are opened: a pipe would block."""
    path = candidates[0]
    for path in candidates:
        if os.path.lexists(path):
            break
    answer = {"path": path, "exists": True, "text": "", "truncated": False, "error": None}
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            answer["error"] = "not a regular file"
            return answer
        with open(path, "rb") as stream:
            longest = limit if lines is None else READER_LIMIT
            content = stream.read(longest + 1)
    except OSError as problem:
        answer["exists"] = problem.errno not in (errno.ENOENT, errno.ENOTDIR)
        answer["error"] = problem.strerror
        return answer
    answer["truncated"] = len(content) > longest
    if lines is not None:
        wanted = re.compile(lines.encode())
        content = b"".join(line for line in content.splitlines(True) if wanted.search(line))
    answer["text"] = decoded(content[:limit])
    answer["truncated"] = answer["truncated"] or len(content) > limit
    return answer


def read_directory(path):
    """Returns the entries of a directory: kind, size and mode are those of what a link leads to."""
    answer = {"path": path, "exists": True, "entries": [], "truncated": False, "error": None}
    try:
        info = os.stat(path)
        answer["real_path"] = os.path.realpath(path)
        answer.update(mode="%04o" % stat.S_IMODE(info.st_mode), uid=info.st_uid, gid=info.st_gid)
        names = sorted(os.listdir(path))
    except OSError as problem:
        answer["exists"] = problem.errno != errno.ENOENT
        answer["error"] = problem.strerror
        return answer
    answer["truncated"] = len(names) > ENTRY_LIMIT
    for name in names[:ENTRY_LIMIT]:
        entry = {"name": decoded(os.fsencode(name)), "link": os.path.islink(os.path.join(path, name))}
        try:
            info = os.stat(os.path.join(path, name))
            entry.update(kind=kind_of(info.st_mode), size=info.st_size, mode="%04o" % stat.S_IMODE(info.st_mode))
            entry.update(uid=info.st_uid, gid=info.st_gid)
        except OSError as problem:
            # A link may lead nowhere; what a listing names and may not be looked at is there.
            entry.update(error=problem.strerror, exists=problem.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
        answer["entries"].append(entry)
    return answer


def filesystem_of(device):
    """Returns the type of the file system with this device number, or None."""
    wanted = "%d:%d" % (os.major(device), os.minor(device))
    try:
        with open("/proc/self/mountinfo", "rb") as stream:
            for line in decoded(stream.read()).splitlines():
                left, _unused, right = line.partition(" - ")
                if left.split()[2:3] == [wanted] and right:
                    return right.split()[0]
    except OSError:
        return None
    return None


def read_disk(path):
    """Returns the space where a path is or will be: that of its nearest directory that exists."""
    ancestor = path
    while not os.path.isdir(ancestor) and os.path.dirname(ancestor) != ancestor:
        ancestor = os.path.dirname(ancestor)
    answer = {"path": path, "ancestor": ancestor, "error": None}
    try:
        space = os.statvfs(ancestor)
        answer["filesystem"] = filesystem_of(os.stat(ancestor).st_dev)
    except OSError as problem:
        answer["error"] = problem.strerror
        return answer
    answer["total_bytes"] = space.f_blocks * space.f_frsize
    answer["available_bytes"] = space.f_bavail * space.f_frsize
    answer["read_only"] = bool(space.f_flag & os.ST_RDONLY)
    return answer


def value_from_file(rule):
    """Returns the text that a KEY=VALUE file gives to a key, without quotes, or the default."""
    try:
        with open(rule["file"], "rb") as stream:
            for line in decoded(stream.read(OUTPUT_LIMIT)).splitlines():
                key, sign, value = line.partition("=")
                if sign and key.strip() == rule["key"] and value.strip():
                    return value.strip().strip("\"'")
    except OSError:
        pass
    return rule.get("default", "")


def search_path():
    """Returns the directories to look for programs in; a plain ssh command has a short PATH."""
    directories = [word for word in os.environ.get("PATH", "").split(os.pathsep) if word]
    return directories + [word for word in SYSTEM_DIRECTORIES if word not in directories]


def locate(places):
    """Returns the first place that is an executable regular file, as an absolute path, or None."""
    for place in places:
        found = [place] if "/" in place else [os.path.join(directory, place) for directory in search_path()]
        for path in found:
            if os.path.isabs(path) and os.path.isfile(path) and os.access(path, os.X_OK):
                return path
    return None


def prepare(programs, values):
    """Returns the values, and the path of every program; both can lie on file systems that block."""
    texts = {name: value_from_file(rule) for name, rule in values.items()}
    return {
        "error": None,
        "values": texts,
        "programs": {name: locate([filled(place, texts) for place in programs[name]]) for name in programs},
    }


def connect(wanted, patience):
    """Returns what comes of a connection to a port: who answered, or how the network refused."""
    place = (wanted["address"], int(wanted["port"]))
    try:
        link = socket.create_connection(place, timeout=patience)
    except socket.timeout:
        return {"outcome": "silent", "says": "no answer within %g s" % patience, "error": None}
    except OSError as problem:
        says = problem.strerror or str(problem)
        outcome = REFUSALS.get(problem.errno)
        return {"outcome": outcome, "says": says, "error": None if outcome else says}
    with contextlib.closing(link):
        heard = first_words(link, (wanted.get("expect") or "").encode())
    return {"outcome": "answered" if heard is None else "stranger", "says": heard or "", "error": None}


def first_words(link, expected):
    """Returns None when a connection begins with the expected bytes, else in words what came instead."""
    heard = b""
    try:
        while len(heard) < len(expected):
            piece = link.recv(len(expected) - len(heard))
            if not piece:
                return "it hung up"
            heard += piece
    except socket.timeout:
        return "it took the connection and said nothing"
    except OSError as problem:
        return problem.strerror or str(problem)
    return None if heard == expected else "it said something else"


def read_item(item, texts):
    """Returns what a reading item asks for."""
    if "connect" in item:
        return connect(item["connect"], float(item.get("patience") or CONNECT_PATIENCE))
    if "file" in item:
        paths = item["file"] if isinstance(item["file"], list) else [item["file"]]
        limit = int(item.get("limit") or OUTPUT_LIMIT)
        return read_file([filled(path, texts) for path in paths], limit, item.get("lines"))
    if "stat" in item:
        return read_stat([filled(path, texts) for path in item["stat"]])
    if "directory" in item:
        return read_directory(filled(item["directory"], texts))
    return read_disk(filled(item["disk"], texts))

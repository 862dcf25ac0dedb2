"""The logs of all hosts at once: `docker logs` on each over SSH, merged line by line."""

from __future__ import annotations

import contextlib
import queue
import shlex
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import paramiko

from mindie_deploy.errors import MindieDeployError
from mindie_deploy.remote.address import Address
from mindie_deploy.remote.ssh import connected

CHUNK = 65536
LONGEST_LINE = 64 * 1024
READ_S = 1.0
# Ends the client when this side closes the connection; else it would live on until its next line.
FOLLOW = 'exec 3<&0; {command} 2>&1 & p=$!; (cat <&3 >/dev/null; kill "$p" 2>/dev/null) & w=$!; wait "$p"; s=$?; kill "$w" 2>/dev/null; exit $s'  # noqa: E501


@dataclass(frozen=True)
class LogSource:
    """One host's member: where, which rank, and the container."""

    address: Address
    rank: int
    engine: str
    container: str


@dataclass(frozen=True)
class LogLine:
    """One line of one host's log. `time` is the engine's (RFC 3339), "" for a problem, which is no line of the log."""

    host: str
    rank: int
    text: str
    time: str = ""
    problem: bool = False


def stream(
    sources: Sequence[LogSource], *, follow: bool = False, tail: int | None = None, since: str = "", until: str = ""
) -> Iterator[LogLine]:
    """Yields the lines of all hosts: in the order of time, or with `follow` as they come.

    `since` and `until` are as for docker: a time, or a duration such as 10m. A host that cannot be read yields a line
    with `problem`; the others go on. Closing the iterator ends everything on the hosts.
    """
    lines: queue.SimpleQueue[LogLine | None] = queue.SimpleQueue()
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=_read, args=(source, _command(source, follow, tail, since, until), follow, lines, stop), daemon=True
        )
        for source in sources
    ]
    for thread in threads:
        thread.start()
    running, gathered = len(threads), []
    try:
        while running:
            try:
                line = lines.get(timeout=1.0)
            except queue.Empty:
                continue
            if line is None:
                running -= 1
            elif follow or line.problem:
                yield line
            else:
                gathered.append(line)
        # Lines of the same moment in rank order; those of one host stay as they were.
        yield from sorted(gathered, key=lambda line: (line.time, line.rank))
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=5)


def _command(source: LogSource, follow: bool, tail: int | None, since: str, until: str) -> str:
    words = [source.engine, "logs", "--timestamps"]
    for option, value in (("--tail", "" if tail is None else str(tail)), ("--since", since), ("--until", until)):
        if value:
            words += [option, value]
    if follow:
        words.append("--follow")
    command = shlex.join([*words, source.container])
    script = FOLLOW.format(command=command) if follow else f"{command} 2>&1"
    command = shlex.join(["/bin/sh", "-c", script])
    if not source.address.become:
        return command
    return f"sudo -S -p '' {command}" if source.address.become_password else f"sudo -n {command}"


def _read(
    source: LogSource, command: str, follow: bool, lines: queue.SimpleQueue[LogLine | None], stop: threading.Event
) -> None:
    name, rank = source.address.name, source.rank
    try:
        with connected(source.address) as client:
            transport = client.get_transport()
            channel = transport.open_session(timeout=READ_S * 10) if transport else None
            if channel is None:
                raise paramiko.SSHException("the connection is gone")
            channel.settimeout(READ_S)
            channel.set_combine_stderr(True)
            channel.exec_command(command)
            if source.address.become and source.address.become_password:
                channel.sendall(f"{source.address.become_password}\n".encode())
            last = ""
            for text in _lines(channel, stop):
                stamp, _, rest = text.partition(" ")
                # What is not stamped is the engine's own word, such as "No such container".
                stamped = stamp[:4].isdigit() and "T" in stamp
                last = text
                if stamped:
                    lines.put(LogLine(name, rank, rest, stamp))
            if not stop.is_set():
                status = channel.recv_exit_status()
                if status != 0:
                    lines.put(LogLine(name, rank, last or f"{source.engine} ended with {status}", problem=True))
                elif follow:
                    lines.put(LogLine(name, rank, "its container has ended", problem=True))
    except MindieDeployError as error:
        lines.put(LogLine(name, rank, error.message, problem=True))
    except (paramiko.SSHException, OSError, EOFError) as error:
        if not stop.is_set():
            lines.put(LogLine(name, rank, f"the connection broke: {error or type(error).__name__}", problem=True))
    finally:
        lines.put(None)


def _lines(channel: paramiko.Channel, stop: threading.Event) -> Iterator[str]:
    rest = b""
    while not stop.is_set():
        try:
            data = channel.recv(CHUNK)
        except TimeoutError:
            continue
        if not data:
            break
        *complete, rest = (rest + data).split(b"\n")
        for line in complete:
            yield _text(line)
        while len(rest) > LONGEST_LINE:
            yield _text(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
    if stop.is_set():
        with contextlib.suppress(OSError):
            channel.close()
    elif rest:
        yield _text(rest)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")

"""The state of a simulated host: where its YAML file is, how it is read fast, checked, and changed.

Reading a YAML file costs tens of milliseconds, a tool call must not. So the checked state with all defaults filled in
is kept beside the file, marshalled, and used as long as the file's time and size and this schema are the same.
yaml and the schema come in only when the cache does not fit, and paths are texts: pathlib alone costs a third of
a call.
"""

from __future__ import annotations

import marshal
import os
import time

from .light import IO, Any, Callable, Mapping

State = dict[str, Any]

ROOT_VARIABLE = "SIMULATOR_ROOT"  # tests set it; a host has /simulator
NAME_VARIABLE = "SIMULATED_HOST_NAME"
RUN_VARIABLE = "SIMULATOR_RUN"
MARSHAL = 4  # the form that the Pythons of controller and hosts have in common; JSON takes longer to import
NAME_FILES = ("/etc/simulated-host-name", "/simulator/self")


class StateError(Exception):
    """The state file cannot be used; the message says which file, where in it, and which rule is broken."""


def run_directory() -> str:
    """Where locks and counters of this host live; made when missing."""
    directory = os.environ.get(RUN_VARIABLE, "/run/simulator")
    os.makedirs(directory, exist_ok=True)
    return directory


def hosts_directory() -> str:
    """The folder with one YAML file per host."""
    return os.path.join(os.environ.get(ROOT_VARIABLE, "/simulator"), "hosts")


def own_name() -> str:
    """The name of this host; StateError when nothing says it."""
    name = os.environ.get(NAME_VARIABLE, "")
    for file in NAME_FILES:
        if not name and os.path.isfile(file):
            name = _read(file).strip()
    if not name:
        raise StateError(f"neither ${NAME_VARIABLE} nor {NAME_FILES[0]} says which simulated host this is")
    return name


def path_of(name: str) -> str:
    """The state file of the host `name`."""
    return os.path.join(hosts_directory(), f"{name}.yml")


def host_names() -> list[str]:
    """All simulated hosts, by the files that exist."""
    names = os.listdir(hosts_directory())
    return sorted(name[:-4] for name in names if name.endswith(".yml") and not name.startswith("."))


def load(name: str) -> State:
    """The full state of a host, defaults filled in. StateError when the file is missing or breaks a rule."""
    return load_file(path_of(name))


def load_file(file: str) -> State:
    """The full state that `file` describes; see `load`."""
    try:
        status = os.stat(file)
    except FileNotFoundError:
        raise StateError(f"{file}: no such state file; is the simulated cluster up?") from None
    stamp = [status.st_mtime_ns, status.st_size, _schema_stamp()]
    cache = _hidden(file, "cache")
    known = _read_cache(cache, stamp)
    if known is None:
        known = validate(parse(_read(file), file), file)
        _write_cache(cache, {"stamp": stamp, "state": known})
    known["stamp_ns"] = status.st_mtime_ns
    return known


def _schema_stamp() -> int:
    """Changes when the code that checks and fills in the state does."""
    here = os.path.dirname(os.path.abspath(__file__))
    names = ("schema.py", "schema_npu.py", "fields.py", "state_rules.py")
    return max(os.stat(os.path.join(here, name)).st_mtime_ns for name in names)


def _hidden(file: str, ending: str) -> str:
    """`.host1.cache` beside `host1.yml`."""
    folder, name = os.path.split(file)
    return os.path.join(folder, f".{name.rpartition('.')[0]}.{ending}")


def _read(file: str) -> str:
    with open(file, encoding="utf-8") as stream:
        return stream.read()


def _read_cache(cache: str, stamp: list[int]) -> State | None:
    try:
        with open(cache, "rb") as stream:
            content = marshal.load(stream)
    except (FileNotFoundError, ValueError, EOFError, TypeError):  # absent, or not whole: made anew
        return None
    if isinstance(content, dict) and content.get("stamp") == stamp:
        state = content.get("state")
        return state if isinstance(state, dict) else None
    return None


def _write_cache(cache: str, content: Mapping[str, object]) -> None:
    try:
        _replace(cache, marshal.dumps(content, MARSHAL))
    except OSError:
        return  # a folder that nobody may write to: the state is parsed again by the next call


def _replace(file: str, content: bytes) -> None:
    """Writes the whole file at once: readers see the old or the new one."""
    unfinished = f"{file}.{os.getpid()}.part"
    with open(unfinished, "wb") as stream:
        stream.write(content)
    os.replace(unfinished, file)


def parse(content: str, origin: str) -> object:
    """The YAML text as plain data; StateError with the place of a syntax error."""
    import yaml

    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise StateError(f"{origin}: not valid YAML: {error}") from None


def validate(given: object, origin: str) -> State:
    """The full state with defaults, or StateError that lists every broken rule of `origin`."""
    from .fields import fill
    from .schema import HOST
    from .state_rules import cross_problems

    problems: list[str] = []
    state = fill(HOST, given, "", problems)
    if not problems:
        problems = cross_problems(state)
    if problems:
        raise StateError("\n".join(f"{origin}: {problem}" for problem in problems))
    return state


def dump(raw: Mapping[str, object], name: str = "") -> str:
    """A state as the text of its YAML file."""
    import yaml

    head = (
        f"# Hardware of the simulated host {name}. Fields: docs/simulator-state.md. Left out: as on a healthy host.\n"
        "# After an edit by hand: python3 /opt/simulator/tools/apply.py on the host (the tools see it at once).\n"
    )
    return head + str(yaml.safe_dump(dict(raw), sort_keys=False, width=118))


def write(file: str | os.PathLike[str], raw: Mapping[str, object]) -> None:
    """Checks a state and writes it to `file` at once; StateError and an untouched file when it breaks a rule."""
    path = os.fspath(file)
    validate(raw, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    _replace(path, dump(raw, os.path.basename(path).rpartition(".")[0]).encode())


def read_raw(file: str | os.PathLike[str]) -> State:
    """What the file itself says, without defaults."""
    path = os.fspath(file)
    if not os.path.isfile(path):
        raise StateError(f"{path}: no such state file; is the simulated cluster up?")
    raw = parse(_read(path), path)
    if not isinstance(raw, dict):
        raise StateError(f"{path}: must be a mapping of names to values")
    return raw


def change(file: str | os.PathLike[str], edit: Callable[[State], None]) -> None:
    """Lets `edit` change what the file says, checks the result and writes it; nothing is written on StateError.

    Others who change the same file wait: two hccn_tool calls on two devices may both set something.
    """
    path = os.fspath(file)
    with open(_hidden(path, "lock"), "w", encoding="utf-8") as lock:
        hold(lock)
        raw = read_raw(path)
        edit(raw)
        write(path, raw)


def hold(file: IO[str], *, wait: bool = True) -> bool:
    """Takes the lock of an open file until it is closed; False when another has it and `wait` is false."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def healthy_host(index: int, hosts: int = 4, npus: int = 8) -> State:
    """The state of a faultless host, the `index`-th (from 0) of a cluster; a plain mapping ready for `write`."""
    from .healthy import healthy_host as make

    return make(index, hosts, npus)


def now() -> float:
    """The machine's clock, seconds since 1970, before any shift by `clock.offset_s`."""
    return time.clock_gettime(time.CLOCK_REALTIME)

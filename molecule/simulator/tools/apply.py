#!/usr/bin/python3
"""Makes a simulated host what its state file says: programs, driver files, device nodes, processes, clock.

Usage on the host: python3 /opt/simulator/tools/apply.py [--remove]. Everything follows from the state alone, so a fault
that is taken back is undone by the next run, and a run without change changes nothing. One line is printed per change.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tools import clock, conf, processes, state

MARK = b"# simulated-by: mindie-deploy simulator"
LAUNCHERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launchers")
USER, USER_ID = "HwHiAiUser", 1000
MAJOR, HDC_MAJOR, SVM_MAJOR = 236, 235, 238  # devmm_svm is 238,0 in a public listing
MANAGER_MINOR = FIRST_VIRTUAL = 64  # above every NPU's; ids of virtual NPUs, whose nodes are not simulated, begin there
ASCEND = "usr/local/Ascend"
# Where an earlier state may have put a program.
USUAL = {
    "npu-smi": ("usr/local/bin/npu-smi", "usr/local/sbin/npu-smi"),
    "hccn_tool": (f"{ASCEND}/driver/tools/hccn_tool", "usr/bin/hccn_tool"),
}
LIBRARIES = (f"{ASCEND}/driver/lib64/driver/libascend_hal.so", f"{ASCEND}/driver/lib64/common/libc_sec.so",
             "usr/local/dcmi/libdcmi.so")  # fmt: skip
KNOBS = f"{ASCEND}/driver/.simulated-mindie.json"
MakeNode = Callable[[str, int, int, int], None]


def make_node(path: str, mode: int, major: int, minor: int) -> None:
    """A character device."""
    os.mknod(path, stat.S_IFCHR | mode, os.makedev(major, minor))


class Applier:
    """Brings the files below `root` in agreement with a state; `make_node` makes a device (tests have no right to)."""

    def __init__(self, host: state.State | None, root: str = "/", node: MakeNode = make_node) -> None:
        self.host = host  # None: take everything away
        self.root = root
        self.node = node
        self.changes: list[str] = []

    def path(self, name: str) -> str:
        """A path below the root."""
        return os.path.join(self.root, name.lstrip("/"))

    def run(self) -> list[str]:
        """All of it; the changes made."""
        self._user()
        for name, content in self._files().items():
            self._file(name, content)
        for tool in USUAL:
            self._program(tool)
        self._file("usr/local/bin/lspci", self._lspci(), 0o755)
        self._devices()
        return self.changes

    def _files(self) -> dict[str, str | None]:
        host = self.host
        if host is None:
            names = ("etc/hccn.conf", "etc/ascend_install.info", f"{ASCEND}/driver/version.info",
                     f"{ASCEND}/firmware/version.info", KNOBS, *LIBRARIES)  # fmt: skip
            return {**dict.fromkeys(names), **clock.files(0)}
        return {
            "etc/hccn.conf": conf.hccn_conf(host),
            "etc/ascend_install.info": conf.install_info(host),
            f"{ASCEND}/driver/version.info": conf.driver_version_info(host),
            f"{ASCEND}/firmware/version.info": conf.firmware_version_info(host),
            KNOBS: json.dumps(knobs(host), indent=1) + "\n",
            **dict.fromkeys(LIBRARIES, "placeholder of the simulated driver\n"),
            **clock.files(host["clock"]["offset_s"]),
        }

    def _file(self, name: str, content: str | bytes | None, mode: int = 0o644) -> None:
        """The file has this content and mode, or is not there; an equal one keeps its inode (containers mount it)."""
        path = self.path(name)
        if content is None:
            if os.path.lexists(path):
                os.unlink(path)
                self.changes.append(f"removed {path}")
            return
        data = content.encode() if isinstance(content, str) else content
        if os.path.isfile(path) and _read(path) == data and stat.S_IMODE(os.stat(path).st_mode) == mode:
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        unfinished = f"{path}.part"
        with open(unfinished, "wb") as stream:
            stream.write(data)
        os.chmod(unfinished, mode)
        os.replace(unfinished, path)
        self.changes.append(f"wrote {path}")

    def _program(self, tool: str) -> None:
        """The launcher at its place; ours is taken away from every other place."""
        section = self.host["npu_smi" if tool == "npu-smi" else "hccn_tool"] if self.host is not None else None
        place = section["path"].lstrip("/") if section else ""
        form = section["is"] if section else "missing"
        for name in {*USUAL[tool], *([place] if place else [])}:
            path = self.path(name)
            wanted = form if name == place else "missing"
            if wanted != "directory" and os.path.isdir(path):
                os.rmdir(path)
                self.changes.append(f"removed {path}/")
            if wanted != "program" and os.path.isfile(path) and MARK in _read(path):
                os.unlink(path)
                self.changes.append(f"removed {path}")
        if form == "program":
            self._file(place, _read(os.path.join(LAUNCHERS, tool)), 0o755)
        elif form == "directory" and not os.path.isdir(self.path(place)):
            os.makedirs(self.path(place))
            self.changes.append(f"made {self.path(place)}/")

    def _lspci(self) -> bytes | None:
        """It stands before a true one, which would show the bus of the machine that all hosts share."""
        return None if self.host is None else _read(os.path.join(LAUNCHERS, "lspci"))

    def _user(self) -> None:
        """The driver's user and group, made when missing; never removed, as files may be theirs."""
        lines = (("etc/group", f"{USER}:x:{USER_ID}:\n"),
                 ("etc/passwd", f"{USER}:x:{USER_ID}:{USER_ID}::/home/{USER}:/usr/sbin/nologin\n"))  # fmt: skip
        for name, line in lines:
            path = self.path(name)
            text = _read(path).decode() if os.path.isfile(path) else ""
            known = [entry.split(":") for entry in text.splitlines()]
            if self.host is None or any(entry[0] == USER or entry[2:3] == [str(USER_ID)] for entry in known):
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "a", encoding="utf-8") as stream:
                stream.write(line if not text or text.endswith("\n") else f"\n{line}")
            self.changes.append(f"added {USER} to {path}")

    def _devices(self) -> None:
        asked = {} if self.host is None else device_nodes(self.host)
        folder = self.path("dev")
        os.makedirs(folder, exist_ok=True)
        ours = {name for name in os.listdir(folder) if name.startswith("davinci")} | {"devmm_svm", "hisi_hdc"}
        section = self.host["files"]["devices"] if self.host is not None else {"mode": "0660", "group": "root"}
        mode, owner = int(section["mode"], 8), USER_ID if section["group"] == USER else 0
        for name in sorted(ours | set(asked)):
            path = os.path.join(folder, name)
            if name not in asked:
                if os.path.lexists(path):
                    os.unlink(path)
                    self.changes.append(f"removed {path}")
                continue
            if not os.path.lexists(path):
                self.node(path, mode, *asked[name])
                self.changes.append(f"made {path}")
            status = os.stat(path)
            if stat.S_IMODE(status.st_mode) != mode or (os.geteuid() == 0 and status.st_uid != owner):
                os.chmod(path, mode)
                if os.geteuid() == 0:
                    os.chown(path, owner, owner)


def device_nodes(host: state.State) -> dict[str, tuple[int, int]]:
    """Name below /dev: major and minor. None without a loaded driver."""
    if not host["driver"]["loaded"]:
        return {}
    nodes = {f"davinci{npu['id']}": (MAJOR, npu["id"]) for npu in host["npus"] if npu["id"] < FIRST_VIRTUAL}
    nodes.update(davinci_manager=(MAJOR, MANAGER_MINOR), devmm_svm=(SVM_MAJOR, 0), hisi_hdc=(HDC_MAJOR, 0))
    return {name: numbers for name, numbers in nodes.items() if name not in host["files"]["devices"]["missing"]}


def knobs(host: state.State) -> dict[str, Any]:
    """What the simulated MindIE daemon reads: the `mindie` section, and the device addresses its workers compare."""
    addresses = {str(npu["id"]): npu["hccn"]["address"] for npu in host["npus"] if npu["hccn"]["address"]}
    return {"device_ips": addresses, **host["mindie"]}


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def main(arguments: list[str]) -> int:
    """0, or 1 with the reason on stderr."""
    if arguments not in ([], ["--remove"]):
        sys.stderr.write("usage: apply.py [--remove]\n")
        return 2
    if not any(os.path.isfile(file) for file in state.NAME_FILES):
        # It writes to /etc and /dev: never on a machine that is no simulated host.
        sys.stderr.write(f"apply.py: {state.NAME_FILES[0]} is missing: this is no simulated host\n")
        return 2
    try:
        name = state.own_name()
        host = None if arguments else state.load(name)
        changes = Applier(host).run() + processes.agree(host, name)
    except (state.StateError, processes.ProcessError) as error:
        sys.stderr.write(f"apply.py: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"apply.py: {error.strerror}: {error.filename}\n")
        return 1
    print("\n".join(changes) if changes else "nothing to change")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""What of a host's file system the small one is made of."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from simulated_cluster.errors import SimulatorError
from simulated_cluster.slim import chosen_paths, closure, read_status, write_slim

STATUS = """\
Package: bash
Status: install ok installed
Pre-Depends: libc6 (>= 2.36)
Depends: base-files (>= 2.1.12), debianutils
Description: shell
 Depends: nothing, this is text

Package: base-files
Status: install ok installed
Depends: awk

Package: mawk
Status: install ok installed
Provides: awk

Package: libc6
Status: install ok installed
Depends: libgcc-s1:amd64 | other

Package: libgcc-s1
Status: install ok installed

Package: gone
Status: deinstall ok config-files
"""


def test_only_installed_packages_are_read() -> None:
    packages = read_status(STATUS)
    assert set(packages) == {"bash", "base-files", "mawk", "libc6", "libgcc-s1"}
    assert packages["bash"].depends == ("libc6", "base-files", "debianutils")


def test_dependencies_come_along_by_the_names_that_packages_provide() -> None:
    packages = read_status(STATUS)
    assert closure(packages, ["bash"], frozenset()) == {"bash", "base-files", "mawk", "libc6", "libgcc-s1"}
    assert "mawk" not in closure(packages, ["bash"], frozenset({"mawk"}))


def test_a_wanted_package_that_is_missing_is_an_error() -> None:
    with pytest.raises(SimulatorError, match="lacks zsh"):
        closure(read_status(STATUS), ["bash", "zsh"])


def test_paths_through_linked_directories_and_compiled_python() -> None:
    members = [
        "bin",
        "usr",
        "usr/bin",
        "usr/bin/bash",
        "usr/lib",
        "usr/lib/a",
        "usr/lib/a/b.py",
        "usr/lib/a/__pycache__",
        "usr/lib/a/__pycache__/b.cpython-311.pyc",
        "usr/lib/a/__pycache__/other.cpython-311.pyc",
        "usr/share/doc/bash/README",
        "usr/bin/vi",
    ]
    chosen = chosen_paths(["/bin/bash", "/usr/lib/a/b.py", "/usr/share/doc/bash/README"], members, {"bin": "usr/bin"})
    assert "usr/bin/bash" in chosen
    assert "usr/lib/a/__pycache__/b.cpython-311.pyc" in chosen
    assert not chosen & {"usr/bin/vi", "usr/share/doc/bash/README", "usr/lib/a/__pycache__/other.cpython-311.pyc"}


def test_a_file_with_two_names_keeps_its_content(tmp_path: Path) -> None:
    packages = ("base-files", "base-passwd", "bash", "coreutils", "dash", "findutils", "grep")
    packages += ("hostname", "libc-bin", "procps", "python3", "sed")
    status = "\n\n".join(f"Package: {name}\nStatus: install ok installed" for name in packages)
    with tarfile.open(tmp_path / "host.tar", "w") as tar:
        for name in ("./usr", "./usr/bin"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        contents = {"./var/lib/dpkg/status": status, "./usr/bin/not-chosen": "#!x"}
        contents |= {f"./var/lib/dpkg/info/{name}.list": "/usr/bin/two" if name == "bash" else "" for name in packages}
        for name, text in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("./usr/bin/two")
        link.type, link.linkname = tarfile.LNKTYPE, "./usr/bin/not-chosen"
        tar.addfile(link)
    write_slim(tmp_path / "host.tar", tmp_path / "slim.tar")
    with tarfile.open(tmp_path / "slim.tar") as tar:
        content = tar.extractfile("usr/bin/two")
        assert content is not None
        assert content.read() == b"#!x"
        assert "usr/bin/not-chosen" not in tar.getnames()

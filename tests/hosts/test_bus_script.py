"""The question for the PCI bus, put to a real shell: lspci where it is, else the kernel's files."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mindie_deploy.hosts import pci
from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import Unknown
from mindie_deploy.hosts.items_npu import BUS_SCRIPT

BUS = "/sys/bus/pci/devices"
SHELL = "/bin/sh"


def ask(tmp_path: Path, lspci: str | None = None) -> Answer:
    """What the script says where `tmp_path` has the devices of the bus and perhaps an lspci of this text."""
    programs = tmp_path / "bin"
    programs.mkdir()
    if lspci is not None:
        (programs / "lspci").write_text(f"#!{SHELL}\n{lspci}\n", encoding="utf-8")
        (programs / "lspci").chmod(0o755)
    assert BUS in BUS_SCRIPT
    script = BUS_SCRIPT.replace(BUS, str(tmp_path / "devices"))
    ended = subprocess.run(
        [SHELL, "-c", script], env={"PATH": str(programs)}, capture_output=True, text=True, timeout=30, check=False
    )
    return Answer(ended.returncode, ended.stdout, ended.stderr)


def device(tmp_path: Path, address: str, **files: str) -> None:
    place = tmp_path / "devices" / address
    place.mkdir(parents=True)
    for name, text in files.items():
        (place / name).write_text(f"{text}\n", encoding="utf-8")


def devices(tmp_path: Path) -> None:
    device(tmp_path, "0000:c1:00.0", vendor="0x19e5", device="0xd802", **{"class": "0x120000"})
    device(tmp_path, "0000:7d:00.0", vendor="0x19e5", device="0xa222", **{"class": "0x020000"})
    device(tmp_path, "0000:01:00.0", vendor="0x8086", device="0xd802", **{"class": "0x120000"})
    device(tmp_path, "0000:c2:00.0", vendor="0x19e5", device="0xd802")


def test_without_lspci_the_kernels_files_are_read(tmp_path: Path) -> None:
    devices(tmp_path)
    answer = ask(tmp_path)
    assert answer.stdout == "0000:7d:00.0 0200: 19e5:a222\n0000:c1:00.0 1200: 19e5:d802\n"
    assert pci.bus(answer) == {"c1:00.0": "d802"}


def test_lspci_that_answers_is_enough(tmp_path: Path) -> None:
    devices(tmp_path)
    answer = ask(tmp_path, '[ "$*" = "-n -d 19e5:" ] && echo "c8:00.0 1200: 19e5:d802 (rev 20)"')
    assert pci.bus(answer) == {"c8:00.0": "d802"}


def test_lspci_that_fails_is_no_answer(tmp_path: Path) -> None:
    devices(tmp_path)
    assert pci.bus(ask(tmp_path, 'echo "lspci: Cannot open /proc/bus/pci" >&2; exit 1')) == {"c1:00.0": "d802"}


def test_a_system_without_a_pci_bus_is_not_known(tmp_path: Path) -> None:
    assert isinstance(pci.bus(ask(tmp_path)), Unknown)


def test_a_bus_without_devices_is_an_answer(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    assert pci.bus(ask(tmp_path)) == {}

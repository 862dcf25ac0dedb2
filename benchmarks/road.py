"""How much slower than bare SSH are `check` and a no-op `up`, and how much memory do they take?

    python benchmarks/road.py --work .work/bench --hosts 4

The floor is one ssh a host, all hosts at once, each running the very commands and file reads of one collection from one
script. Everything shares one machine here, the simulated hosts too, so read the ratios and not the seconds.
Brings a simulated cluster of its own up and takes it down again.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.collection import specification

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = ROOT / "molecule" / "simulator" / "cluster.py"


def script(settings: Settings) -> str:
    """The items of one collection as a shell script, one after the other, as an operator would write it."""
    wanted = specification(settings)
    lines = []
    for item in wanted["items"]:  # type: ignore[attr-defined]
        if "command" in item:
            words = [str(word) for word in item["command"]]
            words[0] = {
                "hccn_tool": settings.hccn_tool_path or "/usr/local/Ascend/driver/tools/hccn_tool",
                "npu-smi": settings.npu_smi_path or "npu-smi",
            }.get(words[0], words[0])
            lines.append(shlex.join(words))
        elif "file" in item:
            paths = item["file"] if isinstance(item["file"], list) else [item["file"]]
            lines += [f"cat {path}" for path in paths if "{" not in str(path)]
        elif "stat" in item:
            lines.append("ls -ld " + " ".join(str(path) for path in item["stat"] if "{" not in str(path)))
        elif "directory" in item:
            lines.append(f"ls -l {item['directory']}")
        elif "disk" in item:
            lines.append(f"df -k {item['disk']}")
    return "\n".join(f"{line} 2>&1" for line in lines) + "\n"


def floor(inventory: Path, text: str) -> float:
    """Seconds of the script on all hosts at once."""
    group = yaml.safe_load((inventory / "hosts.yml").read_text())["all"]["children"]["mindie"]
    common: dict[str, Any] = group["vars"]
    began = time.monotonic()
    running = [
        subprocess.Popen(
            [
                "ssh",
                "-i",
                common["ansible_ssh_private_key_file"],
                *shlex.split(common["ansible_ssh_common_args"]),
                f"{common['ansible_user']}@{host['ansible_host']}",
                "sh -s",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for host in group["hosts"].values()
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(text.encode())
        process.stdin.close()
    for process in running:
        process.wait()
    return time.monotonic() - began


def resident(pid: int) -> int:
    """KiB of a process and everything below it, shared pages counted once each by the kernel's PSS where it tells."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        waiting += children.get(one, [])
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return total


def command(*arguments: str) -> tuple[float, int]:
    """Runs mindie-deploy; returns seconds and the highest memory seen, in KiB."""
    environment = {**os.environ, "XDG_STATE_HOME": str(ROOT / ".work" / "bench-state")}
    began = time.monotonic()
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("mindie-deploy")), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.3):
            peak = max(peak, resident(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _out, err = process.communicate()
    seconds = time.monotonic() - began
    done.set()
    watcher.join()
    if process.returncode != 0:
        raise SystemExit(
            f"mindie-deploy {' '.join(arguments)} ended with {process.returncode}:\n{err.decode()[-2000:]}"
        )
    return seconds, peak


def median(measure: Callable[[], float], times: int = 3) -> float:
    """The middle one of several measurements."""
    return sorted(measure() for _ in range(times))[times // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / ".work" / "bench")
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--up", action="store_true", help="measure a no-op up too (needs four hosts)")
    given = parser.parse_args()
    inventory = given.work / "inventory"
    subprocess.run(
        [sys.executable, str(CLUSTER), "up", f"--hosts={given.hosts}", f"--work={given.work}"], check=True, cwd=ROOT
    )
    try:
        variables = yaml.safe_load((inventory / "group_vars" / "all.yml").read_text())
        text = script(Settings.from_variables(variables))
        lowest = median(lambda: floor(inventory, text))
        print(f"hosts {given.hosts}; floor {lowest:.2f} s")
        peaks = []

        def check() -> float:
            seconds, peak = command("check", "-i", str(inventory))
            peaks.append(peak)
            return seconds

        seconds = median(check)
        print(f"check      {seconds:6.2f} s  ratio {seconds / lowest:5.2f}  peak {max(peaks) / 1024:.0f} MiB")
        if given.up:
            command("up", "--yes", "-i", str(inventory))
            peaks.clear()

            def again() -> float:
                seconds, peak = command("up", "--yes", "-i", str(inventory))
                peaks.append(peak)
                return seconds

            seconds = median(again)
            print(f"no-op up   {seconds:6.2f} s  ratio {seconds / lowest:5.2f}  peak {max(peaks) / 1024:.0f} MiB")
    finally:
        subprocess.run([sys.executable, str(CLUSTER), "down", f"--work={given.work}"], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()

"""How fast is `check`? Against bare SSH, with many hosts, and with pings.

    python benchmarks/preflight.py hosts --hosts 4     all checks without pings, against one ssh a host (goal: 4 times)
    python benchmarks/preflight.py light --hosts 60    as many light hosts as a rank table holds (goal: 0.5 s a host)
    python benchmarks/preflight.py rails               pings of 3 and of 4 hosts, against those of one NPU

The floor is one ssh a host, all hosts at once, each running the very commands and file reads of one collection from one
script. Everything shares one machine here, the simulated hosts too, so read the ratios and not the seconds.

A light host is an address of one simulated host whose npu-smi, hccn_tool, docker and lspci are a small program (needs a
C compiler): it prints what the true programs of that host answered to the same words, so that what is measured is
`check` and not the simulator. Brings simulated clusters of its own up and takes them down again.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from road import CLUSTER, ROOT, command, floor, median, script

from mindie_deploy.cluster.settings import Settings

WITHOUT_REACH = {"mindie_check_pings": "off", "mindie_check_ports": False}
LIGHT = "/opt/light"
FIRST_LIGHT = 50  # last part of the first light host's address
PROGRAMS = {
    "npu-smi": "/usr/local/bin/npu-smi",
    "hccn_tool": "/usr/local/Ascend/driver/tools/hccn_tool",
    "docker": "/usr/bin/docker",
    "lspci": "/usr/local/bin/lspci",
}
# A file per answer, named by the words of the call, of which a name holds 200 bytes. A light host has its own addresses
# for its NPUs.
RECORD = """#!/bin/sh
answer="{light}/answers/{name}/$(printf '%s ' "$@" | tr / % | cut -b1-200)"
{true} "$@" >"$answer.part" && mv "$answer.part" "$answer" && cat "$answer"
"""


class Cluster:
    """A simulated cluster that is up."""

    def __init__(self, work: Path, hosts: int) -> None:
        self.work = work
        self.hosts = hosts
        self.inventory = work / "inventory"

    def run(self, *arguments: str, given: bytes | None = None) -> str:
        """A subcommand of cluster.py; returns what it printed."""
        words = [sys.executable, str(CLUSTER), arguments[0], f"--work={self.work}", *arguments[1:]]
        done = subprocess.run(words, cwd=ROOT, input=given, capture_output=True, check=False)
        if done.returncode != 0:
            output = (done.stdout + done.stderr).decode(errors="replace")
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{output}")
        return done.stdout.decode()

    def shell(self, host: str, text: str) -> str:
        """A shell script on a host."""
        return self.run("exec", host, "--", "sh", "-e", "-c", text)

    def inventory_with(self, name: str, settings: dict[str, Any], hosts: dict[str, Any] | None = None) -> Path:
        """A copy of the inventory with other settings, and with other hosts if any are given."""
        copy = self.work / name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.inventory, copy)
        path = copy / "group_vars" / "all.yml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **settings}, sort_keys=False))
        if hosts is not None:
            path = copy / "hosts.yml"
            document = yaml.safe_load(path.read_text())
            document["all"]["children"]["mindie"].update(hosts)
            path.write_text(yaml.safe_dump(document, sort_keys=False, width=1000))
        return copy


@contextlib.contextmanager
def cluster(work: Path, hosts: int) -> Iterator[Cluster]:
    """Brings a cluster up and takes it down."""
    made = Cluster(work, hosts)
    subprocess.run([sys.executable, str(CLUSTER), "up", f"--hosts={hosts}", f"--work={work}"], check=True, cwd=ROOT)
    try:
        yield made
    finally:
        for name in ("without", "pinging", "light", "recording"):
            shutil.rmtree(work / name, ignore_errors=True)
        subprocess.run([sys.executable, str(CLUSTER), "down", f"--work={work}"], check=True, cwd=ROOT)


def settings_of(inventory: Path) -> Settings:
    """The settings of an inventory."""
    return Settings.from_variables(yaml.safe_load((inventory / "group_vars" / "all.yml").read_text()))


def checked(inventory: Path) -> float:
    """Seconds of one `check`, which must not be refused by the hosts."""
    return command("check", "-i", str(inventory))[0]


def hosts(work: Path, count: int) -> None:
    """All checks without pings on simulated hosts, against the floor."""
    with cluster(work, count) as up:
        inventory = up.inventory_with("without", WITHOUT_REACH)
        text = script(settings_of(inventory))
        floor(inventory, text)  # warms the file caches
        lowest = median(lambda: floor(inventory, text))
        seconds = median(lambda: checked(inventory))
        whole = median(lambda: checked(up.inventory))
        print(f"{count} simulated hosts; floor {lowest:.2f} s")
        print(f"check without pings and ports {seconds:6.2f} s  ratio {seconds / lowest:.2f} (goal: at most 4)")
        print(f"check                         {whole:6.2f} s  ratio {whole / lowest:.2f}")


def light(work: Path, count: int) -> None:
    """Many light hosts, against the floor."""
    with cluster(work, 1) as up:
        inventory = light_hosts(up, count)
        text = script(settings_of(inventory))
        floor(inventory, text)
        lowest = median(lambda: floor(inventory, text))
        seconds = median(lambda: checked(inventory))
        print(f"{count} light hosts; floor {lowest:.2f} s, {lowest / count:.2f} s a host")
        print(
            f"check without pings and ports {seconds:6.2f} s  {seconds / count:.2f} s a host (goal: at most 0.5), "
            f"ratio {seconds / lowest:.2f}"
        )


def light_hosts(up: Cluster, count: int) -> Path:
    """Records the answers of a true `check`, lets scripts repeat them, gives the host more addresses: an inventory."""
    places = {"mindie_npu_smi_path": f"{LIGHT}/npu-smi", "mindie_hccn_tool_path": f"{LIGHT}/hccn_tool"}
    up.shell("host1", f"mkdir -p {LIGHT}/answers")
    for name, true in PROGRAMS.items():
        up.shell("host1", f"mkdir -p {LIGHT}/answers/{name}")
        put(up, name, RECORD.format(light=LIGHT, name=name, true=true).encode())
    command("check", "-i", str(up.inventory_with("recording", {**WITHOUT_REACH, **places})))
    document = yaml.safe_load((up.inventory / "hosts.yml").read_text())["all"]["children"]["mindie"]
    prefix, _, _ = document["hosts"]["host1"]["ansible_host"].rpartition(".")
    names = {f"light{index + 1}": f"{prefix}.{FIRST_LIGHT + index}" for index in range(count)}
    for index, address in enumerate(names.values()):
        rename = f"s/10[.]20[.]$npu[.]11/10.20.$npu.{11 + index}/"
        up.shell(
            "host1",
            f"ip address add {address}/24 dev eth0; cd {LIGHT}/answers/hccn_tool; mkdir {address}; "
            "for npu in 0 1 2 3 4 5 6 7; do "
            f'words="-i $npu -ip -g "; sed "{rename}" "./$words" >"{address}/$words"; done',
        )
    replay = up.work / "replay"
    source = Path(__file__).with_name("replay.c")
    subprocess.run(["cc", "-O2", "-static", f'-DLIGHT="{LIGHT}"', str(source), "-o", str(replay)], check=True)
    for name in PROGRAMS:
        put(up, name, replay.read_bytes())
    known = (up.work / "ssh" / "known_hosts").read_text()
    key = known.split(maxsplit=1)[1]
    (up.work / "ssh" / "known_light_hosts").write_text(f"{','.join(names.values())} {key}")
    common = document["vars"]["ansible_ssh_common_args"].replace("known_hosts", "known_light_hosts")
    group = {
        "hosts": {name: {"ansible_host": address} for name, address in names.items()},
        "vars": {**document["vars"], "ansible_ssh_common_args": common},
    }
    sizes = {"mindie_data_parallel_size": count, "mindie_moe_expert_parallel_size": 8 * count}
    return up.inventory_with("light", {**WITHOUT_REACH, **places, **sizes}, group)


def put(up: Cluster, name: str, content: bytes) -> None:
    """Puts one of the light programs in its place; those without a setting come first in the PATH."""
    place = f"{LIGHT}/{name}" if name in ("npu-smi", "hccn_tool") else f"/usr/local/sbin/{name}"
    up.run(
        "exec",
        "host1",
        "--",
        "sh",
        "-c",
        f"cat >{place}.new && chmod 755 {place}.new && mv {place}.new {place}",
        given=content,
    )


def rails(work: Path) -> None:
    """Pings that take a second each: with one peer more, `check` takes a second more, not one for each ping."""
    for count in (3, 4):
        with cluster(work, count) as up:
            for host in range(1, count + 1):
                path = up.work / "hosts" / f"host{host}.yml"
                state = {**yaml.safe_load(path.read_text()), "pace": {"ping_s": 0.5}}
                path.write_text(yaml.safe_dump(state, sort_keys=False))
            without = up.inventory_with("without", WITHOUT_REACH)
            pinging = up.inventory_with("pinging", {"mindie_check_ports": False})
            checked(pinging)
            base = median(partial(checked, without))
            seconds = median(partial(checked, pinging))
            pings = count * (count - 1) * 8
            print(f"{count} hosts, {pings} pings of 1 s: check {seconds:.2f} s, without pings {base:.2f} s")
            print(f"the pings took {seconds - base:.2f} s; those of one NPU take {count - 1} s, all together {pings} s")


def main() -> None:
    """Runs one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["hosts", "light", "rails"])
    parser.add_argument("--work", type=Path, default=ROOT / ".work" / "bench")
    parser.add_argument("--hosts", type=int, default=None)
    given = parser.parse_args()
    began = time.monotonic()
    if given.what == "hosts":
        hosts(given.work, given.hosts or 4)
    elif given.what == "light":
        light(given.work, given.hosts or 60)
    else:
        rails(given.work)
    print(f"measured in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

"""What a run saves of a small cluster: raw answers to every question, in the form of `check --from`."""

from __future__ import annotations

import json
from typing import Any, cast

from mindie_deploy.hosts.collection import specification
from mindie_deploy.preflight.saved import Saved
from tests.hosts.test_read import healthy
from tests.hosts.test_surroundings import AHOSTS, CENTOS, DIGESTS, INSTALLED, KERNEL, LIMITS, LINKS, PROXIES
from tests.preflight.builders import SHARDS, hosts_of, settings
from tests.preflight.raw import Items, answer, healthy_items

NAMES = ("host1", "host2", "host3")
SETTINGS = settings(npus_per_host=2, weights_source="controller:/r1")
PATHS = ("/dev/davinci0", "/dev/davinci1", "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc")
CONTAINER = {
    "Id": "c0ffee", "Name": "/other", "Image": "mindie:1", "ImageId": "sha256:aa",
    "State": {"Status": "running", "Running": True, "Pid": 77, "ExitCode": 0, "StartedAt": "2026-11-25T06:00:00Z"},
    "Devices": [{"PathOnHost": "/dev/davinci1"}], "Privileged": False, "Runtime": "runc", "Labels": {"a": "b"},
    "VisibleDevices": ["0-1", ""],
}  # fmt: skip


def documents() -> dict[str, Any]:
    """The documents of three hosts, as JSON gives them back."""
    saved = Saved(
        settings=SETTINGS,
        hosts=tuple(hosts_of(dict.fromkeys(NAMES))),
        answers={name: _answers(name) for name in NAMES},
        model_types=("deepseek_v3",),
    )
    told: dict[str, Any] = json.loads(json.dumps(saved.documents()))
    return told


def _answers(name: str) -> dict[str, object]:
    """What the tasks of one host returned."""
    items = _items()
    asked = {str(one["key"]) for one in cast("list[dict[str, object]]", specification(SETTINGS)["items"])}
    assert asked <= set(items), asked - set(items)
    now = 1_795_586_400.0
    collection = {**healthy(), "items": {key: items[key] for key in sorted(asked | {"program/npu-smi"})}}
    collection |= {
        "started": now,
        "finished": now + 2.0,
        "programs": {"npu-smi": None, "hccn_tool": "/usr/bin/hccn_tool"},
    }
    pings = [
        {"key": f"ping/{npu}/{peer}", "npu": npu, "peer": peer, "peer_npu": npu, "address": f"29.1.{npu}.9"}
        for npu in range(2)
        for peer in NAMES
        if peer != name
    ]
    port = {"key": "port", "peer": "host1", "address": "10.0.0.11", "port": 1120, "setting": "mindie_port"}
    answers: Items = {
        str(one["key"]): answer("3 packets transmitted, 3 received, 0.00% packet loss\n") for one in pings
    }
    answers["port"] = {"outcome": "answered", "says": "word", "error": None}
    return {
        "collection": {"collection": collection, "requested_at": now - 0.5, "answered_at": now + 3.0},
        "reach": {
            "collection": {"items": answers},
            "asked": {"pings": pings, "ports": [port], "listen": [1120, 1025], "not_tried": {"1026": "locked"}},
        },
        "listener": {"process": {"pid": 5}, "refused": {"1025": "in use"}},
        "listener_end": {"was_running": True},
    }


def _items() -> Items:
    """The answers to every question."""
    listing = [{"name": name, "kind": "file", "size": 4_000_000_000, "mode": "0640", "uid": 0} for name in SHARDS[:4]]
    tcp = "  sl  local_address\n   0: 0100007F:0401 00000000:0000 0A 0:0 0:0 0 0 0 26077 1\n"
    stats = [
        {"path": path, "exists": True, "kind": "char", "mode": "0660", "uid": 0, "gid": 9, "size": 0, "owner": "root"}
        for path in PATHS
    ]
    shown: dict[str, Any] = healthy()["items"]
    return {
        **shown,
        **healthy_items(),
        "engine/info": answer(json.dumps({"ServerVersion": "24.0.7", "DockerRootDir": "/d", "Images": 3}) + "\n"),
        "engine/containers": answer(json.dumps(CONTAINER) + "\n"),
        "engine/image": answer(json.dumps([{"Id": "sha256:" + "b" * 64, "Size": 20_000_000_000}]) + "\n"),
        "engine/limits": answer(LIMITS),
        "engine/proxies": answer(PROXIES),
        "disk/state": {
            "path": "/s",
            "ancestor": "/s",
            "total_bytes": 10**12,
            "available_bytes": 10**11,
            "filesystem": "xfs",
        },
        "disk/model": {
            "path": "/m",
            "ancestor": "/m",
            "total_bytes": 10**12,
            "available_bytes": 10**11,
            "filesystem": "nfs",
        },
        "disk/shm": {"path": "/dev/shm", "ancestor": "/dev/shm", "total_bytes": 10**11, "available_bytes": 10**10},
        "weights": {"exists": True, "real_path": "/mnt/R1", "mode": "0750", "uid": 0, "entries": listing},
        "weights/incoming": {"exists": True, "entries": [{"name": "part", "kind": "file", "size": 5}]},
        "weights/config": _file("/m/config.json", '{"torch_dtype": "bfloat16", "model_type": "deepseek_v3"}'),
        "weights/digests": answer(DIGESTS),
        "weights/links": answer(LINKS),
        "uname": answer("Linux node1 5.10.0 aarch64\n"),
        "page-size": answer("65536\n"),
        "os-release": _file("/etc/os-release", 'ID="openEuler"\nVERSION_ID="22.03"\n'),
        "meminfo": _file("/proc/meminfo", "MemTotal:  1024 kB\nMemAvailable:  512 kB\n"),
        "modules": _file("/proc/modules", "drv_pcie_host 1 0 - Live 0x0\n"),
        "addresses/4": _file("/proc/net/fib_trie", "  |-- 10.0.0.11\n     /32 host LOCAL\n"),
        "addresses/6": {"path": "/proc/net/if_inet6", "exists": False},
        "interfaces": answer("2: enp189s0f0    inet 10.0.0.11/24 brd 10.0.0.255\n"),
        "listeners": answer("socket:[26077]\n"),
        "ports/4": _file("/proc/net/tcp", tcp),
        "ports/6": {"path": "/proc/net/tcp6", "exists": False},
        "kernel": answer(KERNEL),
        "kernels": answer(INSTALLED),
        "cgroups": _file("/proc/cgroups", "devices\t5\t98\t1\n"),
        "locale": _file("/etc/locale.conf", "LANG=C.UTF-8\n"),
        "firewall": answer(CENTOS),
        "own-name": answer(AHOSTS),
        "shm": {
            "paths": [{"path": "/dev/shm", "exists": True, "kind": "directory"}, {**stats[0], "path": "/dev/shm/x"}]
        },
        "state": {"paths": [{"path": "/s", "exists": True, "kind": "directory", "mode": "0755"}]},
        "lock": {"paths": [{"path": "/s/lock", "exists": False}]},
        "devices": {"paths": stats},
        "management-library": {"paths": [{"path": "/l/libdcmi.so", "exists": True, "kind": "file", "size": 10}]},
        "program/hccn_tool": {
            "paths": [{"path": "/usr/bin/hccn_tool", "exists": True, "kind": "file", "mode": "0755"}]
        },
        "driver/version": _file("/v", "Version=25.2.0\ncompatible_version_fw=[7.0.0,7.7.99]\n"),
        "firmware/version": _file("/f", "Version=7.7.0.6.236\n"),
        "install-info": _file("/i", "Driver_Install_Path_Param=/usr/local/Ascend\nDriver_Install_Status=complete\n"),
        "hccn-configuration": _file("/etc/hccn.conf", "address_0=29.1.0.13\nnetmask_0=255.255.255.0\n"),
    }


def _file(path: str, text: str) -> dict[str, object]:
    return {"path": path, "exists": True, "text": text, "truncated": False, "error": None}

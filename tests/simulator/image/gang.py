"""Hosts for the tests: each a directory with config.json, rank table and log home, its daemon a plain process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILES = Path(__file__).resolve().parents[3] / "molecule" / "simulator" / "image" / "files"
DAEMON = FILES / "mindieservice_daemon"
SUCCESS = "Daemon start success!"


def free_ports(count: int) -> list[int]:
    """Ports that are free on all addresses now, below the kernel's own range so that no client takes them."""
    found: list[int] = []
    for port in range(21000 + os.getpid() % 4000 * 2, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


def write_weights(directory: Path, shards: int = 2) -> Path:
    """A model directory of DeepSeek's form with tiny tensors."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(
        directory / "config.json", {"model_type": "deepseek_v3", "torch_dtype": "bfloat16", "vocab_size": 129280}
    )
    write_json(directory / "generation_config.json", {"temperature": 0.6})
    write_json(directory / "tokenizer.json", {"version": "1.0"})
    write_json(directory / "tokenizer_config.json", {"model_max_length": 16384})
    names = [f"model-{index + 1:05d}-of-{shards:06d}.safetensors" for index in range(shards)]
    for index, name in enumerate(names):
        (directory / name).write_bytes(safetensors({f"layer.{index}.weight": ("BF16", [2, 2])}))
    table = {f"layer.{index}.weight": name for index, name in enumerate(names)}
    write_json(directory / "model.safetensors.index.json", {"metadata": {}, "weight_map": table})
    return directory


def safetensors(tensors: dict[str, tuple[str, list[int]]]) -> bytes:
    """A valid safetensors file of zeros."""
    header: dict[str, Any] = {}
    end = 0
    for name, (dtype, shape) in tensors.items():
        size = {"BF16": 2, "F8_E4M3": 1}[dtype]
        for part in shape:
            size *= part
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def write_json(path: Path, value: object, mode: int = 0o640) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
    path.chmod(mode)


@dataclass
class Host:
    """One host before and after its daemon was started. What is changed before `start` is what the daemon meets."""

    directory: Path
    address: str
    config: dict[str, Any]
    table: dict[str, Any]
    environ: dict[str, str]
    knobs: dict[str, Any]
    arguments: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def config_path(self) -> Path:
        return self.directory / "config.json"

    @property
    def table_path(self) -> Path:
        return self.directory / "ranktable.json"

    @property
    def model(self) -> dict[str, Any]:
        entry: dict[str, Any] = self.config["BackendConfig"]["ModelDeployConfig"]["ModelConfig"][0]
        return entry

    @property
    def port(self) -> int:
        return int(self.config["ServerConfig"]["port"])

    @property
    def management_port(self) -> int:
        return int(self.config["ServerConfig"]["managementPort"])

    def write(self) -> None:
        """The files as the fields say; done by `start` unless it was done before."""
        write_json(self.config_path, self.config)
        write_json(self.table_path, self.table)

    def start(self, *, write: bool = True, prefix: Iterable[str] = ()) -> Host:
        if write:
            self.write()
        (self.directory / "knobs.json").write_text(json.dumps(self.knobs), encoding="utf-8")
        with (self.directory / "out").open("wb") as out, (self.directory / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-IS", str(DAEMON), *self.arguments],
                env=self.environ,
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
            )
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def out(self) -> str:
        return (self.directory / "out").read_text(encoding="utf-8", errors="replace")

    def err(self) -> str:
        return (self.directory / "err").read_text(encoding="utf-8", errors="replace")

    def log(self) -> str:
        folder = self.directory / "home" / "mindie" / "log" / "debug"
        return "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.log")))

    def said(self) -> str:
        return self.out() + self.err()

    def status(self, seconds: float = 15.0) -> int:
        """The exit status as a shell or a container engine shows it: 128 + signal."""
        assert self.process is not None
        code = self.process.wait(timeout=seconds)
        return code if code >= 0 else 128 - code

    def alive(self) -> bool:
        assert self.process is not None
        return self.process.poll() is None

    def ready(self, seconds: float = 15.0) -> Host:
        """Waits for the success line."""
        eventually(lambda: SUCCESS in self.out() or not self.alive(), seconds)
        assert SUCCESS in self.out(), self.said()
        return self

    def workers(self) -> list[int]:
        """Pids of the worker processes."""
        children = Path(f"/proc/{self.pid}/task").glob("*/children")
        return sorted(int(pid) for path in children for pid in path.read_text().split())

    def end(self) -> None:
        """Ends the daemon and its workers, whatever state they are in: the group is the daemon's own."""
        if self.process is None:
            return
        # The group outlives a daemon that was killed: its workers are still in it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        # A daemon that has not made its group yet.
        if self.alive():
            self.process.kill()
        self.process.wait(timeout=10)
        for path in Path("/dev/shm").glob(f"*_{self.pid}*"):
            path.unlink(missing_ok=True)


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits until `true()`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def rank_table(addresses: list[str], npus: int) -> dict[str, Any]:
    return {
        "version": "1.0",
        "status": "completed",
        "server_count": str(len(addresses)),
        "server_list": [
            {
                "server_id": address,
                "container_ip": address,
                "device": [
                    {
                        "device_id": str(index),
                        "device_ip": f"10.0.{place}.{index + 1}",
                        "rank_id": str(place * npus + index),
                    }
                    for index in range(npus)
                ],
            }
            for place, address in enumerate(addresses)
        ],
    }


def configuration(weights: Path, address: str, npus: int, hosts: int, ports: list[int]) -> dict[str, Any]:
    """A config.json that is accepted, for a gang or (hosts = 1) for a single node."""
    return {
        "Version": "1.0.0",
        "EnableDynamicAdjustTimeoutConfig": False,
        "ServerConfig": {
            "ipAddress": address,
            "managementIpAddress": address,
            "port": ports[0],
            "managementPort": ports[1],
            "metricsPort": ports[2],
            "allowAllZeroIpListening": False,
            "maxLinkNum": 300,
            "httpsEnabled": False,
            "tokenTimeout": 600,
            "e2eTimeout": 600,
            "inferMode": "standard",
            "distDPServerEnabled": False,
            "maxRequestLength": 1,
        },
        "BackendConfig": {
            "backendName": "mindieservice_llm_engine",
            "modelInstanceNumber": 1,
            "npuDeviceIds": [list(range(npus))],
            "tokenizerProcessNumber": 8,
            "multiNodesInferEnabled": hosts > 1,
            "multiNodesInferPort": ports[3],
            "interNodeTLSEnabled": False,
            "ModelDeployConfig": {
                "maxSeqLen": 4096,
                "maxInputTokenLen": 2048,
                "truncation": False,
                "ModelConfig": [
                    {
                        "modelInstanceType": "Standard",
                        "modelName": "DeepSeek-R1",
                        "modelWeightPath": str(weights),
                        "worldSize": npus,
                        "cpuMemSize": 5,
                        "npuMemSize": -1,
                        "backendType": "atb",
                        "trustRemoteCode": False,
                        "dp": hosts,
                        "tp": npus,
                        "moe_tp": 1,
                        "moe_ep": hosts * npus,
                    }
                ],
            },
            "ScheduleConfig": {
                "templateType": "Standard",
                "templateName": "Standard_LLM",
                "cacheBlockSize": 128,
                "maxPrefillBatchSize": 8,
                "maxPrefillTokens": 2048,
                "prefillTimeMsPerReq": 150,
                "prefillPolicyType": 0,
                "decodeTimeMsPerReq": 50,
                "decodePolicyType": 0,
                "maxBatchSize": 64,
                "maxIterTimes": 1024,
                "maxPreemptCount": 0,
                "supportSelectBatch": False,
                "maxQueueDelayMicroseconds": 5000,
            },
        },
    }

"""What hosts are given: the simulated MindIE image, the weights, and the file that states their hardware."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from simulated_cluster.cache import forget_others, key_of, key_of_tree, made_once
from simulated_cluster.commands import run, say
from simulated_cluster.errors import SimulatorError
from simulated_cluster.host import SIMULATOR
from simulated_cluster.inventory import IMAGE, MODEL

FP8_MODEL = "DeepSeek-R1"
BUILD_SECONDS = 300.0


def mindie_image(slim: Path, cache: Path) -> Path | None:
    """The MindIE image as a `docker save` file in the cache; None as long as there is nothing to build it from."""
    builder = SIMULATOR / "image" / "build.py"
    if not builder.exists():
        return None
    name = f"mindie-{key_of(slim.name, IMAGE, key_of_tree(builder.parent))}.tar"

    def build(target: Path) -> None:
        say("MindIE image: building")
        argv = [sys.executable, str(builder), f"--base-tar={slim}", f"--output={target}", f"--tag={IMAGE}"]
        run(argv, timeout=BUILD_SECONDS)

    path = made_once(cache, name, build)
    # Every change of the sources makes another one, so old ones go soon.
    forget_others(cache, "mindie-*.tar", name, days=1)
    return path


def weights(directory: Path) -> None:
    """Make the model directories: BF16, which is served, and FP8, which MindIE on these NPUs cannot serve."""
    directory.mkdir(parents=True, exist_ok=True)
    script = SIMULATOR / "weights.py"
    if script.exists():
        for name, form in ((MODEL, "bf16"), (FP8_MODEL, "fp8")):
            run([sys.executable, str(script), f"--output={directory / name}", f"--form={form}"], timeout=BUILD_SECONDS)


def host_states(directory: Path, hosts: Sequence[str], npus: int) -> None:
    """Write the state of a faultless host for those that have none; what a user changed stays."""
    directory.mkdir(parents=True, exist_ok=True)
    if not (SIMULATOR / "tools" / "state.py").exists():
        return
    from tools import state

    for index, host in enumerate(hosts):
        path = directory / f"{host}.yml"
        if path.exists():
            continue
        try:
            state.write(path, state.healthy_host(index, len(hosts), npus))
        except state.StateError as error:
            raise SimulatorError(f"the state of {host} cannot be written: {error}") from None

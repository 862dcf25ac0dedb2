"""What explains a failure, read for a bundle: rendered files, logs and what the engine knows of our container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindie_deploy.cluster.names import container_name

if TYPE_CHECKING:
    from mindie_deploy.cluster.settings import Settings

LOG_LINES = 5000  # of the container; a start of MindIE prints some hundred lines
FILE_LINES = 400  # of each log file inside of it
LONGEST_BYTES = 1024 * 1024
LIMIT_S = 120
# State, limits, mounts and image. Not the environment: whoever set a secret there does not expect it in an archive.
INSPECT_FORMAT = (
    '{"State":{{json .State}},"Image":{{json .Image}},"Mounts":{{json .Mounts}},"Host":{{json .HostConfig}}}'
)
LOGS_SCRIPT = (
    "find /root/mindie/log /root/ascend/log /root/atb/log -type f -name '*.log' -mtime -2 2>/dev/null "
    "| sort | tail -n 60 | "
    'while read -r file; do echo "==> $file"; tail -n "$0" "$file"; done'
)
KERNEL_SCRIPT = "dmesg 2>/dev/null | grep -iE 'davinci|drv_|devdrv|hisi|out of memory|oom' | tail -n 500"


def evidence(settings: Settings) -> dict[str, object]:
    """Returns the arguments of mindie_collect. The keys are the names of the files in the bundle."""
    directory, name = f"{settings.state_directory}/{settings.deployment}", container_name(settings)
    engine = settings.engine
    items: list[dict[str, object]] = [
        {"key": file, "file": f"{directory}/{file}", "limit": LONGEST_BYTES}
        for file in ("config.json", "ranktable.json", "environment", "launch.sh")
    ]
    items += [
        _command("container.log", [engine, "logs", "--timestamps", "--tail", str(LOG_LINES), name]),
        _command("container.json", [engine, "inspect", "--type", "container", "--format", INSPECT_FORMAT, name]),
        _command("mindie-logs.txt", [engine, "exec", name, "sh", "-c", LOGS_SCRIPT, str(FILE_LINES)]),
        _command("kernel.log", ["sh", "-c", KERNEL_SCRIPT]),
        _command(
            "engine.log", ["journalctl", "--unit", engine, "--lines", "300", "--no-pager", "--output", "short-iso"]
        ),
    ]
    return {"items": items, "limit": LIMIT_S, "parallel": 4}


def _command(key: str, words: list[str]) -> dict[str, object]:
    return {"key": key, "command": words, "timeout": 60}

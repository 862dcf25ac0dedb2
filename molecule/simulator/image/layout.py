"""What the simulated image carries above its base: the real image's paths, modes and links, our own files."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
# One moment for everything, so that the same sources give the same bytes (2025-01-01 UTC).
MOMENT = 1735689600
ASCEND = "usr/local/Ascend"
CANN_VERSION = "8.1.RC1"


@dataclass(frozen=True)
class Entry:
    """One directory (content None, target empty), file or link; mode in octal, owner root."""

    path: str
    mode: int
    content: bytes | None = None
    target: str = ""


def entries(version: str, machine: str) -> list[Entry]:
    """All entries in the order of a tar; `version` such as 2.0.RC2, `machine` such as aarch64."""
    mindie = f"{ASCEND}/mindie/{version}"
    service = f"{mindie}/mindie-service"
    found: dict[str, Entry] = {}

    def directory(path: str, mode: int) -> None:
        parent = path.rpartition("/")[0]
        if parent and parent not in found:
            directory(parent, 0o755)
        found[path] = Entry(path, mode)

    def file(path: str, mode: int, content: bytes) -> None:
        parent = path.rpartition("/")[0]
        if parent not in found:
            directory(parent, 0o755)
        found[path] = Entry(path, mode, content)

    def link(path: str, target: str) -> None:
        directory(path.rpartition("/")[0], 0o755)
        found[path] = Entry(path, 0o777, target=target)

    def environment(path: str, name: str) -> None:
        file(path, 0o644, (HERE / "files" / "environment" / f"{name}.sh").read_bytes())

    environment(f"{ASCEND}/ascend-toolkit/set_env.sh", "ascend-toolkit")
    link(f"{ASCEND}/ascend-toolkit/latest", CANN_VERSION)
    file(
        f"{ASCEND}/ascend-toolkit/{CANN_VERSION}/{machine}-linux/ascend_toolkit_install.info",
        0o644,
        f"package_name=Ascend-cann-toolkit\nversion={CANN_VERSION}\narch={machine}\nos=linux\n"
        f"path=/{ASCEND}/ascend-toolkit/{CANN_VERSION}/{machine}-linux\n".encode(),
    )
    environment(f"{ASCEND}/nnal/atb/set_env.sh", "atb")
    environment(f"{ASCEND}/atb-models/set_env.sh", "atb-models")
    environment(f"{ASCEND}/mindie/set_env.sh", "mindie")
    link(f"{ASCEND}/mindie/latest", version)
    file(f"{mindie}/version.info", 0o640, f"Ascend-mindie : MindIE {version}\nPlatform : {machine}\n".encode())
    for part in ("mindie-rt", "mindie-torch", "mindie-llm"):
        environment(f"{mindie}/{part}/set_env.sh", part)
    # Modes of mindie-service: field notes 2.5.
    directory(service, 0o750)
    environment(f"{service}/set_env.sh", "mindie-service")
    file(f"{service}/version.info", 0o640, f"Ascend-mindie-service : MindIE Service {version}\n".encode())
    directory(f"{service}/bin", 0o550)
    for name, mode in (("mindieservice_daemon", 0o550), ("mindie_llm_backend_connector", 0o500)):
        file(f"{service}/bin/{name}", mode, (HERE / "files" / name).read_bytes())
    directory(f"{service}/conf", 0o750)
    file(f"{service}/conf/config.json", 0o640, (HERE / "files" / "conf" / "config.json").read_bytes())
    directory(f"{service}/lib", 0o550)
    directory(f"{service}/lib/simulated_mindie", 0o550)
    for source in sorted((HERE / "simulated_mindie").glob("*.py")):
        file(f"{service}/lib/simulated_mindie/{source.name}", 0o440, source.read_bytes())
    for name, mode in (("logs", 0o750), ("scripts", 0o750), ("security", 0o700)):
        directory(f"{service}/{name}", mode)
    return [found[path] for path in sorted(found)]


def layer(version: str, machine: str) -> bytes:
    """The entries as an uncompressed tar, the same bytes for the same sources."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries(version, machine):
            info = tarfile.TarInfo(entry.path)
            info.mode, info.mtime = entry.mode, MOMENT
            if entry.target:
                info.type, info.linkname = tarfile.SYMTYPE, entry.target
                tar.addfile(info)
            elif entry.content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(entry.content)
                tar.addfile(info, io.BytesIO(entry.content))
    return buffer.getvalue()

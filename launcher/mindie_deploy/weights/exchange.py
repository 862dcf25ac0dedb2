"""Plans of a weights exchange: one for each agent, all of the same exchange. Sizes in bytes.

The format is read by plugins/mindie_exchange/plan.py.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mindie_deploy.weights.manifest import Manifest

FORMAT = 1
PACKAGE = "mindie_exchange"
# What is on its way at the same time (about 4 pieces a member) stays near half a percent of everything, which is what
# the last member waits for at the end; measured, see docs/performance.md.
PIECES_PER_MEMBER = 4 * 200
SMALLEST_PIECE = 256 * 1024
LARGEST_PIECE = 8 * 1024 * 1024
# One lane, a process on each member, moves what 10 Gbit/s bring and takes about two cores.
CORES_PER_LANE = 4
MOST_LANES = 8
# The name of the controller's own agent; no host of an inventory is called like this.
CONTROLLER = "(controller)"
# Members of an archive carry no time of their own: the same agent has the same bytes.
NO_TIME = (1980, 1, 1, 0, 0, 0)
MAIN = f"import sys\n\nfrom {PACKAGE}.__main__ import main\n\nsys.exit(main())\n"


@dataclass(frozen=True)
class Place:
    """Where a member has its files. `complete`: names that stand, proven, in `final`; others come into `incoming`.

    `read_only`: everything stands in `final`, nothing is written.
    """

    final: str
    incoming: str
    complete: frozenset[str]
    read_only: bool
    owner: int | None = None
    group: int | None = None


@dataclass(frozen=True)
class Participant:
    """One member. `dials`: nobody reaches it, it calls the others; `command` reaches it where TCP does not."""

    name: str
    address: str
    place: Place
    status_file: str
    cores: int = 1
    dials: bool = False
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exchange:
    """What all members have in common. `origin` is where members named in it read from outside of the exchange;
    `rate_limit` is in bytes a second for each member, 0 for none; `tls` a certificate and its key in PEM."""

    manifest: Manifest
    participants: tuple[Participant, ...]
    port: int
    secret: str
    rate_limit: int = 0
    lifetime: int = 172800
    lanes: int = 0
    origin: Mapping[str, Any] | None = None
    tls: Mapping[str, str] | None = field(default=None, repr=False)

    def plan(self, name: str) -> dict[str, Any]:
        """Returns the plan of one member. Raises KeyError when it takes no part."""
        me = {participant.name: participant for participant in self.participants}[name]
        numbers = {entry.name: number for number, entry in enumerate(self.manifest.files)}
        return {
            "format": FORMAT,
            "id": self.manifest.digest,
            "secret": self.secret,
            "me": name,
            "members": [
                {
                    "name": one.name,
                    "address": one.address,
                    "port": self.port,
                    "dials": one.dials,
                    "command": list(one.command),
                }
                for one in self.participants
            ],
            "files": [{"name": one.name, "size": one.size, "sha256": one.sha256} for one in self.manifest.files],
            "piece_size": piece_size(self.manifest.total_bytes, len(self.participants)),
            "lanes": self.lanes or lanes_for([one.cores for one in self.participants]),
            "seeds": {
                one.name: sorted(numbers[name] for name in one.place.complete)
                for one in self.participants
                if one.place.complete
            },
            "store": {
                "final": me.place.final,
                "incoming": me.place.incoming,
                "complete": sorted(me.place.complete),
                "read_only": me.place.read_only,
                "owner": me.place.owner,
                "group": me.place.group,
            },
            "origin": dict(self.origin) if self.origin else None,
            "rate_limit": self.rate_limit,
            "tls": dict(self.tls) if self.tls else None,
            "status_file": me.status_file,
            "lifetime": self.lifetime,
        }


def piece_size(total_bytes: int, members: int) -> int:
    """Returns the size of a piece, a power of two."""
    wanted = total_bytes // (max(1, members) * PIECES_PER_MEMBER)
    size = SMALLEST_PIECE
    while size * 2 <= min(wanted, LARGEST_PIECE):
        size *= 2
    return size


def lanes_for(cores: Sequence[int]) -> int:
    """Returns how many processes each member runs: the same number everywhere, so the weakest host decides."""
    return max(1, min(MOST_LANES, min(cores, default=1) // CORES_PER_LANE))


def agent_archive(plugins: Path) -> bytes:
    """Returns the agent as one file that Python runs, made of the package in `plugins`. Raises OSError."""
    package = plugins / PACKAGE
    content = {"__main__.py": MAIN.encode()}
    for path in sorted(one for one in package.iterdir() if one.suffix == ".py"):
        content[f"{PACKAGE}/{path.name}"] = path.read_bytes()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, NO_TIME), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()

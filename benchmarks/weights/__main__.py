"""How near does the weights exchange come to the speed of one wire, and what does it cost?

    python -m benchmarks.weights exchange --members 4 8 16     against rsync and B, one plain stream on the same link
    python -m benchmarks.weights slow kill cut --members 4 8   with a slow, dead or unreachable member
    python -m benchmarks.weights unshaped --size 2048          cores for each GB/s
    python -m benchmarks.weights proof --size 4096             a full proof and a second check of what stands
    python -m benchmarks.weights all --repeat 3

Members are network namespaces of this machine with shaped links (tc), and share its cores and its disk. The ratio is
the time until the last receiver has all files, proven, divided by S/B: no method can do better than 1. N counts the
source. The payload is in the page cache, so the disk of the source does not count. Afterwards every file of every
receiver is read and compared, outside the time that is measured. Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from . import proof
from .cases import CASES, Wanted
from .network import LabError
from .outcome import MIB, Outcome, machine, needs, table

WORK = Path(__file__).resolve().parents[2] / ".work" / "weights-lab"


def given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="+", choices=[*CASES, "proof", "all"])
    parser.add_argument("--members", type=int, nargs="+", default=[4, 8], help="the source is one of them")
    parser.add_argument("--size", type=int, default=512, help="payload in MiB")
    parser.add_argument("--shape", choices=["shards", "many", "one"], default="shards")
    parser.add_argument("--methods", nargs="+", choices=["floor", "agents", "rsync-parallel", "rsync-sequence"])
    parser.add_argument("--rate", type=float, help="Mbit/s of a link; default: fewer, the more members there are")
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the agents")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--work", type=Path, default=WORK, help="where payload and copies go")
    parser.add_argument("--json", type=Path, help="a file to which each outcome is added as a line")
    return parser.parse_args()


def main() -> int:
    """Measures; returns 1 when a run failed, after the others."""
    options = given()
    # A stop from outside ends the lab as Ctrl-C does: everything is taken down.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    wanted = Wanted(
        options.work,
        options.members,
        options.size * MIB,
        options.shape,
        options.methods,
        options.rate and options.rate * 1e6 / 8,
        options.lanes,
        options.python,
    )
    began = time.monotonic()
    outcomes: list[Outcome] = []
    costs: list[proof.Cost] = []
    failed: list[str] = []
    try:
        for case in [*CASES, "proof"] if "all" in options.case else options.case:
            for _ in range(options.repeat):
                if case == "proof":
                    costs += proof.measure(wanted.payload())
                    continue
                with contextlib.closing(CASES[case](wanted)) as runs:
                    for run in runs:
                        try:
                            outcomes.append(run())
                            report(outcomes[-1], options.json)
                        except LabError as error:
                            failed.append(f"{case}: {error}")
                            print(failed[-1], file=sys.stderr, flush=True)
    except LabError as error:
        failed.append(f"the lab itself: {error}")
        print(failed[-1], file=sys.stderr, flush=True)
    finally:
        print(f"\n{machine()}\n")
        if outcomes:
            print(f"{table(outcomes)}\n")
        for line in needs(outcomes):
            print(line)
        if costs:
            print(f"{proof.table(costs)}\n")
        print(f"measured in {time.monotonic() - began:.0f} s; {len(failed)} run(s) failed")
    return 1 if failed else 0


def report(outcome: Outcome, file: Path | None) -> None:
    """Says at once what a run cost: a later one may be interrupted."""
    print(" | ".join(outcome.cells()), file=sys.stderr, flush=True)
    if file:
        with file.open("a") as out:
            out.write(json.dumps(asdict(outcome)) + "\n")


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs the fault matrix on simulated clusters that are up: every fault is found at its place, and nothing else is.

Exit status: 0, 1 when `check` said something else than it must, 2 when the matrix could not be run.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "simulator")]

from fault_matrix import bench, matrix, outcome, page  # noqa: E402
from fault_matrix.case import Case  # noqa: E402
from simulated_cluster.errors import SimulatorError  # noqa: E402
from tools.faults import FaultError  # noqa: E402

PROJECT = HERE.parents[1]
DEFAULT_WORK = (PROJECT / ".work" / "preflight-1", PROJECT / ".work" / "preflight-2")
# First and last on every cluster: what a case did not take back shows here.
UNTOUCHED = Case("untouched", "nothing")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    made.add_argument(
        "--work", type=Path, action="append", metavar="DIR",
        help="directory of a cluster; may be given again, and the clusters share the cases "
        "(default: .work/preflight-1 and .work/preflight-2)",
    )  # fmt: skip
    made.add_argument("--only", type=re.compile, metavar="REGEX", help="only the cases whose name fits")
    made.add_argument("--page", type=Path, metavar="FILE", help="write the table of faults and results there")
    return made


class Matrix:
    """The cases that are left, and how those ended that are done; several clusters take from it."""

    def __init__(self, cases: tuple[Case, ...]) -> None:
        self.left = list(reversed(cases))
        self.count = len(cases)
        self.outcomes: dict[str, outcome.Outcome] = {}
        self.failed: list[str] = []
        self.skipped: dict[str, str] = {}
        self.lock = threading.Lock()

    def work(self, directory: Path) -> None:
        """Runs cases on one cluster until none is left. Raises what `run` raises, and then the others stop too."""
        cluster = bench.Bench(directory)
        try:
            cluster.prepare()
            self.end(outcome.run(cluster, UNTOUCHED), directory)
            while (case := self.take()) is not None:
                self.end(outcome.run(cluster, case), directory)
            self.end(outcome.run(cluster, UNTOUCHED), directory)
        except BaseException:
            with self.lock:
                self.left.clear()
            raise

    def take(self) -> Case | None:
        """The next case that this machine can run."""
        with self.lock:
            while self.left:
                case = self.left.pop()
                if not case.needs_file or Path(case.needs_file).exists():
                    return case
                self.skipped[case.name] = f"not on a machine without {case.needs_file}"
                print(f"skipped  {case.name}: {self.skipped[case.name]}", flush=True)
        return None

    def end(self, ended: outcome.Outcome, directory: Path) -> None:
        """Notes and tells how a case ended."""
        case = ended.case
        word = "FAILED" if ended.problems else "ok"
        said = "; ".join(map(outcome.text, case.found)) or "no finding above info"
        with self.lock:
            self.outcomes[case.name] = ended
            if ended.problems:
                self.failed.append(case.name)
            print(f"{word:<6} {ended.seconds:5.1f} s  {directory.name}  {case.name}: {said}", flush=True)
            for problem in ended.problems:
                print(f"        {problem}", flush=True)


def main() -> int:
    """Runs the chosen cases, and says how each ended."""
    given = parser().parse_args()
    began = time.monotonic()
    cases = matrix.all_cases()
    whole = Matrix(tuple(case for case in cases if given.only is None or given.only.search(case.name)))
    directories = given.work or DEFAULT_WORK
    with ThreadPoolExecutor(max_workers=len(directories)) as pool:
        lanes = [pool.submit(whole.work, directory) for directory in directories]
    errors = [error for lane in lanes if (error := lane.exception()) is not None]
    for error in errors:
        if not isinstance(error, bench.BenchError | FaultError | SimulatorError):
            raise error
        print(f"run_matrix.py: {error}", file=sys.stderr)
    if given.page is not None:
        given.page.write_text(page.page(whole.outcomes, whole.skipped), encoding="utf-8")
    print(
        f"{len(whole.outcomes)} of {whole.count} cases and the untouched clusters, {len(whole.skipped)} skipped, "
        f"{time.monotonic() - began:.0f} s; failed: {', '.join(whole.failed) or 'none'}"
    )
    return 2 if errors else int(bool(whole.failed))


if __name__ == "__main__":
    sys.exit(main())

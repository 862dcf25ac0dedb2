"""mindie-deploy bundle: one archive of everything that explains a state."""

from __future__ import annotations

import json
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from mindie_deploy.cli.files import require_writable
from mindie_deploy.cli.launch import judged
from mindie_deploy.cli.options import InventoryOption, JsonOption, LimitOption, VerboseOption
from mindie_deploy.cli.session import session
from mindie_deploy.cli.terminal import duration
from mindie_deploy.preflight.sizes import size_text
from mindie_deploy.runs.bundle import files_below, write_bundle


def bundle(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The archive to write, .tar.gz. Default: one in this directory."),
    ] = None,
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Save what all hosts say, their rendered files and logs in one archive, without secrets. Changes nothing.

    `mindie-deploy check --from ARCHIVE` judges it again, anywhere.
    """
    target = output or Path(f"mindie-deploy-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz")
    require_writable(target)
    with session("bundle", inventory, as_json=as_json, verbose=verbose) as one:
        place = one.record.directory / "bundle"
        try:
            report = judged(one, one.play("collect", "bundle", limit=limit, extra={"preflight_directory": str(place)}))
            versions = {name: version(name) for name in ("mindie-deploy", "ansible-core", "ansible-runner")}
            files = {
                **files_below(place),
                "report.json": json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n",
                "report.txt": report.to_text(),
                "versions.json": json.dumps({**versions, "python": sys.version}, indent=1) + "\n",
            }
            write_bundle(target, files, one.record.redact)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        size = target.stat().st_size
        silent = [name for name, row in report.hosts.items() if row.cells["reachable"] == "no"]
        if silent:
            one.terminal.note(f"nothing of {', '.join(silent)} is in it: no answer (check tells why)", "yellow")
        one.terminal.json({"bundle": str(target.resolve()), "bytes": size, "verdict": report.verdict})
        one.terminal.result(f"{target}: {len(files)} files, {size_text(size)} ({duration(one.elapsed)})")
        one.terminal.note(f"judge it again with: mindie-deploy check --from {target}", "dim")

"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

InventoryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--inventory",
        "-i",
        help="Inventory file or directory, as for ansible-playbook; may be given more than once. Default: ./inventory.",
        envvar="MINDIE_DEPLOY_INVENTORY",
        show_default=False,
    ),
]
LimitOption = Annotated[
    str | None, typer.Option("--limit", "-l", help="Only these hosts (a pattern as for ansible-playbook).")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show every task, and warnings of Ansible.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Directory to write.")]

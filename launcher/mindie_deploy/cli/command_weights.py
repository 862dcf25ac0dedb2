"""mindie-deploy weights: what stands of the weights on every host, whether it is right, and what it should be."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from mindie_deploy.cli.aftermath import cancelled
from mindie_deploy.cli.files import require_writable, write_file
from mindie_deploy.cli.options import InventoryOption, JsonOption, LimitOption, VerboseOption
from mindie_deploy.cli.session import Session, session
from mindie_deploy.cli.terminal import duration
from mindie_deploy.errors import CheckFailedError, MindieDeployError, UsageError
from mindie_deploy.runs.outcome import error_of
from mindie_deploy.runs.result import RunResult
from mindie_deploy.weights.verify_report import Mode, WeightsReport
from mindie_deploy.weights.verify_text import manifest_text, status_text, sums_text, verify_text

ACTION = "mindie_weights_verify"
TITLES: dict[Mode, str] = {
    "stat": "look at the weights",
    "sample": "read some pieces of the weights",
    "full": "read all weights",
}
weights = typer.Typer(
    help="Show what stands of the weights on every host, prove it, and print its manifest.", no_args_is_help=True
)


@weights.command("status")
def weights_status(
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show what every host has of the weights, from sizes and remembered proofs. Reads no weights, judges nothing."""
    with session("weights-status", inventory, as_json=as_json, verbose=verbose, keep_record=False) as one:
        report, result = _look(one, "stat", limit)
        one.terminal.json(report.to_dict())
        one.terminal.result(status_text(report).rstrip("\n"))
        _require_all_asked(result)


@weights.command("verify")
def weights_verify(
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    full: Annotated[bool, typer.Option("--full", help="Read every byte from the disks.")] = False,
    sample: Annotated[
        bool, typer.Option("--sample", help="Read some pieces of every file from the disks, about 1 % of all.")
    ] = False,
    seed: Annotated[str, typer.Option("--seed", help="With --sample: the same pieces as another sample.")] = "",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say whether the weights on every host are right, and where they are not; ends with 3 when they are not.

    Without --full and --sample no weights are read: files that were proven and not touched since are right.
    """
    if full and sample:
        raise UsageError("--full reads all that --sample would", "give one of them")
    if seed and not sample:
        raise UsageError("--seed chooses the pieces of a sample", "add --sample")
    mode: Mode = "full" if full else "sample" if sample else "stat"
    with session("weights-verify", inventory, as_json=as_json, verbose=verbose) as one:
        report, result = _look(one, mode, limit, seed or secrets.token_hex(4))
        one.record.write("weights-report.json", json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n")
        one.terminal.json(report.to_dict())
        one.terminal.result(verify_text(report).rstrip("\n"))
        one.terminal.note(f"verified in {duration(one.elapsed)}", "dim")
        _require_all_asked(result)
        if report.blocking:
            ids = ", ".join(dict.fromkeys(finding.id for finding in report.blocking))
            hosts = ", ".join(dict.fromkeys(host for finding in report.blocking for host in finding.hosts))
            remedy = report.blocking[0].remedy if len(report.blocking) == 1 else "see the findings above"
            raise CheckFailedError(f"the weights on {hosts} are not proven to be right ({ids})", remedy)


@weights.command("manifest")
def weights_manifest(
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file, as JSON.")] = None,
    sums: Annotated[bool, typer.Option("--sums", help="In the form of sha256sum.")] = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Print name, size and sha256 of every file that all hosts should have; ends with 3 when they do not agree."""
    if sums and as_json:
        raise UsageError("--sums and --json are two forms of one thing", "give one of them")
    if output is not None:
        require_writable(output)
    with session("weights-manifest", inventory, as_json=as_json, verbose=verbose, keep_record=False) as one:
        report, result = _look(one, "stat", limit)
        manifest = report.manifest
        if manifest is None:
            _require_all_asked(result)
            raise CheckFailedError(f"no manifest is known: {report.origin}", "mindie-deploy weights verify --full")
        differing = [name for name, host in report.hosts.items() if not host.right or host.digest != manifest.digest]
        one.terminal.json({**manifest.to_dict(), "origin": report.origin, "differing_hosts": differing})
        if output is not None:
            write_file(output, sums_text(manifest) if sums else manifest.to_json())
            one.terminal.note(f"manifest: {output}", "dim")
        elif not as_json:
            text = sums_text(manifest) if sums else manifest_text(report, manifest)
            one.terminal.out.print(Text(text), end="", soft_wrap=True)
        _require_all_asked(result)
        if differing:
            raise CheckFailedError(
                f"{', '.join(differing)}: not everything of the manifest is there and proven, or another one is kept",
                "mindie-deploy weights verify tells what is wrong there",
            )


def _look(one: Session, mode: Mode, limit: str | None, seed: str = "") -> tuple[WeightsReport, RunResult]:
    """Returns what the hosts that answered have. Raises the run's error where there is no report."""
    extra = {"weights_check": mode, "weights_sample_seed": seed}
    result = one.play("weights_verify", TITLES[mode], limit=limit, extra=extra)
    if result.status == "cancelled":
        error = cancelled(one, result, writes=False)
        if mode != "stat":
            error.add_note("a host that was reading goes on by itself, and remembers what it has proven")
        raise error
    told = result.any_of(ACTION).get("report")
    if not isinstance(told, dict):
        one.require(result, writes=False)
        raise MindieDeployError("the run ended without a report", "see the record of the run")
    try:
        return WeightsReport.from_dict(told), result
    except (KeyError, TypeError, ValueError, MindieDeployError) as error:
        raise MindieDeployError(f"the report on the weights cannot be read: {error}", "please report this") from error


def _require_all_asked(result: RunResult) -> None:
    """Raises the error for hosts that could not be asked. What the report says is no failure of the run."""
    others = tuple(failure for failure in result.failures if failure.action != ACTION)
    if result.ok or (result.failures and not others and not result.unreachable):
        return
    error = error_of(replace(result, failures=others), writes=False)
    if error is not None:
        raise error

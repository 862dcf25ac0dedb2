"""mindie-deploy status, logs, lock: what runs where, what it says, and who works on it."""

from __future__ import annotations

import zlib
from typing import Annotated

import typer
from rich.text import Text

from mindie_deploy.cli.endpoint_access import address_of_host, endpoint_url
from mindie_deploy.cli.options import InventoryOption, JsonOption, LimitOption, VerboseOption, YesOption
from mindie_deploy.cli.session import session
from mindie_deploy.cli.status_view import status_of, status_view
from mindie_deploy.cli.terminal import duration
from mindie_deploy.cluster.names import container_name
from mindie_deploy.errors import CancelledError, ExitCode, NotReadyError, RunFailedError, UnreachableError, UsageError
from mindie_deploy.remote.log_streams import LogLine, LogSource, stream
from mindie_deploy.runs.outcome import abandoned, error_of, unreachable
from mindie_deploy.runs.result import RunResult

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_red")
lock = typer.Typer(
    help="Show or break the lock that keeps two runs from changing one deployment.", no_args_is_help=True
)


def status(
    inventory: InventoryOption = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show what runs on every host, its NPUs, and whether the model answers; ends with 7 when it does not."""
    with session("status", inventory, as_json=as_json, verbose=verbose, keep_record=False) as one:
        result = one.play("status", "status", limit=limit)
        if result.status == "cancelled":
            raise CancelledError("cancelled; nothing was being changed")
        if not result.of("mindie_status"):
            one.require(result, writes=False)
        if one.deployment.settings is None:
            raise RunFailedError("the settings could not be read", "see the record of the run")
        url, name = f"{endpoint_url(one.deployment)}/v1", one.deployment.settings.deployment
        found = status_of(result, one.deployment.names, name, url, limited=bool(limit))
        one.terminal.json(found.to_dict())
        one.terminal.result(status_view(found, one.terminal.out.width))
        if result.unreachable:
            raise unreachable(result.unreachable, writes=False)
        error = error_of(result, writes=False)
        if error is not None:
            raise error
        if found.remedy:
            one.terminal.note(f"next: {found.remedy}", "bold")
            raise typer.Exit(ExitCode.NOT_READY)


def logs(
    inventory: InventoryOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is printed from now on.")] = False,
    host: Annotated[
        list[str] | None,
        typer.Option("--host", "--limit", "-l", help="Only these hosts: NAME or NAME,NAME; may be given again."),
    ] = None,
    rank: Annotated[list[int] | None, typer.Option("--rank", help="Only the host of this rank (0 leads).")] = None,
    tail: Annotated[int, typer.Option("--tail", min=0, help="Last lines of each host; 0: all.")] = 100,
    since: Annotated[str, typer.Option("--since", help="Only lines since a time, or a duration such as 10m.")] = "",
    verbose: VerboseOption = False,
) -> None:
    """Print the logs of all hosts in the order of time, each line with its host and rank."""
    with session("logs", inventory, verbose=verbose, keep_record=False) as one:
        one.know_settings()
        settings = one.deployment.settings
        assert settings is not None  # know_settings has made sure
        names = one.deployment.names
        wanted = [name for word in host or () for name in word.split(",") if name]
        for name in wanted:
            if name not in names:
                raise UsageError(f"{name} is not a host of this deployment", f"its hosts are {', '.join(names)}")
        for number in rank or ():
            if not 0 <= number < len(names):
                raise UsageError(f"there is no rank {number}", f"ranks are 0 to {len(names) - 1}")
        chosen = [
            (number, name)
            for number, name in enumerate(names)
            if (not host and not rank) or name in wanted or number in (rank or ())
        ]
        sources = [
            LogSource(address_of_host(one.deployment, name), number, settings.engine, container_name(settings))
            for number, name in chosen
        ]
        width = max(len(name) for _number, name in chosen)
        problems: list[LogLine] = []
        absent: list[str] = []
        lines = 0
        for line in stream(sources, follow=follow, tail=tail or None, since=since):
            if line.problem:
                if "no such container" in line.text.lower():
                    absent.append(line.host)
                    continue
                problems.append(line)
                one.terminal.note(f"{line.host}: {line.text}", "yellow")
                continue
            lines += 1
            colour = COLOURS[zlib.crc32(line.host.encode()) % len(COLOURS)]
            text = one.record.redact(line.text)
            one.terminal.out.print(Text.assemble((f"{line.host:<{width}} {line.rank:>2} | ", colour), text))
        absent.sort(key=names.index)  # hosts answer in any order
        if len(absent) == len(chosen):
            raise NotReadyError(f"nothing runs on {', '.join(absent)}, so there is no log", "mindie-deploy up")
        if absent:
            one.terminal.note(f"nothing runs on {', '.join(absent)}", "yellow")
        if problems and not lines:
            raise UnreachableError("no log could be read", "see the lines above")


@lock.command("status")
def lock_status(inventory: InventoryOption = None, as_json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Show who holds the lock, since when and why."""
    with session("lock", inventory, as_json=as_json, verbose=verbose) as one:
        result = one.require(one.play("lock", "look at the lock"), writes=False)
        one.terminal.json({host: told.get("lock") for host, told in result.of("mindie_lock").items()})
        for line in _locks(result):
            one.terminal.result(line)


@lock.command("release")
def lock_release(
    inventory: InventoryOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Break the lock, whoever holds it. Only for a run that is certainly dead."""
    with session("lock", inventory, as_json=as_json, verbose=verbose) as one:
        result = one.require(one.play("lock", "look at the lock"), writes=False)
        if not any(told.get("lock") for told in result.of("mindie_lock").values()):
            one.terminal.json({"released": []})
            one.terminal.result("nothing to change: nobody holds the lock")
            return
        for line in _locks(result):
            one.terminal.note(line)
        if not one.confirm("Break it? A run that still works would go on unprotected.", yes=yes):
            one.terminal.note("nothing was changed")
            raise typer.Exit(0)
        done = one.require(one.play("lock", "break the lock", extra={"mindie_deploy_break_lock": True}), writes=True)
        hosts = [host for host, told in done.of("mindie_lock").items() if told.get("removed")]
        one.terminal.json({"released": hosts})
        one.terminal.result(f"the lock was removed on {', '.join(hosts)}")


def _locks(result: RunResult) -> list[str]:
    lines = []
    for host, told in result.of("mindie_lock").items():
        held = told.get("lock")
        if not held:
            lines.append(f"{host}: free")
            continue
        age = duration(float(held.get("age_s") or 0))
        line = f"{host}: held by {held.get('owner')} for {age}: {held.get('reason')}, run {held.get('run_id')}"
        lines.append(line + (", whose process is gone" if abandoned(held) else ""))
    return lines

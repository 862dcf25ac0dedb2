"""All commands, and the end of every one of them: a message, what to do next, an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer

from mindie_deploy.cli import command_status
from mindie_deploy.cli.command_bundle import bundle
from mindie_deploy.cli.command_chat import chat
from mindie_deploy.cli.command_check import check, plan, sync
from mindie_deploy.cli.command_explain import config, explain
from mindie_deploy.cli.command_fix import fix
from mindie_deploy.cli.command_init import init
from mindie_deploy.cli.command_up import down, up
from mindie_deploy.cli.command_weights import weights
from mindie_deploy.cli.terminal import Terminal, error_document
from mindie_deploy.errors import ExitCode, MindieDeployError

# typer's own copy of click, or click itself in earlier versions: the base of all wrong command lines.
CommandLineError: Any = next(one for one in typer.BadParameter.__mro__ if one.__name__ == "ClickException")

app = typer.Typer(
    name="mindie-deploy",
    help="Brings a large model up on Ascend hosts with MindIE: init, check, up, chat, status, logs, down.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for function in (init, check, fix, bundle, sync, plan, up, command_status.status, command_status.logs, chat, down):
    app.command()(function)
app.command()(explain)
app.add_typer(config, name="config")
app.add_typer(command_status.lock, name="lock")
app.add_typer(weights, name="weights")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mindie-deploy {version('mindie-deploy')}, ansible-core {version('ansible-core')}")
        raise typer.Exit(0)


@app.callback()
def _options(
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    return None


def run(arguments: Sequence[str]) -> int:
    """Runs a command. Returns its exit code; nothing is raised."""
    as_json = "--json" in arguments
    Terminal.json_told = False
    try:
        outcome = app(list(arguments), standalone_mode=False)
        sys.stdout.flush()
    except MindieDeployError as error:
        _tell(error, as_json)
        return int(error.exit_code)
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort, EOFError):
        return _cancelled()
    except CommandLineError as error:
        error.show()
        return int(ExitCode.USAGE)
    except BrokenPipeError:
        # The reader of our output has left, as `head` does. What Python would still flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OK)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO):
            return _internal(error, as_json)
        words = f"the output, or a file of this machine, could not be written: {error.strerror}"
        _tell(MindieDeployError(words, "make room and run again"), as_json)
        return int(ExitCode.INTERNAL)
    except Exception as error:
        return _internal(error, as_json)
    if outcome == ExitCode.CANCELLED:  # what Typer makes of a Ctrl-C, without a word
        return _cancelled()
    return outcome if isinstance(outcome, int) else int(ExitCode.OK)


def _cancelled() -> int:
    Terminal().note("cancelled; nothing of this run goes on", "bold yellow")
    return int(ExitCode.CANCELLED)


def _internal(error: Exception, as_json: bool) -> int:
    """Tells a fault of ours, with what is needed to find it."""
    notes = getattr(error, "__notes__", [])
    error.__notes__ = []  # they are told below, once
    traceback.print_exc()
    words = f"a fault of mindie-deploy itself: {type(error).__name__}: {error}"
    _tell(_noted(MindieDeployError(words, "please report this with the lines above"), notes), as_json)
    return int(ExitCode.INTERNAL)


def _noted(error: MindieDeployError, notes: Sequence[str]) -> MindieDeployError:
    for note in notes:
        error.add_note(note)
    return error


def _tell(error: MindieDeployError, as_json: bool) -> None:
    """Prints what, where and how we know, then what to do, then where the record is."""
    terminal = Terminal(as_json=as_json)
    notes = list(getattr(error, "__notes__", ()))
    terminal.json(error_document(error))
    head = "cancelled" if error.exit_code == ExitCode.CANCELLED else "error"
    message = error.message if error.message.startswith(head) else f"{head}: {error.message}"
    terminal.note(message, "bold yellow" if head == "cancelled" else "red")
    for note in notes:
        terminal.note(note, "dim")
    if error.remedy:
        terminal.note(f"next: {error.remedy}", "bold")

"""What every command that talks to hosts has: the deployment, a record, and a way to run playbooks."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

import typer

from mindie_deploy.cli.progress import ProgressView
from mindie_deploy.cli.terminal import Terminal
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.errors import CancelledError, ExitCode, MindieDeployError, UsageError
from mindie_deploy.runs.cancel import Cancellation
from mindie_deploy.runs.deployment import Deployment, located, read_deployment, resolved
from mindie_deploy.runs.environment import forks_for
from mindie_deploy.runs.outcome import error_of
from mindie_deploy.runs.processes import this_process
from mindie_deploy.runs.records import RunRecord
from mindie_deploy.runs.result import RunResult
from mindie_deploy.runs.runner import run_playbook


class Session:
    """One command's work on one deployment."""

    def __init__(
        self, verb: str, deployment: Deployment, record: RunRecord, terminal: Terminal, *, verbose: bool
    ) -> None:
        self.verb, self.deployment, self.record, self.terminal = verb, deployment, record, terminal
        self.verbose = verbose
        self.cancel = Cancellation()
        self.results: list[RunResult] = []
        self.began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self.began

    def play(
        self,
        playbook: str,
        title: str,
        *,
        check: bool = False,
        limit: str | None = None,
        tags: Sequence[str] = (),
        extra: Mapping[str, object] | None = None,
    ) -> RunResult:
        """Runs a playbook of ours with its progress on standard error. Failures are in the result."""
        variables = {
            "mindie_deploy_run_id": self.record.run_id,
            "mindie_deploy_owner": owner(),
            "mindie_deploy_process": this_process(),
            "mindie_deploy_reason": f"mindie-deploy {self.verb}",
            "mindie_deploy_record_directory": str(self.record.directory),
            **(extra or {}),
        }
        names = self.deployment.names
        with ProgressView(self.terminal, title, verbose=self.verbose) as view:
            result = run_playbook(
                playbook,
                inventory=self.deployment.inventory.sources,
                record=self.record,
                limit=limit,
                extra_variables=variables,
                check=check,
                diff=check,
                forks=forks_for(len(names)),
                tags=tags,
                # A host that is not answered for by any task must not pass unnoticed.
                expected_hosts=() if limit or tags else names,
                environment=self.deployment.ssh_environment,
                on_event=view.on_event,
                cancel=self.cancel,
            )
        if limit and ("not match supplied host pattern" in result.chatter or result.status == "no-hosts"):
            raise UsageError(f"--limit {limit} names a host that is not there", f"the hosts are {', '.join(names)}")
        result = located(result.in_order(names), self.deployment.inventory)
        self.results.append(result)
        self.record.note(results=[one.to_dict() for one in self.results])
        self.deployment = resolved(self.deployment, result.any_of("mindie_settings"))
        return result

    def require(self, result: RunResult, *, writes: bool) -> RunResult:
        """Returns the result of a run that did what it should; raises the error for any other."""
        error = error_of(result, writes=writes)
        if error is not None:
            raise error
        return result

    def know_settings(self) -> Settings:
        """Returns the settings; where the inventory uses templates, Ansible is asked for them and the hosts first."""
        if self.deployment.settings is None:
            self.require(self.play("status", "read the settings", tags=("always",)), writes=False)
        if self.deployment.settings is None:
            raise MindieDeployError("the settings could not be read", "see the record of the run")
        return self.deployment.settings

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Asks before a change.

        Raises UsageError where nobody can be asked and --yes was not given, CancelledError for Ctrl-C and Ctrl-D.
        """
        if yes:
            return True
        if not self.terminal.interactive:
            raise UsageError(
                "this changes hosts, and there is no terminal to ask on; nothing was changed",
                "add --yes to go on without being asked",
            )
        # What was typed before the question was there is no answer to it.
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
        try:
            self.terminal.err.print(f"{question} [y/N] ", end="")
            return input().strip().lower() in ("y", "yes")
        except (KeyboardInterrupt, EOFError):
            self.terminal.note("")  # the message has a line of its own
            raise CancelledError("cancelled at the question: nothing was changed") from None


def owner() -> str:
    """Returns who runs this, as user@controller, for the lock and the record."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


@contextlib.contextmanager
def session(
    verb: str,
    inventory: Sequence[str] | None,
    *,
    as_json: bool = False,
    verbose: bool = False,
    keep_record: bool = True,
) -> Iterator[Session]:
    """Opens a session: reads and validates the inventory, makes the record, listens to Ctrl-C.

    An error that ends the command is written into the record, and tells where that is. Without `keep_record` the
    record of a command that ended well is removed.
    """
    deployment = read_deployment(inventory or ())
    record = RunRecord.create(verb)
    record.redact = deployment.redactor()
    record.note(
        inventory=deployment.inventory.sources,
        hosts=deployment.names,
        owner=owner(),
        versions={name: version(name) for name in ("mindie-deploy", "ansible-core", "ansible-runner")},
    )
    one = Session(verb, deployment, record, Terminal(as_json=as_json), verbose=verbose)
    code: int = ExitCode.INTERNAL
    try:
        with one.cancel.signals():
            yield one
        code = ExitCode.OK
    except MindieDeployError as error:
        code = error.exit_code
        record.note(error=error.message, next=error.remedy)
        error.add_note(f"record: {record.directory}")
        raise
    except typer.Exit as error:
        code = error.exit_code
        raise
    except KeyboardInterrupt:
        code = ExitCode.CANCELLED
        raise
    except Exception as error:
        record.note(error=repr(error))
        error.add_note(f"record: {record.directory}")
        raise
    finally:
        record.note(exit_code=int(code), seconds=round(one.elapsed, 1), ended=time.time())
        if code == ExitCode.OK and not keep_record:
            record.remove()

# SPDX-License-Identifier: Apache-2.0
"""Action mindie_exchange: the steps of an exchange of files on one member. The role exchange has the arguments.

`step: secrets` makes, once for all, what only members know. `step: join` returns what the others must know of this
host, with the command that reaches its port through Ansible's own ssh connection, for a controller whose packets do not
get there otherwise. `step: start` starts the agent of a member; `step: wait` waits until this host has everything,
shows its progress, and starts an agent again that was killed. `step: sum` tells, once for all, what was achieved.

Reads mindie_settings and mindie_hosts, and what the secrets were registered as, exchange_secrets: as an argument they
would be printed.
"""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.cluster.hosts import weights_address
from mindie_deploy.cluster.settings import with_secrets
from mindie_deploy.content import content_directory
from mindie_deploy.errors import MindieDeployError
from mindie_deploy.plain import plain
from mindie_deploy.weights.exchange import CONTROLLER, agent_archive
from mindie_deploy.weights.members import cargo_of, exchange_of, giver_of, joined, source_of
from mindie_deploy.weights.progress import progress_line, read_status, status_command
from mindie_deploy.weights.run_secrets import new_certificate, new_secret
from mindie_deploy.weights.source import SourceKind
from mindie_deploy.weights.summary import summarise
from mindie_deploy.weights.watch import ExchangeError, Verdict, Watch

display = Display()
FASTEST_LOOK_S, SLOWEST_LOOK_S = 0.2, 3.0
ARRIVED_KEYS = (
    "bytes",
    "bytes_done",
    "bytes_before",
    "received",
    "sent",
    "again",
    "from_source",
    "elapsed_s",
    "peak_in",
    "peak_out",
)


class ActionModule(ActionBase):
    """Every host has a worker of its own."""

    TRANSFERS_FILES = False
    _supports_check_mode = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        self._arguments = plain(self._task.args)
        self._vars = task_vars
        self._settings = plain(task_vars["mindie_settings"])
        self._member = str(self._arguments.get("member") or task_vars["inventory_hostname"])
        steps = {
            "secrets": self._secrets,
            "join": self._join,
            "start": self._start,
            "wait": self._wait,
            "sum": self._sum,
        }
        try:
            return {**result, "changed": False, **steps[self._arguments["step"]]()}
        except MindieDeployError as error:
            return {**result, "failed": True, "msg": str(error)}

    def _secrets(self):
        lifetime = float(self._arguments["time_limit"])
        encrypt = self._settings["weights_encrypt"]
        return {"secret": new_secret(), "tls": new_certificate(lifetime) if encrypt else None}

    def _join(self):
        asked = self._arguments
        command = self._way() if asked.get("dialled") else []
        incoming = str(asked.get("incoming") or "")
        return {"member": joined(self._member, asked["seen"], asked["fetch"], incoming, command)}

    def _way(self):
        """Returns a command that connects its input and output with the host's port, or [] where there is none."""
        connection = self._connection
        if getattr(connection, "transport", "") != "ssh" or connection.get_option("password"):
            return []
        address = self._addresses()[self._member]
        target = f"[{address}]" if ":" in address else address
        words = connection._build_command(
            connection.get_option("ssh_executable"), "ssh", "-W", f"{target}:{self._port()}", connection.host
        )
        return [word.decode() if isinstance(word, bytes) else str(word) for word in words]

    def _addresses(self):
        return {host["name"]: host["weights_address"] for host in plain(self._vars["mindie_hosts"])}

    def _address_of_giver(self, source):
        """Returns the address of a host of the inventory that has the source and is none of the deployment's."""
        giver = giver_of(source, [row["name"] for row in self._arguments["members"]])
        if giver in ("", CONTROLLER) or giver in self._addresses():
            return {}
        names = ("ansible_host", "mindie_host_address", "mindie_weights_address")
        variables = self._vars["hostvars"][giver]
        return {giver: weights_address(giver, {name: plain(variables.get(name)) for name in names})}

    def _port(self):
        return int(self._settings["weights_port"])

    def _start(self):
        variables = self._vars["hostvars"][self._vars["inventory_hostname"]]
        cargo = cargo_of(self._arguments)
        exchange = exchange_of(
            cargo,
            self._arguments["members"],
            {**self._addresses(), **self._address_of_giver(cargo.source)},
            with_secrets(self._settings, variables),
            plain(self._vars["exchange_secrets"]),
            self._member,
        )
        answer = self._agent(
            "started",
            agent=base64.b64encode(agent_archive(Path(content_directory()) / "plugins")).decode(),
            plan=json.dumps(exchange.plan(self._member)),
        )
        if answer.get("failed"):
            reason = answer.get("msg") or answer.get("module_stderr") or answer
            raise ExchangeError(f"{self._member}: {reason}")
        # The status of the start says nothing that the waiting does not say better.
        return {"started": True}

    def _agent(self, state, **more):
        arguments = {
            "state": state,
            "state_directory": str(self._arguments["state_directory"]),
            "status_file": self._status_file(),
            **more,
        }
        return self._execute_module(module_name="mindie_weights_exchange", module_args=arguments, task_vars=self._vars)

    def _status_file(self):
        of_members = {row["name"]: row["status_file"] for row in self._arguments["members"]}
        return str(of_members.get(self._member, self._arguments["source_status_file"]))

    def _wait(self):
        what = str(self._arguments["what"])
        limit = float(self._arguments["time_limit"])
        watch = Watch(self._member, what, self._port(), limit, time.monotonic())
        path, pause = self._status_file(), FASTEST_LOOK_S
        beside = self._source_beside()
        run = os.getppid()
        while True:
            if os.getppid() != run:
                # This worker outlives a run that is killed, and must not start agents beside those of the next one.
                raise ExchangeError(f"{self._member}: the run that brought {what} has ended; what has arrived is kept")
            now = time.monotonic()
            try:
                status, age = self._status(path)
                verdict = watch.heard(status, age, now)
                if verdict is Verdict.ARRIVED:
                    return self._arrived(status, watch.elapsed(now))
                if beside is not None:
                    own = local_status(beside)
                    watch.beside_source(own, runs_here(own), now)
                if verdict is Verdict.KILLED or (verdict is Verdict.SILENT and not self._agent("status")["running"]):
                    watch.restarted(str(self._agent("status").get("log") or ""), time.monotonic())
                    display.warning(f"{self._member}: the agent was killed; it is started again and goes on")
                    self._start()
                elif status and watch.to_show(now):
                    self._show(status, watch.elapsed(now))
            except AnsibleConnectionFailure as error:
                if watch.lost(now):
                    raise
                display.warning(f"{self._member} does not answer; its transfer may go on: {error}")
            time.sleep(pause)
            pause = min(SLOWEST_LOOK_S, pause * 1.3)

    def _source_beside(self):
        """Returns where the agent on this machine, beside the source, tells how far it is; None where there is none."""
        source = source_of(self._arguments["source"])
        return str(self._arguments["source_status_file"]) if source.kind is SourceKind.CONTROLLER else None

    def _show(self, status, elapsed):
        line = progress_line(self._member, f"bringing {self._arguments['what']}", status, elapsed)
        display.display("mindie-deploy: " + json.dumps(line, ensure_ascii=False))

    def _arrived(self, status, elapsed):
        for warning in status.get("warnings") or []:
            display.warning(f"{self._member}: {str(warning)[:500]}")
        self._show(status, elapsed)
        return {"name": self._member, "status": {key: status.get(key) for key in ARRIVED_KEYS}}

    def _sum(self):
        """Adds up what the members said last; the controller's agent has written it into a file here."""
        statuses = {str(row["name"]): row["status"] for row in self._arguments["arrived"]}
        own = local_status(str(self._arguments.get("source_status_file") or ""))
        if own:
            statuses[CONTROLLER] = own
        summary = summarise(statuses)
        if summary is None:
            return {"msg": "nothing had to be brought", "rate": 0}
        return {"msg": f"{self._arguments['what']}: {summary.text}", "rate": summary.rate, "summary": summary.to_dict()}

    def _status(self, path):
        """Returns (status, seconds since it was written); ({}, 0.0) before there is any."""
        return read_status(self._low_level_execute_command(status_command(path)).get("stdout", ""))


def local_status(path):
    """Returns what an agent on this machine wrote last, {} before it wrote anything."""
    try:
        status = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def runs_here(status):
    """Whether the agent that wrote a status on this machine lives; before it wrote anything it is being started."""
    return not status or status.get("state") == "done" or Path(f"/proc/{status.get('pid')}").exists()

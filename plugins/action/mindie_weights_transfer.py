# SPDX-License-Identifier: Apache-2.0
"""Action mindie_weights_transfer: the steps of a weights exchange on one member.

`step: secrets` makes, once for all, what only members know. `step: way` returns the command that reaches this host's
port through Ansible's own ssh connection, for a controller whose packets do not get there otherwise. `step: start`
starts the agent of a member; `step: wait` waits until this host has everything, shows its progress, and starts an agent
again that was killed.

All read what earlier tasks registered on every host: weights_seen and weights_prepared (the directory), weights_planned
(what it lacks), weights_way and weights_secrets.
"""

from __future__ import annotations

import base64
import json
import shlex
import time
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from mindie_deploy.content import content_directory
from mindie_deploy.errors import MindieDeployError
from mindie_deploy.plain import plain
from mindie_deploy.weights.exchange import CONTROLLER, Exchange, Participant, Place, agent_archive
from mindie_deploy.weights.manifest import Manifest
from mindie_deploy.weights.origin import origin_of
from mindie_deploy.weights.progress import number, progress_line
from mindie_deploy.weights.run_secrets import new_certificate, new_secret
from mindie_deploy.weights.source import SourceKind, parse_source

display = Display()
LOST_AFTER_S = 300.0
# An agent writes its status every second; after this silence it is asked whether it still runs.
SILENT_AFTER_S = 10.0
NO_PROGRESS_S = 600.0
MOST_RESTARTS = 5
MIB = 1024 * 1024
SLOWEST_LOOK_S = 3.0
SHOW_EVERY_S = 5.0


class Failure(Exception):
    """Ends the step with a message for the operator."""


class ActionModule(ActionBase):
    """Every host has a worker of its own."""

    TRANSFERS_FILES = False
    _supports_check_mode = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        self._arguments = plain(self._task.args)
        self._vars = task_vars
        self._member = str(self._arguments.get("member") or task_vars["inventory_hostname"])
        try:
            if self._arguments["step"] == "way":
                return {**result, "changed": False, "command": self._way()}
            if self._arguments["step"] == "secrets":
                return {**result, "changed": False, **self._secrets()}
            if self._arguments["step"] == "start":
                return {**result, **self._start()}
            return {**result, **self._wait()}
        except Failure as failure:
            return {**result, "failed": True, "msg": str(failure)}
        except MindieDeployError as error:
            return {**result, "failed": True, "msg": str(error)}

    # the way to a host

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

    def _secrets(self):
        encrypt = plain(self._vars["mindie_settings"])["weights_encrypt"]
        lifetime = float(self._arguments["time_limit"])
        return {"secret": new_secret(), "tls": new_certificate(lifetime) if encrypt else None}

    # the plan

    def _addresses(self):
        return {host["name"]: host["weights_address"] for host in plain(self._vars["mindie_hosts"])}

    def _port(self):
        return int(self._vars["mindie_settings"]["weights_port"])

    def _hosts(self):
        playing = set(self._vars["ansible_play_hosts"])
        return [name for name in self._addresses() if name in playing]

    def _exchange(self):
        settings = plain(self._vars["mindie_settings"])
        source = parse_source(settings["weights_source"])
        known = {name: plain(self._of(name)) for name in self._hosts()}
        manifest = Manifest.from_dict(next(iter(known.values()))["plan"]["manifest"])
        secrets = plain(self._vars["weights_secrets"])
        addresses = self._addresses()
        participants = [self._participant(name, addresses[name], row, manifest) for name, row in known.items()]
        if source.kind is SourceKind.CONTROLLER:
            participants.append(self._controller(source.path, manifest))
        lacking = [one.name for one in participants if not one.place.read_only]
        return Exchange(
            manifest=manifest,
            participants=tuple(participants),
            port=self._port(),
            secret=str(secrets["secret"]),
            rate_limit=int(settings["weights_rate_limit"]) * MIB,
            lifetime=int(self._arguments["time_limit"]),
            origin=origin_of(source, lacking, plain(self._vars.get("weights_hub_seen") or {}), settings),
            tls=secrets["tls"],
        )

    def _of(self, name):
        variables = self._vars["hostvars"][name]
        return {
            "seen": variables["weights_seen"],
            "prepared": variables.get("weights_prepared") or {},
            "plan": variables["weights_planned"]["plan"],
            "way": (variables.get("weights_way") or {}).get("command") or [],
        }

    def _participant(self, name, address, known, manifest):
        fetch = set(known["plan"]["fetch"])
        return Participant(
            name=name,
            address=address,
            place=Place(
                final=known["seen"]["real_directory"],
                incoming=known["prepared"].get("incoming", "") if fetch else "",
                complete=frozenset(set(manifest.by_name) - fetch),
                read_only=not fetch,
                owner=int(self._arguments["owner"]),
                group=int(self._arguments["group"]),
            ),
            status_file=known["seen"]["status_file"],
            cores=int(known["seen"].get("cores") or 1),
            command=tuple(known["way"]) if self._member == CONTROLLER else (),
        )

    def _controller(self, path, manifest):
        seen = plain(self._vars["weights_source_seen"])
        return Participant(
            name=CONTROLLER,
            address="127.0.0.1",
            place=Place(seen["real_directory"], "", frozenset(manifest.by_name), True),
            status_file=seen["status_file"] + ".exchange",
            cores=int(seen.get("cores") or 1),
            dials=True,
        )

    # steps

    def _start(self):
        exchange = self._exchange()
        plugins = Path(content_directory()) / "plugins"
        answer = self._module(
            "started",
            agent=base64.b64encode(agent_archive(plugins)).decode(),
            plan=json.dumps(exchange.plan(self._member)),
        )
        if answer.get("failed"):
            raise Failure(f"{self._member}: {answer.get('msg') or answer.get('module_stderr') or answer}")
        # The status of the start says nothing that the waiting does not say better.
        return {"changed": False}

    def _module(self, state, **more):
        directory = str(self._arguments["state_directory"])
        name = self._status_file()
        return self._execute_module(
            module_name="mindie_weights_exchange",
            module_args={"state": state, "state_directory": directory, "status_file": name, **more},
            task_vars=self._vars,
        )

    def _status_file(self):
        if self._member == CONTROLLER:
            return plain(self._vars["weights_source_seen"])["status_file"] + ".exchange"
        return self._of(self._member)["seen"]["status_file"]

    def _wait(self):
        started = answered = moved = time.monotonic()
        shown, pause, restarts, progress = 0.0, 0.2, 0, -1
        path = self._status_file()
        while True:
            now = time.monotonic()
            try:
                status, age = self._status(path)
                answered = now
                if status.get("state") in ("serving", "done"):
                    return self._arrived(status, now - started)
                if status.get("state") == "failed":
                    raise Failure(f"{self._member}: {status.get('message')}")
                if status.get("state") == "stopped" or (age > SILENT_AFTER_S and not self._module("status")["running"]):
                    restarts += 1
                    if restarts > MOST_RESTARTS:
                        raise Failure(f"the agent on {self._member} was killed {restarts} times: {self._last_words()}")
                    display.warning(f"{self._member}: the agent was killed; it is started again and goes on")
                    self._start()
            except AnsibleConnectionFailure as error:
                if now - answered > LOST_AFTER_S:
                    raise
                display.warning(f"{self._member} does not answer; its transfer may go on: {error}")
                status = {}
            done = number(status.get("bytes_done")) + number(status.get("received"))
            if done != progress:
                if done > progress:
                    restarts = 0
                moved, progress = now, done
            elif status and now - moved > NO_PROGRESS_S:
                raise Failure(self._stuck(status))
            if now - started > float(self._arguments["time_limit"]):
                raise Failure(f"bringing the weights to {self._member} took longer than weights_time_limit allows")
            if status and now - shown >= SHOW_EVERY_S:
                shown = now
                self._show(status, now - started)
            time.sleep(pause)
            pause = min(SLOWEST_LOOK_S, pause * 1.3)

    def _show(self, status, elapsed):
        line = progress_line(self._member, "bringing the weights", status, elapsed)
        display.display("mindie-deploy: " + json.dumps(line, ensure_ascii=False))

    def _arrived(self, status, elapsed):
        for warning in status.get("warnings") or []:
            display.warning(f"{self._member}: {str(warning)[:500]}")
        self._show(status, elapsed)
        kept = ("bytes", "bytes_done", "bytes_before", "received", "sent", "again", "from_source", "elapsed_s", "peers")
        return {"changed": False, "status": {key: status.get(key) for key in kept}}

    def _stuck(self, status):
        unreached = status.get("unreached")
        reasons = unreached.items() if isinstance(unreached, dict) else ()
        told = "; ".join(f"{name}: {why or 'no connection'}" for name, why in sorted(reasons))
        return (
            f"nothing has come to {self._member} for {NO_PROGRESS_S:.0f} s"
            + (f". Not connected: {told}" if told else "")
            + f". See that port {self._port()} (mindie_weights_port) is open between the hosts, and that those that "
            "have the weights are up; what has arrived is kept, run the sync again"
        )

    def _last_words(self):
        return str(self._module("status").get("log") or "it left no message")[-500:]

    def _status(self, path):
        """Returns (status, seconds since it was written); ({}, 0.0) before there is any."""
        name = shlex.quote(path)
        command = f"cat {name} && echo && echo $(( $(date +%s) - $(stat -c %Y {name}) ))"
        lines = self._low_level_execute_command(command).get("stdout", "").strip().splitlines()
        try:
            status, age = json.loads(lines[0]), float(lines[-1])
        except (ValueError, IndexError):
            return {}, 0.0
        return (status, age) if isinstance(status, dict) else ({}, 0.0)

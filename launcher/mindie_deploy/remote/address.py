"""How a host is reached over SSH: from Ansible's connection variables and the operator's ssh configuration."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import paramiko

from mindie_deploy.errors import UsageError

NO = frozenset({"no", "off", "false", "0", "accept-new"})


@dataclass(frozen=True)
class Address:
    """Where and how to log in. `strict` is false only where the operator switched host key checking off."""

    name: str
    host: str
    port: int
    user: str | None
    key_files: tuple[str, ...]
    known_hosts: tuple[str, ...]
    strict: bool
    proxy_command: str | None
    password: str | None
    become: bool
    become_password: str | None


def address_of(
    name: str,
    variables: Mapping[str, Any],
    *,
    inventory_directory: Path,
    host_key_checking: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Address:
    """Reads a host's address.

    Ansible's variables win over -o options in ansible_ssh_common_args and ansible_ssh_extra_args, those over
    ~/.ssh/config, as with Ansible's own ssh. Raises UsageError for a variable that only Ansible could resolve.
    """
    environment = os.environ if environment is None else environment
    told = _Variables(name, variables, inventory_directory)
    options, config_file = _options(told)
    wanted = told.first("ansible_host", "ansible_ssh_host") or name
    config = _ssh_config(config_file, wanted, environment)

    def option(key: str) -> str | None:
        return options.get(key.lower()) or config.get(key.lower())

    host = option("HostName") or wanted
    user = told.first("ansible_user", "ansible_ssh_user") or environment.get("ANSIBLE_REMOTE_USER") or option("User")
    port = int(told.first("ansible_port", "ansible_ssh_port") or option("Port") or 22)
    own_key = told.first("ansible_ssh_private_key_file", "ansible_private_key_file")
    keys = own_key or environment.get("ANSIBLE_PRIVATE_KEY_FILE") or options.get("identityfile")
    key_files = (keys,) if keys else tuple(config.get("identityfile_list") or ())
    checking = told.first("ansible_host_key_checking", "ansible_ssh_host_key_checking")
    strict = host_key_checking if checking is None else checking.lower() not in NO
    if (option("StrictHostKeyChecking") or "").lower() in NO:
        strict = False
    become = told.first("ansible_become") or ""
    return Address(
        name=name,
        host=host,
        port=port,
        user=user,
        key_files=tuple(str(Path(key).expanduser()) for key in key_files),
        known_hosts=_known_hosts(option("UserKnownHostsFile"), environment),
        strict=strict,
        proxy_command=_proxy(option("ProxyCommand"), option("ProxyJump"), host, port, user),
        password=told.first("ansible_password", "ansible_ssh_pass", "ansible_ssh_password"),
        become=become.lower() in ("true", "yes", "1", "on"),
        become_password=told.first("ansible_become_password", "ansible_become_pass"),
    )


class _Variables:
    """A host's variables, with the templates resolved that need nothing but other variables."""

    def __init__(self, host: str, variables: Mapping[str, Any], inventory_directory: Path) -> None:
        self._host, self._variables = host, variables
        self._context = {**variables, "inventory_hostname": host, "inventory_dir": str(inventory_directory)}
        self._templates = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701

    def first(self, *names: str) -> str | None:
        """Returns the first of these that is set, as text."""
        for name in names:
            value = self._variables.get(name)
            if value is not None and value != "":
                return self._text(name, value)
        return None

    def _text(self, name: str, value: object) -> str:
        text = str(value)
        if isinstance(value, Mapping):
            raise UsageError(
                f"{self._host}: {name} is encrypted, and this command speaks SSH by itself",
                "use a key and ssh-agent for this host, or ansible-playbook playbooks/status.yml",
            )
        for _ in range(5):
            if "{{" not in text and "{%" not in text:
                return text
            try:
                text = self._templates.from_string(text).render(self._context)
            except jinja2.TemplateError as error:
                raise UsageError(
                    f"{self._host}: {name} = {value}: cannot be resolved for SSH: {error}",
                    "write the value out, or put it into ~/.ssh/config",
                ) from error
        return text


def _options(told: _Variables) -> tuple[dict[str, str], str | None]:
    """Returns the -o options (lower-case names; the first of a name counts, as with ssh), and the file of -F."""
    words: list[str] = []
    for variable in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        words += shlex.split(told.first(variable) or "")
    found: dict[str, str] = {}
    config_file: str | None = None
    for letter, value in _switches(words):
        if letter == "o":
            key, _, rest = re.sub(r"\s*=\s*|\s+", "=", value.strip(), count=1).partition("=")
            found.setdefault(key.lower(), rest.strip().strip('"'))
        elif letter == "F":
            config_file = value
        else:
            found.setdefault({"i": "identityfile", "p": "port", "l": "user", "J": "proxyjump"}[letter], value)
    return found, config_file


def _switches(words: list[str]) -> Iterator[tuple[str, str]]:
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if len(word) < 2 or word[0] != "-" or word[1] not in "oiplJF":
            continue
        if len(word) > 2:
            yield word[1], word[2:]
        elif index < len(words):
            yield word[1], words[index]
            index += 1


def _ssh_config(given: str | None, host: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Returns the operator's ssh configuration for the host: names in lower case, lists under NAME_list."""
    home = Path(environment.get("HOME") or Path.home())
    files = [Path(given).expanduser()] if given else [home / ".ssh" / "config", Path("/etc/ssh/ssh_config")]
    found: dict[str, Any] = {}
    for path in files:
        try:
            entry = paramiko.SSHConfig.from_path(str(path)).lookup(host)
        except OSError:
            continue
        except paramiko.SSHException as error:
            raise UsageError(f"{path} cannot be read: {error}", "correct the file") from error
        for key, value in entry.items():
            if isinstance(value, list):
                found.setdefault(f"{key}_list", value)
            else:
                found.setdefault(key, value)
    if found.get("hostname") == host:
        del found["hostname"]
    return found


def _known_hosts(option: str | None, environment: Mapping[str, str]) -> tuple[str, ...]:
    if option:
        return tuple(str(Path(path).expanduser()) for path in shlex.split(option) if path != "none")
    home = Path(environment.get("HOME") or Path.home())
    return (str(home / ".ssh" / "known_hosts"), "/etc/ssh/ssh_known_hosts")


def _proxy(command: str | None, jump: str | None, host: str, port: int, user: str | None) -> str | None:
    """Returns the command that carries the connection, for a ProxyCommand or a jump host."""
    if command and command.lower() != "none":
        return command.replace("%h", host).replace("%p", str(port)).replace("%r", user or "")
    if jump and jump.lower() != "none":
        first, _, last = jump.rpartition(",")
        through = ["-J", first] if first else []
        last, _, jump_port = last.removeprefix("ssh://").partition(":")
        ports = ["-p", jump_port] if jump_port else []
        return shlex.join(["ssh", "-o", "BatchMode=yes", *through, *ports, "-W", f"{host}:{port}", last])
    return None

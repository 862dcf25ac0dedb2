"""mindie-deploy init: write an inventory for these hosts."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
import yaml

from mindie_deploy.cli.options import OutputOption
from mindie_deploy.cli.terminal import Terminal
from mindie_deploy.cluster.parallel import parallel_problems
from mindie_deploy.cluster.reference import render_group_vars
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.errors import UsageError

RANGE = re.compile(r"\[(\d+)-(\d+)\]")
WORD = re.compile(
    r"(?:(?P<user>[A-Za-z_][\w.-]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:@\s]+|[0-9A-Fa-f:]+)(?::(?P<port>\d+))?"
)
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
NPUS_PER_HOST = 8
MOST_HOSTS = 64
HEAD = """\
---
# The hosts in rank order; the first is the leader, which serves the API.
# ansible_host is where SSH goes. Where the hosts reach one another by other addresses, set mindie_host_address.
"""


@dataclass(frozen=True)
class NewHost:
    """A host of the new inventory: its name, where SSH goes, and the address that the other hosts use."""

    name: str
    login: str
    address: str
    user: str
    port: int | None


def init(
    hosts: Annotated[
        list[str],
        typer.Argument(
            help="The hosts in rank order, the leader first: ADDRESS, NAME, USER@HOST:PORT, NAME[1-4].",
            metavar="HOST...",
        ),
    ],
    output: OutputOption = Path("inventory"),
    user: Annotated[str, typer.Option("--user", "-u", help="User to log in as.")] = "root",
    key: Annotated[Path | None, typer.Option("--key", help="Private key to log in with; default: ssh's own.")] = None,
) -> None:
    """Write an inventory for these hosts: the hosts in rank order, and every setting with its meaning."""
    terminal = Terminal()
    found = [host for word in hosts for host in parsed(word, user)]
    named = _named(found)
    directory = output.expanduser()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} exists and is not overwritten", "choose another directory with --output")
    settings = settings_for(len(named))
    if key is not None and not key.expanduser().is_file():
        raise UsageError(f"there is no key {key}", "check the path given with --key")
    try:
        (directory / "group_vars").mkdir(parents=True, exist_ok=True)
        (directory / "hosts.yml").write_text(hosts_document(named, user, key), encoding="utf-8")
        (directory / "group_vars" / "all.yml").write_text(render_group_vars(settings), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{error.filename or directory} cannot be written: {error.strerror}", "choose another --output"
        ) from error
    terminal.result(f"wrote {directory}/hosts.yml and {directory}/group_vars/all.yml")
    for rank, host in enumerate(named):
        terminal.result(f"  rank {rank}  {host.name}  {host.address}{'  (leader)' if rank == 0 else ''}")
    problems = parallel_problems(settings, len(named))
    for problem in problems:
        terminal.note(f"to be set: {problem}", "yellow")
    option = "" if directory == Path("inventory") else f" -i {directory}"
    terminal.note(
        f"next: set mindie_image, mindie_model_path and mindie_weights_source in {directory}/group_vars/all.yml, "
        f"then: mindie-deploy check{option}"
    )


def parsed(word: str, user: str) -> Iterator[NewHost]:
    """Reads one word of the command line; a range such as atlas[1-4] gives several hosts. Raises UsageError."""
    span = RANGE.search(word)
    if span:
        first, last = int(span[1]), int(span[2])
        if last < first:
            raise UsageError(
                f"{word} runs backwards", f"write {word[: span.start()]}[{last}-{first}]{word[span.end() :]}"
            )
        if last - first >= MOST_HOSTS:
            raise UsageError(f"{word} is more than {MOST_HOSTS} hosts", "a deployment has at most that many")
        for number in range(first, last + 1):
            digits = str(number).zfill(len(span[1])) if span[1].startswith("0") else str(number)
            yield from parsed(word[: span.start()] + digits + word[span.end() :], user)
        return
    bare = _as_address(word)
    match = WORD.fullmatch(word)
    if bare is None and match is None:
        raise UsageError(f"{word!r} is not a host", "write ADDRESS, NAME or USER@HOST:PORT")
    login = word if bare else match["host"].strip("[]") if match else ""
    if bare is None and _as_address(login) is None and not HOST_NAME.fullmatch(login):
        raise UsageError(f"{word!r} is not a host", "write ADDRESS, NAME or USER@HOST:PORT")
    if bare is None and _as_address(login) is None and not re.search("[A-Za-z]", login):
        # Resolvers take 1 for 0.0.0.1.
        raise UsageError(f"{word!r} is neither an IP address nor a host name", "write all four numbers of the address")
    own_user = (match["user"] or "") if match and bare is None else ""
    port = int(match["port"]) if match and bare is None and match["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise UsageError(f"{word}: {port} is not a port", "write a number from 1 to 65535")
    address = _as_address(login) or _resolved(login)
    name = "" if _as_address(login) else login.split(".")[0]
    yield NewHost(name, login, address, own_user if own_user != user else "", port)


def settings_for(hosts: int) -> Settings:
    """Returns the defaults with parallel sizes for this many hosts: one dp group a host, one expert group an NPU."""
    npus = hosts * NPUS_PER_HOST
    return Settings.from_variables(
        {
            "mindie_data_parallel_size": hosts,
            "mindie_tensor_parallel_size": NPUS_PER_HOST,
            "mindie_moe_tensor_parallel_size": 1,
            "mindie_moe_expert_parallel_size": npus,
        }
    )


def hosts_document(hosts: Sequence[NewHost], user: str, key: Path | None) -> str:
    """Returns hosts.yml."""
    listed: dict[str, dict[str, object]] = {}
    for host in hosts:
        of_host: dict[str, object] = {"ansible_host": host.login}
        if host.login != host.address:
            of_host["mindie_host_address"] = host.address
        if host.user:
            of_host["ansible_user"] = host.user
        if host.port:
            of_host["ansible_port"] = host.port
        listed[host.name] = of_host
    common: dict[str, object] = {"ansible_user": user}
    if key is not None:
        common["ansible_ssh_private_key_file"] = str(key.expanduser().absolute())
    document = {"all": {"children": {"mindie": {"hosts": listed, "vars": common}}}}
    return HEAD + yaml.safe_dump(document, sort_keys=False)


def _named(hosts: Sequence[NewHost]) -> list[NewHost]:
    """Gives hosts that were named by their address a name: atlas1, atlas2 ... by their rank."""
    named = []
    taken: set[str] = set()
    addresses: dict[str, str] = {}
    for number, host in enumerate(hosts, 1):
        name = host.name or f"atlas{number}"
        if name in taken:
            raise UsageError(f"{name} is given twice", "give every host once")
        if host.address in addresses:
            raise UsageError(
                f"{addresses[host.address]} and {host.login} have the same address {host.address}",
                "give every host once",
            )
        taken.add(name)
        addresses[host.address] = host.login
        named.append(NewHost(name, host.login, host.address, host.user, host.port))
    return named


def _as_address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _resolved(name: str) -> str:
    try:
        found = socket.getaddrinfo(name, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(
            f"{name} cannot be resolved to an address: {error.strerror or error}",
            "give the host's IP address: MindIE's rank table takes no names",
        ) from error
    address = str(found[0][4][0])
    if ipaddress.ip_address(address).is_loopback:
        raise UsageError(f"{name} resolves to {address}, which other hosts cannot reach", "give its IP address")
    return address

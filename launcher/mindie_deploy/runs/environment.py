"""The environment that Ansible runs in: our content found from anywhere, the operator's own configuration respected."""

from __future__ import annotations

import configparser
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mindie_deploy.content import content_directory

OUR_PATHS = {
    "ANSIBLE_LIBRARY": ("library", "plugins/modules"),
    "ANSIBLE_MODULE_UTILS": ("module_utils", "plugins/module_utils"),
    "ANSIBLE_ACTION_PLUGINS": ("action_plugins", "plugins/action"),
    "ANSIBLE_FILTER_PLUGINS": ("filter_plugins", "plugins/filter"),
    "ANSIBLE_ROLES_PATH": ("roles_path", "roles"),
}
# They make ansible-runner's callback drop or misread events (JOB_ID is set by many CI systems and need not be a
# number), wrap a callback of the operator's that may not even load, or colour what goes to the log.
DROPPED = (
    "JOB_ID",
    "AD_HOC_COMMAND_ID",
    "PROJECT_UPDATE_ID",
    "RUNNER_OMIT_EVENTS",
    "RUNNER_ONLY_FAILED_EVENTS",
    "AWX_LIB_DIRECTORY",
    "ORIGINAL_STDOUT_CALLBACK",
    "ANSIBLE_FORCE_COLOR",
)
# ansible-runner's callback empties larger results without a word; facts of a host may have some MB.
LARGEST_RESULT = 64 * 1024 * 1024
DEFAULT_FORKS = 64


@dataclass(frozen=True)
class AnsibleConfiguration:
    """The ansible.cfg in effect; `ours` when the operator has none."""

    path: Path
    ours: bool
    values: Mapping[str, Mapping[str, str]]

    def get(self, name: str, section: str = "defaults") -> str | None:
        return self.values.get(section, {}).get(name)


def find_configuration(environment: Mapping[str, str], directory: Path) -> AnsibleConfiguration:
    """Returns the configuration that Ansible is to use.

    The operator's own comes first, in Ansible's order: $ANSIBLE_CONFIG, ./ansible.cfg (not in a directory that
    everybody may write to, which Ansible refuses), ~/.ansible.cfg. Else it is ours.
    """
    given = environment.get("ANSIBLE_CONFIG", "")
    if given:
        path = Path(given).expanduser()
        path = path / "ansible.cfg" if path.is_dir() else path
        return AnsibleConfiguration(path, False, _read(path))
    here = directory / "ansible.cfg"
    ours = content_directory() / "ansible.cfg"
    if here.is_file() and not directory.stat().st_mode & stat.S_IWOTH:
        return AnsibleConfiguration(here, here.resolve() == ours.resolve(), _read(here))
    home = Path(environment.get("HOME") or Path.home()) / ".ansible.cfg"
    if home.is_file():
        return AnsibleConfiguration(home, False, _read(home))
    return AnsibleConfiguration(ours, True, _read(ours))


def ansible_environment(base: Mapping[str, str] | None = None, directory: Path | None = None) -> dict[str, str]:
    """Returns the variables that Ansible needs, on top of the environment `base`, for a run from `directory`."""
    base = os.environ if base is None else base
    directory = Path.cwd() if directory is None else directory
    configuration = find_configuration(base, directory)
    content = content_directory()
    ours = {"ANSIBLE_CONFIG": str(configuration.path), "ANSIBLE_NOCOLOR": "1", "MAX_EVENT_RES": str(LARGEST_RESULT)}
    for variable, (key, place) in OUR_PATHS.items():
        own = base.get(variable) or _expanded(configuration.get(key), configuration)
        ours[variable] = os.pathsep.join(filter(None, (str(content / place), own)))
    # ansible-runner switches the check off where nobody says anything.
    if "ANSIBLE_HOST_KEY_CHECKING" not in base:
        ours["ANSIBLE_HOST_KEY_CHECKING"] = configuration.get("host_key_checking") or "True"
    if not configuration.ours:
        # What our playbooks gain from, where the operator's own configuration leaves it open.
        pipelining = configuration.get("pipelining", "ssh_connection") or configuration.get("pipelining")
        if "ANSIBLE_PIPELINING" not in base and pipelining is None:
            ours["ANSIBLE_PIPELINING"] = "True"
        if "ANSIBLE_TIMEOUT" not in base and configuration.get("timeout") is None:
            ours["ANSIBLE_TIMEOUT"] = "15"
        ssh_args = _read(content / "ansible.cfg").get("ssh_connection", {}).get("ssh_args")
        if ssh_args and "ANSIBLE_SSH_ARGS" not in base and configuration.get("ssh_args", "ssh_connection") is None:
            ours["ANSIBLE_SSH_ARGS"] = ssh_args
    return ours


def without_prompts(base: Mapping[str, str]) -> dict[str, str]:
    """Returns what keeps ssh from asking anything: nobody would see the question, and the run would hang.

    Not for hosts that are reached with a password, which BatchMode excludes.
    """
    return {"ANSIBLE_SSH_EXTRA_ARGS": f"{base.get('ANSIBLE_SSH_EXTRA_ARGS', '')} -o BatchMode=yes".strip()}


def forks_for(hosts: int, base: Mapping[str, str] | None = None, directory: Path | None = None) -> int:
    """Returns the forks to run with: the operator's number or 64, but one for each host at least, as a start needs."""
    base = os.environ if base is None else base
    configuration = find_configuration(base, Path.cwd() if directory is None else directory)
    told = base.get("ANSIBLE_FORKS") or configuration.get("forks") or ""
    return max(hosts, int(told) if told.isdigit() and int(told) > 0 else DEFAULT_FORKS)


def _expanded(paths: str | None, configuration: AnsibleConfiguration) -> str:
    """Returns the paths of a configuration file as absolute ones: in it they are relative to the file."""
    if not paths:
        return ""
    base = configuration.path.parent
    return os.pathsep.join(
        str(base / Path(os.path.expandvars(path)).expanduser()) for path in paths.split(os.pathsep) if path
    )


def _read(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, strict=False, inline_comment_prefixes=(";",))
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, configparser.Error, UnicodeDecodeError):
        return {}  # Ansible itself will say what is wrong with the file
    return {section: dict(parser.items(section)) for section in parser.sections()}

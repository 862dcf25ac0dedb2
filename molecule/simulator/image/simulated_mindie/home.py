"""The command line, and where config.json is looked for (source 1.1)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

OPTIONS = ("--config-file", "--expert-parallel")


class CommandLineError(Exception):
    """A command line that ends the daemon with -1, that is 255 (source 1.1)."""


def parse_arguments(arguments: Sequence[str]) -> dict[str, str]:
    """Option to value. Raises CommandLineError for anything but the two options, each with a value."""
    found: dict[str, str] = {}
    index = 0
    while index < len(arguments):
        name = arguments[index]
        if name not in OPTIONS:
            raise CommandLineError(f"Unrecognized command-line argument, expect [{', '.join(OPTIONS)}]")
        if index + 1 >= len(arguments):
            raise CommandLineError(f"Missing value for key: {name}")
        found[name] = arguments[index + 1]
        index += 2
    return found


def variable(environ: Mapping[str, str], name: str) -> str:
    """A variable as the daemon reads it: over 256 characters it counts as unset (source 3)."""
    value = environ.get(name, "")
    return value if len(value) <= 256 else ""


def home_directory(environ: Mapping[str, str], binary: Path) -> Path:
    """MindIE's home: a Python package's directory, else the installed one, else the one above the binary's."""
    package = variable(environ, "MINDIE_LLM_HOME_PATH")
    if package and os.path.isfile(os.path.join(package, "__init__.py")):
        return Path(package)
    installed = variable(environ, "MIES_INSTALL_PATH")
    return Path(installed) if installed else binary.parent.parent


def config_path(options: Mapping[str, str], environ: Mapping[str, str], home: Path) -> str:
    """The config.json to load; the first that is named wins and there is no falling back (source 1.1)."""
    return (
        options.get("--config-file") or variable(environ, "MIES_CONFIG_JSON_PATH") or str(home / "conf" / "config.json")
    )

"""Where the Ansible content is: beside the package in a checkout, inside it when installed from a wheel."""

from __future__ import annotations

from pathlib import Path

from mindie_deploy.errors import MindieDeployError

PACKAGE_DIRECTORY = Path(__file__).resolve().parent


def content_directory() -> Path:
    """Returns the directory that holds deploy.yml, playbooks/, roles/, plugins/ and ansible.cfg.

    An installed copy is never written to. Raises MindieDeployError when neither place has it (a broken installation).
    """
    checkout = PACKAGE_DIRECTORY.parent.parent
    for candidate in (PACKAGE_DIRECTORY / "ansible", checkout):
        if (candidate / "playbooks").is_dir() and (candidate / "roles").is_dir():
            return candidate
    raise MindieDeployError(
        f"the playbooks are missing: neither {PACKAGE_DIRECTORY / 'ansible'} nor {checkout} has them",
        "install mindie-deploy again",
    )

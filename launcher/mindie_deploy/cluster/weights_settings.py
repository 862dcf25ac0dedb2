"""Settings: where the weights come from, and how they travel to the hosts."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import field_validator

from mindie_deploy.cluster.paths import host_path
from mindie_deploy.cluster.schema import SettingGroup, match, setting
from mindie_deploy.cluster.web import proxy_address, web_address
from mindie_deploy.cluster.weights_source import FORMS, REVISION, weights_source

HUB_TOKEN = re.compile(r"[!-~]{4,1024}")


class WeightsSettings(SettingGroup):
    """Source and transfer of the weights."""

    TITLE: ClassVar[str] = "Where the weights come from"

    weights_source: str = setting(
        "",
        "Where `sync` copies the weights from; empty: they are already on every host. What is on the web comes into "
        "the cluster once, a part to each host; a directory there must have a SHA256SUMS file.",
        accepts=FORMS,
        example="controller:/data/models/DeepSeek-R1-BF16",
    )
    weights_revision: str = setting(
        "",
        "Which state of a hub's repository: a branch, a tag or a commit. A branch is looked up once, at the beginning "
        'of a sync, and the commit is used from then on. Empty: the hub\'s own default ("main", "master").',
        accepts='"" or up to 200 of letters, digits and . _ / -',
        example="56d4cbbb4d29f4355bab4b9a39ccb717a14ad5ad",
    )
    weights_hub_endpoint: str = setting(
        "",
        "Address of the hub or of a mirror that speaks its API. Empty: the hub's own.",
        accepts='"" or an address such as "https://hf-mirror.com"',
        example="https://hf-mirror.com",
    )
    weights_hub_token: str = setting(
        "",
        "Token for a hub's private repositories; put it into a vault. It is sent to the hub alone, by https, and is in "
        "no log or record.",
        accepts='"" or 4 to 1024 visible ASCII characters',
        example='"{{ vault_hub_token }}"',
        secret=True,
    )
    weights_proxy: str = setting(
        "",
        "Proxy between all machines and the hub or web server, also for https. Empty: none; the environment is not "
        "asked.",
        accepts='"" or "http://host:port"; a login may stand before the host',
        example="http://proxy.example:3128",
        secret=True,
    )
    weights_hub_ca_file: str = setting(
        "",
        "File with further CA certificates (PEM) for the hub, at the same path on the controller and on every host.",
        accepts='"" or an absolute path of letters, digits and _ . / -',
        example="/etc/pki/ca-trust/source/anchors/company.pem",
    )
    weights_hub_hosts: list[str] = setting(
        [],
        "Hosts that may reach the hub or web server; empty: all. Each of them reads a part.",
        accepts="names of hosts as in the inventory",
        example='["atlas-01"]',
    )
    weights_port: int = setting(
        11200,
        "TCP port on every host while weights are copied; it is closed afterwards.",
        ge=1024,
        le=65535,
        why="free on a MindIE host: outside of MindIE's ports (1025 to 1027, 1120, 1121) and of the kernel's random "
        "ones (from 32768)",
    )
    weights_rate_limit: int = setting(
        0,
        "What each host sends at most while weights are copied; 0: no limit. What a host receives is the same on "
        "average.",
        unit="MiB/s",
        ge=0,
        le=1_000_000,
        why="copying already goes after everything else on a host's disk and cores, but not on its network",
    )
    weights_encrypt: bool = setting(
        False,
        "Encrypt what the hosts send one another (TLS, a certificate for each run).",
        why="members prove to one another that they belong to the run, and every file is proven by its sha256, either "
        "way; encryption costs about twice the cores",
    )

    @field_validator("weights_source")
    @classmethod
    def _weights_source(cls, value: str) -> str:
        return weights_source(value)

    @field_validator("weights_revision")
    @classmethod
    def _weights_revision(cls, value: str) -> str:
        if ".." in value:
            raise ValueError('may not hold ".."')
        return value and match(REVISION, value, cls, "weights_revision")

    @field_validator("weights_hub_endpoint")
    @classmethod
    def _weights_hub_endpoint(cls, value: str) -> str:
        return value and web_address(value)

    @field_validator("weights_hub_token")
    @classmethod
    def _weights_hub_token(cls, value: str) -> str:
        return value and match(HUB_TOKEN, value, cls, "weights_hub_token")

    @field_validator("weights_proxy")
    @classmethod
    def _weights_proxy(cls, value: str) -> str:
        return value and proxy_address(value)

    @field_validator("weights_hub_ca_file")
    @classmethod
    def _weights_hub_ca_file(cls, value: str) -> str:
        return value and host_path(value)

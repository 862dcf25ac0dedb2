"""Settings: what is served, from which weights and image, and where."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import field_validator

from mindie_deploy.cluster.paths import host_path, own_directory
from mindie_deploy.cluster.schema import SettingGroup, setting
from mindie_deploy.cluster.web import proxy_address, web_address
from mindie_deploy.cluster.weights_source import FORMS, REVISION, weights_source

DEPLOYMENT = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
MODEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,254}[A-Za-z0-9])?")
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?")
HUB_TOKEN = re.compile(r"[!-~]{4,1024}")
USER = re.compile(r"[0-9]{1,10}:[0-9]{1,10}")


class DeploymentSettings(SettingGroup):
    """The model and where it is."""

    TITLE: ClassVar[str] = "What is served"

    deployment: str = setting(
        "deepseek-r1",
        "Name of this deployment: its directory on the hosts and the beginning of its container's name.",
        accepts="1 to 40 of a-z, 0-9 and -, first and last a letter or digit",
    )
    model_name: str = setting(
        "DeepSeek-R1",
        "Name of the model in the API: what clients send as `model`.",
        accepts="1 to 256 of letters, digits, _ . and -, first and last a letter or digit (MindIE's rule)",
    )
    model_path: str = setting(
        "/data/models/DeepSeek-R1-BF16",
        "Directory of the weights, the same path on every host.",
        why="NPUs of the A2 generation have no FP8: the BF16 copy is needed, about 1.37 TB",
        accepts="an absolute path of letters, digits and _ . / - (MindIE refuses others)",
    )
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
    weights_port: int = setting(
        11200,
        "TCP port on the source host while weights are copied; it is closed afterwards.",
        ge=1024,
        le=65535,
        why="free on a MindIE host: outside of MindIE's ports (1025 to 1027, 1120, 1121) and of the kernel's random "
        "ones (from 32768)",
    )

    @field_validator("deployment")
    @classmethod
    def _deployment(cls, value: str) -> str:
        return _match(DEPLOYMENT, value, cls, "deployment")

    @field_validator("model_name")
    @classmethod
    def _model_name(cls, value: str) -> str:
        return _match(MODEL_NAME, value, cls, "model_name")

    @field_validator("model_path")
    @classmethod
    def _model_path(cls, value: str) -> str:
        return own_directory(value)

    @field_validator("weights_source")
    @classmethod
    def _weights_source(cls, value: str) -> str:
        return weights_source(value)

    @field_validator("weights_revision")
    @classmethod
    def _weights_revision(cls, value: str) -> str:
        if ".." in value:
            raise ValueError('may not hold ".."')
        return value and _match(REVISION, value, cls, "weights_revision")

    @field_validator("weights_hub_endpoint")
    @classmethod
    def _weights_hub_endpoint(cls, value: str) -> str:
        return value and web_address(value)

    @field_validator("weights_hub_token")
    @classmethod
    def _weights_hub_token(cls, value: str) -> str:
        return value and _match(HUB_TOKEN, value, cls, "weights_hub_token")

    @field_validator("weights_proxy")
    @classmethod
    def _weights_proxy(cls, value: str) -> str:
        return value and proxy_address(value)

    @field_validator("weights_hub_ca_file")
    @classmethod
    def _weights_hub_ca_file(cls, value: str) -> str:
        return value and host_path(value)


class ImageSettings(SettingGroup):
    """The image and the engine that runs it."""

    TITLE: ClassVar[str] = "Image, engine, and our place on a host"

    image: str = setting(
        "mindie:2.0.RC2-800I-A2-py311-openeuler24.03-lts",
        "Image reference as the engine on the hosts knows it.",
        why="the release that GPUStack's manual names; images named 800I-A2 also serve Atlas 800T A2",
        accepts="an image reference: repository:tag or repository@sha256:digest",
    )
    image_archive: str = setting(
        "",
        "File made by `docker save` on the controller; loaded on hosts that lack the image. Empty: never.",
        accepts='"" or an absolute path on the controller',
        example="/data/images/mindie-2.0.RC2.tar",
    )
    version: str = setting(
        "auto",
        "MindIE version of the image; auto reads it from the image's tag.",
        accepts='"auto" or a version such as "2.0.RC2"',
    )
    engine: Literal["docker", "podman"] = setting("docker", "Container engine on the hosts.")
    state_directory: str = setting(
        "/var/lib/mindie-deploy",
        "Directory on every host for rendered files and the lock; one directory per deployment below it.",
        accepts="an absolute path of letters, digits and _ . / -",
    )
    container_user: str = setting(
        "0:0",
        "User and group that the daemon runs as; the rendered files belong to it, because MindIE refuses files of "
        "another owner.",
        why="root may read weights of any owner and mode; another user (1001 is HwHiAiUser) must own them",
        accepts='numbers, "uid:gid"',
    )

    @field_validator("image")
    @classmethod
    def _image(cls, value: str) -> str:
        return _match(IMAGE, value, cls, "image")

    @field_validator("image_archive")
    @classmethod
    def _image_archive(cls, value: str) -> str:
        if value and (not value.startswith("/") or not value.isprintable()):
            raise ValueError("must be empty or an absolute path on the controller")
        return value

    @field_validator("state_directory")
    @classmethod
    def _state_directory(cls, value: str) -> str:
        return own_directory(value)

    @field_validator("container_user")
    @classmethod
    def _container_user(cls, value: str) -> str:
        return _match(USER, value, cls, "container_user")


def _match(pattern: re.Pattern[str], value: str, group: type[SettingGroup], name: str) -> str:
    """Returns value if it fits; raises ValueError with the words of the setting's `accepts`."""
    if not pattern.fullmatch(value):
        extra = group.model_fields[name].json_schema_extra
        raise ValueError(f"must be {extra['accepts'] if isinstance(extra, dict) else pattern.pattern}")
    return value

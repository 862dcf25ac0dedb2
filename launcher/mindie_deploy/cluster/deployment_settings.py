"""Settings: what is served, from which weights and image, and where."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import field_validator

from mindie_deploy.cluster.image_archive import FORMS, image_archive
from mindie_deploy.cluster.paths import own_directory
from mindie_deploy.cluster.schema import SettingGroup, match, setting

DEPLOYMENT = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
MODEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,254}[A-Za-z0-9])?")
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?")
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

    @field_validator("deployment")
    @classmethod
    def _deployment(cls, value: str) -> str:
        return match(DEPLOYMENT, value, cls, "deployment")

    @field_validator("model_name")
    @classmethod
    def _model_name(cls, value: str) -> str:
        return match(MODEL_NAME, value, cls, "model_name")

    @field_validator("model_path")
    @classmethod
    def _model_path(cls, value: str) -> str:
        return own_directory(value)


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
        "File made by `docker save`; it is brought to the hosts that lack the image, and loaded there. Empty: never.",
        accepts=FORMS,
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
        return match(IMAGE, value, cls, "image")

    @field_validator("image_archive")
    @classmethod
    def _image_archive(cls, value: str) -> str:
        return image_archive(value)

    @field_validator("state_directory")
    @classmethod
    def _state_directory(cls, value: str) -> str:
        return own_directory(value)

    @field_validator("container_user")
    @classmethod
    def _container_user(cls, value: str) -> str:
        return match(USER, value, cls, "container_user")

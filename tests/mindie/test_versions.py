"""Which release is rendered for."""

from __future__ import annotations

import pytest

from mindie_deploy.errors import UsageError
from mindie_deploy.mindie.versions import VERSIONS, choose_version, known_versions, model_types, version_in_tag


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("mindie:2.0.RC2-800I-A2-py311-openeuler24.03-lts", "2.0.RC2"),
        ("registry.example:5000/ascendhub/mindie:2.0.T3-800I-A2-py311-openeuler24.03-lts-aarch64", "2.0.T3"),
        ("mindie:dev-2.0.RC1.B091-800I-A2-py311-ubuntu22.04-aarch64", "2.0.RC1"),
        ("mindie:2.2.RC1-800I-A2-aarch64", "2.2.RC1"),
        ("mindie:2.3.0-800I-A2-py311-openeuler24.03-lts", "2.3.0"),
        ("mindie-llm:3.0.0-800I-A2-py3.11-ubuntu24.04-aarch64", "3.0.0"),
        ("mindie:latest", None),
        ("mindie", None),
        ("registry.example:5000/mindie", None),
        ("mindie@sha256:" + "0" * 64, None),
    ],
)
def test_the_tag_tells_the_version(image: str, version: str | None) -> None:
    assert version_in_tag(image) == version
    if version:
        choice = choose_version("auto", image)
        assert (choice.version.name, choice.warning) == (version, "")


@pytest.mark.parametrize(
    ("setting", "image", "said"),
    [
        ("auto", "mindie:latest", "does not tell the MindIE version"),
        ("2", "mindie:latest", "is not a version"),
        ("2.0.RC1", "mindie:2.0.RC2-800I-A2", "says 2.0.RC2"),
        ("auto", "mindie:2.0.RC2-800I-A3-py311", "is for 800I-A3"),
        ("auto", "mindie:2.0.RC2-300I-Duo-py311", "is for 300I-Duo"),
        ("auto", "mindie:1.0.0-800I-A2-py311", "too old"),
    ],
)
def test_what_cannot_be_right_is_refused(setting: str, image: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_version(setting, image)
    assert said in caught.value.message
    assert caught.value.remedy


def test_an_unknown_release_gets_the_nearest_older_one_with_a_warning() -> None:
    choice = choose_version("auto", "mindie:2.2.RC3-800I-A2")
    assert choice.version.name == "2.2.RC1"
    assert "2.2.RC3 is not known" in choice.warning
    assert choose_version("4.0.0", "mindie:site-7").version.name == "3.0.0"


def test_releases_are_in_order_and_name_their_source() -> None:
    assert [version.order for version in VERSIONS] == sorted(version.order for version in VERSIONS)
    assert known_versions()[0] == "2.0.T3"
    assert all(version.source and version.rank_table_variables for version in VERSIONS)


@pytest.mark.parametrize(
    ("image", "types"),
    [
        ("mindie:2.0.T3-800I-A2", {"deepseekv2"}),
        ("mindie:2.0.RC2-800I-A2", {"deepseekv2", "deepseek_v3"}),
        ("mindie:2.9.RC1-800I-A2", set()),  # rendered as for an older one, about which nothing is known
        ("mindie:latest", set()),
    ],
)
def test_the_types_of_models_that_a_release_takes(image: str, types: set[str]) -> None:
    assert model_types("auto", image) == types

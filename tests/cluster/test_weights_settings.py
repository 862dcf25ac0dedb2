"""Settings about where weights come from: their forms, and that the secret ones are shown nowhere."""

from __future__ import annotations

import pytest

from mindie_deploy.cluster.problems import SettingsError
from mindie_deploy.cluster.secret_names import is_secret_name
from mindie_deploy.cluster.settings import Settings, with_secrets
from mindie_deploy.runs.redaction import secrets_of

TOKEN = "hf_do-not-show"


def wrong(**variables: object) -> str:
    """Returns what is said of settings that are refused."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_variables({f"mindie_weights_{name}": value for name, value in variables.items()})
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("source", "huggingface:deepseek-ai/DeepSeek-R1", "huggingface:deepseek-ai/DeepSeek-R1"),
        ("source", "modelscope:deepseek-ai/DeepSeek-R1", "modelscope:deepseek-ai/DeepSeek-R1"),
        ("source", "https://mirror.example/r1", "https://mirror.example/r1/"),
        ("source", "http://[fd00::1]:8080/r1/", "http://[fd00::1]:8080/r1/"),
        ("source", "controller:/data/r1/", "controller:/data/r1"),
        ("revision", "refs/pr/1", "refs/pr/1"),
        ("hub_endpoint", "https://hf-mirror.com/", "https://hf-mirror.com"),
        ("hub_endpoint", "https://nexus.example:8443/repository/hf", "https://nexus.example:8443/repository/hf"),
        ("hub_token", TOKEN, TOKEN),
        ("proxy", "http://me:p%40w@proxy.example:3128/", "http://me:p%40w@proxy.example:3128"),
        ("hub_ca_file", "/etc/pki/company.pem", "/etc/pki/company.pem"),
    ],
)
def test_what_is_accepted(name: str, value: str, read: str) -> None:
    assert getattr(Settings.from_variables({f"mindie_weights_{name}": value}), f"weights_{name}") == read


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("source", "huggingface:model", "OWNER/NAME"),
        ("source", "huggingface:a/b/c", "OWNER/NAME"),
        ("source", "huggingface:../b", "OWNER/NAME"),
        ("source", "huggingface:a/b..c", "OWNER/NAME"),
        ("source", "https://me:secret@mirror.example/r1", "login"),
        ("source", "https://mirror.example/r1?x=1", "? or #"),
        ("source", "https://mirror.example/../r1", "may only hold"),
        ("source", "https://", "host"),
        ("source", "https://mirror.example:99999/r1", "port"),
        ("source", "ftp://mirror.example/r1", "OWNER/NAME"),
        ("revision", "../main", ".."),
        ("revision", "a b", "letters"),
        ("hub_endpoint", "hf-mirror.com", "https://"),
        ("hub_endpoint", "https://a b", "host"),
        ("hub_token", "a b c d", "visible"),
        ("hub_token", 12345678, "visible"),
        ("proxy", "proxy:3128", "http://host:port"),
        ("proxy", "https://proxy:3128", "http://host:port"),
        ("proxy", "http://proxy", "port"),
        ("proxy", "http://me:p@w@proxy:1", "%40"),
        ("proxy", "http://proxy:1/x", "no path"),
        ("hub_ca_file", "ca.pem", "absolute"),
    ],
)
def test_what_is_refused(name: str, value: object, said: str) -> None:
    assert said in wrong(**{name: value})


def test_a_token_is_not_sent_in_plain_text() -> None:
    assert "plain text" in wrong(hub_token=TOKEN, hub_endpoint="http://hub.example")
    assert "plain text" in wrong(hub_token=TOKEN, source="http://hub.example/r1/")
    for endpoint in ("https://hub.example", "http://127.0.0.1:80", "http://localhost:80", "http://[::1]:80"):
        Settings.from_variables({"mindie_weights_hub_token": TOKEN, "mindie_weights_hub_endpoint": endpoint})


def test_a_directory_has_no_revisions() -> None:
    assert "no revision" not in wrong(source="https://mirror.example/r1/", revision="main")
    assert "weights_revision" in wrong(source="https://mirror.example/r1/", revision="main")


def test_secrets_are_in_no_dump_and_no_message() -> None:
    proxy = "http://me:hidden@proxy.example:3128"
    settings = Settings.from_variables({"mindie_weights_hub_token": TOKEN, "mindie_weights_proxy": proxy})
    for text in (repr(settings), str(settings.model_dump()), str(settings.to_variables())):
        assert TOKEN not in text
        assert "hidden" not in text
    assert TOKEN not in wrong(hub_token=TOKEN + " x")
    assert TOKEN not in wrong(hub_token=[TOKEN])
    assert TOKEN not in wrong(hub_token=TOKEN, hub_endpoint="http://hub.example")
    assert "hidden" not in wrong(proxy="http://me:hidden@proxy.example")
    with pytest.raises(SettingsError) as caught:
        Settings.from_host_variables({"a": {"mindie_weights_hub_token": TOKEN}, "b": {}})
    assert TOKEN not in str(caught.value)
    assert "must be the same on all hosts" in str(caught.value)


def test_who_needs_them_takes_them_from_the_variables() -> None:
    variables = {"mindie_weights_hub_token": TOKEN, "mindie_port": 1025, "ansible_host": "192.0.2.1"}
    dumped = Settings.from_variables(variables).model_dump(mode="json")
    assert with_secrets(dumped, variables) == {**dumped, "weights_hub_token": TOKEN, "weights_proxy": ""}
    assert with_secrets(dumped, {})["weights_hub_token"] == ""
    with pytest.raises(SettingsError) as caught:
        with_secrets(dumped, {"mindie_weights_hub_token": TOKEN + " x"})
    assert TOKEN not in str(caught.value)


def test_runs_hide_them() -> None:
    assert is_secret_name("mindie_weights_hub_token")
    variables = {"mindie_weights_hub_token": TOKEN, "mindie_weights_proxy": "http://me:hidden@proxy.example:3128"}
    assert list(secrets_of(variables)) == [TOKEN, "me:hidden"]
    assert list(secrets_of({"mindie_weights_proxy": "http://proxy.example:3128"})) == []

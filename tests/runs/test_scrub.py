"""What looks like a secret is taken out of any text, in JSON and outside of it; what is ordinary stays."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from mindie_deploy.cluster.secret_names import is_secret_name, kind_of
from mindie_deploy.runs.redaction import HIDDEN, Redactor
from mindie_deploy.runs.scrub import scrub
from mindie_deploy.runs.scrub_json import scrub_document, scrub_json

HF = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz12345678"
SK = "sk-proj-abcdEFGH1234ijklMNOP"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nMIIabc+geheim/=\nzweite\n-----END OPENSSH PRIVATE KEY-----"

SECRETS = [
    ("MIES_TOKEN=abcdefgh", "abcdefgh"),
    ("MODEL_ACCESS_KEY=abcdefgh", "abcdefgh"),
    ("mindie_llm_server --token geheimes --port 1025", "geheimes"),
    ("--password geheimes", "geheimes"),
    ("--api-key=geheimes", "geheimes"),
    ("db.password: geheim", "geheim"),
    ("password = 'zwei worte'", "worte"),
    ('password="a\\"geheim"', "geheim"),
    ('password="never closed geheim', "geheim"),
    ("password=',geheim'", "geheim"),
    ("ssh_pass=geheim1", "geheim1"),
    ("redis_pwd=geheim1", "geheim1"),
    ("密码：geheim", "geheim"),
    ('the request {"token":"geheim12","n":1} failed', "geheim12"),
    (r"the request {\"token\":\"geheim12\",\"n\":1} failed", "geheim12"),
    (r'"body": "{\"db.password\": \"geheim\"}"', "geheim"),
    ('"secrets": ["geheim", "anderes"]', "anderes"),
    ('{"auths": {"registry": {"auth": "dXNlcjpwYXNz"}}', "dXNlcjpwYXNz"),
    ("Authorization: Bearer abcdefgh", "abcdefgh"),
    ("authorization: Token geheim", "geheim"),
    ("curl -H 'Authorization: Basic dXNlcjpwYXNz' http://x/", "dXNlcjpwYXNz"),
    ("sent Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("sent bearer eyabc1234567890", "eyabc1234567890"),
    (f"loading with {HF}.", HF),
    (f"key is {SK}", SK),
    ("http://user:geheim@proxy:3128/", "geheim"),
    ("http://user:ge@heim@proxy:3128/", "heim"),
    ("http://user:pa/ss@proxy:3128/", "ss@"),
    (r"http:\/\/user:geheim@proxy:3128", "geheim"),
    ("https://geheimertoken@github.com/x", "geheimertoken"),
    ("HTTP_PROXY=user:geheim@proxy", "geheim"),
    ("https_proxy=user:ge@heim@proxy:3128", "heim"),
    ('"httpsProxy": "user:ge/heim@proxy:3128"', "heim"),
    ("connecting by user:ge@heim@proxy:3128", "heim"),
    (KEY, "geheim"),
    (KEY.replace("\n", "\\n"), "geheim"),
    (f"{KEY[:60]}", "geheim"),
]
ORDINARY = [
    "max_position_embeddings: 163840",
    '"tokens": 4096',
    "max_tokens: 4096",
    "token 5 of 7",
    "generated token: 512",
    "time per token: 45.1ms",
    "token: 0.213s",
    "tokenizer.json=640",
    "tokenizer: /data/models/R1/tokenizer.json",
    "--max-prefill-tokens 8192 --token-timeout 600",
    "eos_token_id: 1",
    'bos_token="<s>"',
    "eos_token: end_of_turn",
    "sha256:" + "a1" * 32,
    "registry.example:5000/mindie@sha256:" + "12" * 32,
    "5d41402abc4b2a76b9719d911017c592  model-00001-of-000163.safetensors",
    '{"x_password": null, "secret": true, "token": ""}',
    "password: null",
    "password_file: /etc/mindie/password",
    "Basic Information of the board",
    "Bearer authentication is off",
    "hf_quant_config.json hf_transfer hf_model_path",
    "sk-learn is missing; sk-SK; task-12345678",
    "git@example.org:group/project.git",
    "ssh://root@10.0.0.11",
    "http://10.0.0.11:1025/v1/models",
    "PWD=/root",
    '"tlsPkPwd": "security/pass/key_pwd.txt"',
    "passed: 12, key: value, bypass: on",
    "2: eth0@if5: <BROADCAST> mtu 1500",
    "npu.ecc 10.0.0.1:1025 fe80::1%eth0",
    "monkey=banana",
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_go_from_text(text: str, secret: str) -> None:
    assert secret in text or text == KEY[:60]
    found = scrub(f"before\n{text}\nafter")
    assert secret not in found
    assert found.startswith("before\n")
    assert scrub(found) == found


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_go_from_json_which_stays_json(text: str, secret: str) -> None:
    document = {"n": 1, "stdout": text, "env": [text], "inner": json.dumps({"lines": [text], "n": None})}
    found = scrub_json(json.dumps(document))
    told = json.loads(found)
    assert secret not in found
    assert told["n"] == 1 and json.loads(told["inner"])["n"] is None
    assert scrub_json(found) == found


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_values_stay(text: str) -> None:
    assert scrub(text) == text
    document = json.dumps({"stdout": text, "inner": json.dumps([text])})
    assert scrub_json(document) == document


@pytest.mark.parametrize(
    "document",
    [
        {"x_password": None, "password": True, "secret": "", "token": "null", "retries_of_password": 3},
        {"max_position_embeddings": 163840, "tokens": 4096, "vocab_size": 129280, "bos_token_id": 0, "token": 4096},
        {"bos_token": {"__type": "AddedToken", "content": "<|begin|>", "lstrip": False}, "tokenizer_class": "Llama"},
        {"tokenizer_config": {"pad_token": "end_of_sentence", "unk_token": "[UNK]", "token": "<s>"}},
        {"digest": "sha256:" + "ab" * 32, "auth": "disabled", "no_proxy": "localhost,10.0.0.0/24"},
    ],
)
def test_ordinary_documents_stay(document: dict[str, Any]) -> None:
    assert scrub_document(document) == document
    text = json.dumps(document, indent=4)
    assert scrub_json(text) == text


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({"password": "x"}, {"password": HIDDEN}),
        ({"password": 12345678}, {"password": HIDDEN}),
        ({"secret": {"of": ["x", {"it": "y"}]}}, {"secret": {"of": [HIDDEN, {"it": HIDDEN}]}}),
        ({"token": HF}, {"token": HIDDEN}),
        ({"token": "p@ss!wort"}, {"token": HIDDEN}),
        ({"auths": {"r": {"auth": "c2VjcmV0"}}}, {"auths": {"r": {"auth": HIDDEN}}}),
        ({"env": [{"name": "MIES_TOKEN", "value": "abcd"}]}, {"env": [{"name": "MIES_TOKEN", "value": HIDDEN}]}),
        (["serve", "--token", "abcdefgh", "x"], ["serve", "--token", HIDDEN, "x"]),
        ({"httpProxy": 'http://u:a"b@c@proxy:1'}, {"httpProxy": f"http://{HIDDEN}@proxy:1"}),
        ({"HTTPS_PROXY": "u:a/b@proxy"}, {"HTTPS_PROXY": f"{HIDDEN}@proxy"}),
    ],
)
def test_values_go_by_their_names(document: object, wanted: object) -> None:
    assert scrub_document(document) == wanted


def test_an_image_with_a_secret_leaves_its_json_whole() -> None:
    """The end of the value is the end of a JSON text, whose quote belongs to the document around it."""
    image = json.dumps([{"Id": "sha256:" + "b" * 64, "Config": {"Env": ["A=1", "MODEL_ACCESS_KEY=abcdefgh"]}}])
    found = json.loads(scrub_json(json.dumps({"stdout": image + "\n", "x_password": None})))
    assert json.loads(found["stdout"])[0]["Config"]["Env"] == ["A=1", f"MODEL_ACCESS_KEY={HIDDEN}"]
    assert found["stdout"].endswith("\n") and found["x_password"] is None


def test_lines_of_json_among_others_are_scrubbed_as_json() -> None:
    text = 'first\n{"Labels": {"password": "a b"}}\n{broken\nlast token=abcdefgh\n'
    assert scrub_json(text) == f'first\n{{"Labels": {{"password": "{HIDDEN}"}}}}\n{{broken\nlast token={HIDDEN}\n'


def test_a_key_that_stands_twice_hides_nothing() -> None:
    assert "abcdefgh" not in scrub_json('{"x": "MIES_TOKEN=abcdefgh", "x": "y"}')


def test_what_is_no_json_or_too_deep_is_scrubbed_as_text() -> None:
    for text in ('{"password": "geheim"', "[" * 100_000 + "password=geheim", '{"a": "\\ud800", "password": "geheim"}'):
        found = scrub_json(text)
        assert "geheim" not in found
        assert found.encode()


def test_known_secrets_leave_json_whole() -> None:
    redact = Redactor(['": "', "12345", 'a"b\\c'])
    document = {"one": "two", "number": 1234567, "x": 'a"b\\c', "y": "12345"}
    wanted = {**document, "x": HIDDEN, "y": HIDDEN}
    assert json.loads(scrub_json(json.dumps(document), redact)) == wanted
    assert json.loads(redact.json(json.dumps(document))) == wanted


@pytest.mark.parametrize(
    "text",
    ["token" * 200_000, "password=" * 100_000, "a:" * 200_000, "://@" * 100_000, '"' * 500_000, "token='x " * 100_000,
     "-----BEGIN PRIVATE KEY" * 40_000, "x_" * 300_000 + "token", "hf_" * 200_000, "\\" * 500_000,
     "user:" + "@" * 300_000, "a:" * 200_000 + "@"],
)  # fmt: skip
def test_hostile_text_takes_no_long_time(text: str) -> None:
    started = time.process_time()
    scrub_json(json.dumps([text]))
    scrub(text)
    assert time.process_time() - started < 8


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ansible_ssh_pass", "token"), ("HF_TOKEN_2", "token"), ("hfToken", "token"), ("authtoken", "token"),
        ("SSHPASS", "token"), ("MYSQL_PWD", "token"), ("SSH_ASKPASS", None), ("first_pass", None),
        ("HFToken", "token"), ("db.password", "secret"), ("secretKey", "secret"), ("accessKeyId", "secret"),
        ("X-Api-Key", "secret"), ("api_keys", "secret"), ("auth", "auth"), ("noProxy", "proxy"),
        ("tokens", None), ("bos_token", None), ("eostoken", None), ("tokenizer", None), ("password_file", None),
        ("max_position_embeddings", None), ("key", None), ("", None), ("12", None), ("x" * 1000 + "password", None),
    ],
)  # fmt: skip
def test_names(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind
    assert is_secret_name(name) == (kind in ("secret", "token"))


def test_settings_that_count_tokens_and_the_working_directory_are_no_secrets() -> None:
    assert not is_secret_name("mindie_max_input_token")
    assert not is_secret_name("OLDPWD")

"""Which names say that a value is a secret: of variables, of keys in configurations, of options on command lines.

MindIE's world is full of tokens that are none: numbers of tokens, and the tokenizer's special ones (bos_token).
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import Literal

# "secret": whatever the value is. "token": a value that could be a token, not a number or a word like <s>. "auth": a
# login as container engines keep it, in base64. "proxy": an address that may have a login before its last @.
Kind = Literal["secret", "token", "auth", "proxy"]

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
SECRET_PART = re.compile(r"password|passwd|passphrase|passcode|secret|credential|apikey|accesskey|privatekey|authkey")
SECRET_WORDS = frozenset({"authorization", "cookie", "vaultpass"})
CHINESE = ("密码", "口令", "令牌", "密钥")
SECRET_KEYS = frozenset({"api", "access", "auth", "private", "encryption", "signing", "session"})  # before "key"
# What a name ends with that tells about a secret, and is none.
ABOUT = frozenset((
    "file", "files", "path", "paths", "dir", "directory", "timeout", "policy", "count", "length", "len", "enabled",
    "expired", "expiry", "expires", "name", "names", "min", "max", "size", "type", "helper",
))  # fmt: skip
# "token" after one of these is a piece of text, or stands in a measure.
ORDINARY = frozenset((
    "bos", "eos", "pad", "unk", "cls", "sep", "mask", "sop", "eop", "boi", "eoi", "image", "video", "audio", "vision",
    "think", "tool", "call", "special", "added", "fim", "draft", "spec", "per", "next", "first", "last", "max", "min",
    "num", "one", "each", "every", "single", "stop", "start", "end", "begin", "prefix", "suffix", "middle", "decode",
    "prefill", "output", "input", "generated", "new", "prev", "multi", "current", "total",
))  # fmt: skip
WORDS_OF_THEIR_OWN = frozenset({"bypass", "askpass", "compass", "surpass", "lowpass", "highpass"})
WORKING_DIRECTORY = ("PWD", "OLDPWD")
LONGEST = 200  # characters; a longer run of letters is no name


@lru_cache(maxsize=4096)
def kind_of(name: str) -> Kind | None:
    """Tells what a value of this name is, None for nothing secret. Any text will do: --hf-token, db.password."""
    if len(name) > LONGEST:
        return None
    if any(word in name for word in CHINESE):
        return "secret"
    words = [word.lower() for word in WORD.findall(name)]
    while words and words[-1].isdigit():
        words.pop()  # HF_TOKEN_2
    if not words or words[-1] in ABOUT:
        return None
    if SECRET_PART.search("".join(words)) or SECRET_WORDS & set(words):
        return "secret"
    if any(word in SECRET_KEYS and after in ("key", "keys") for word, after in itertools.pairwise(words)):
        return "secret"
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "auth":
        return "auth"
    if "proxy" in words or last.endswith("proxy"):
        return "proxy"
    for ending in ("token", "pass", "pwd", "sk"):
        if last == ending:
            return None if before in ORDINARY else "token"
        if ending != "sk" and last.endswith(ending):  # SSHPASS, authtoken
            return None if last in WORDS_OF_THEIR_OWN or last.removesuffix(ending) in ORDINARY else "token"
    return None


def is_secret_name(name: str) -> bool:
    """Tells whether a variable of this name, of Ansible or of the environment, holds a secret."""
    words = [word.lower() for word in WORD.findall(name)]
    if name in WORKING_DIRECTORY or (words[:1] == ["mindie"] and "token" in words and "hub" not in words):
        return False  # the latter are settings that count tokens
    return kind_of(name) in ("secret", "token")

"""Takes what looks like a secret out of text that others wrote: logs, configurations, what hosts printed.

It hides rather too much than too little. What counts on it is the text of a bundle, which leaves the house.
"""

from __future__ import annotations

import base64
import re

from mindie_deploy.cluster.secret_names import LONGEST, Kind, kind_of
from mindie_deploy.runs.redaction import HIDDEN

PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|\Z)",
    re.DOTALL,
)
BEARER = re.compile(r"(?i)\b(bearer[ \t]+)(?=[a-z._~+/-]*[0-9=]|[A-Za-z._~+/-]{20})[A-Za-z0-9._~+/=-]{8,}")
BASIC = re.compile(r"(?i)\b(basic[ \t]+)([A-Za-z0-9+/]{6,}={0,2})")
# Tokens that their beginnings give away: Hugging Face, OpenAI, GitHub, GitLab, Amazon, JSON Web Tokens.
WELL_KNOWN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:hf_(?=[A-Za-z]*[0-9]|[A-Za-z]{16})[A-Za-z0-9]{10,}(?![A-Za-z0-9_])"
    r"|sk-(?=[A-Za-z_-]*[0-9]|[A-Za-z_-]{20})[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}"
    r"|glpat-[\w-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)"
)
# A login in an address: up to the last @, since a password may hold any character. As JSON the slashes may be escaped.
SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,20}:(?:\\*/){2}"
LOGIN = re.compile(rf"({SCHEME})([^\s\"'<>]{{1,2000}})@")
USER_ALONE = re.compile(r"(?!https?:)(?i:[a-z+.-]+):\S+?([a-z_][a-z0-9_-]{0,31})@")
# Without a scheme: user:password@host:port, and not registry:5000/image@sha256:...
BARE_LOGIN = re.compile(
    r"(?<![\w@/.%+-])[\w.%+-]{1,64}:(?!\\*/\\*/)[^\s\"'<>]{1,256}@(?=(?!sha[0-9]{3}:)[\w.-]{1,253}:[0-9]{1,5}\b)"
)

# Names of secrets have one of these in them; secret_names decides.
HINT = re.compile(r"(?i)pass|pwd|secret|credential|token|key|auth|cookie|proxy|sk|密码|口令|令牌|密钥")
NAME_BEFORE = re.compile(r"[\w.-]*")
NAMED = re.compile(
    rf"(?P<name>[\w.-]{{1,{LONGEST}}}+)(?P<between>\\*+[\"']?[ \t]*+(?::=|=>|[=:：])[ \t]*+|[ \t]++)",
)
NO_VALUE = r"(?:null|none|nil|true|false|undefined|\*{8})"
NOTHING = re.compile(
    rf"(?i)(?P<quote>\\*+[\"'])?+(?:{NO_VALUE}?(?=(?P=quote))|{NO_VALUE}(?=[\s,;}}\])\"']|\Z)|(?=\s|\Z))"
)
QUOTED = re.compile(r"(?P<quote>\\*+[\"'])(?P<value>[^\n]*?)(?=(?<!\\)(?P=quote)|\n|\Z)")
UNQUOTED = re.compile(r"(?P<value>(?:[^\s\"'\\]|\\(?![\"']))+)")
BRACKETED = re.compile(r"(?P<value>[\[{][^\]}\n]*)")
LINE = re.compile(r"\\*[\"']?(?P<value>[^\n\"']+)")
TOKEN = re.compile(r"\\*[\"']?(?P<value>[\w.~!#%&*+=?@^-][\w.~!#%&*+=?@^/:-]{3,4096}+)", re.ASCII)
AUTH = re.compile(r"\\*[\"']?(?P<value>(?=[a-z]*[A-Z0-9+/=])[A-Za-z0-9+/]{6,4096}+={0,2})(?=[\"'\\\s,}]|\Z)")
PROXY = re.compile(rf"\\*[\"']?(?:{SCHEME})?(?P<value>[^\s\"'<>]{{1,2000}})(?=@)")
MEASURE = re.compile(r"[0-9.,:/+-]+(?:[mun]?s|%|[kKMG]?i?B?|tok)?(?:/[a-z]{1,6})?")
FILE = re.compile(r"(?:[\w.-]+/)+[\w.-]+\.[a-z]{2,4}")  # as in MindIE's "tlsPkPwd": "security/pass/key_pwd.txt"


def scrub(text: str) -> str:
    """Returns text without private keys, logins in addresses, well-known tokens, and values with secret names."""
    text = PRIVATE_KEY.sub(HIDDEN, text)
    if "@" in text:
        text = LOGIN.sub(_login, text)
        text = BARE_LOGIN.sub(f"{HIDDEN}@", text)
    text = BEARER.sub(rf"\1{HIDDEN}", text)
    text = BASIC.sub(_basic, text)
    text = WELL_KNOWN.sub(HIDDEN, text)
    return _named(text)


def scrub_value(name: str, value: str) -> str:
    """Returns a value that is known to belong to a name, whole: hidden, or without what looks like a secret in it."""
    kind = kind_of(name)
    if kind == "secret":
        return value if NOTHING.fullmatch(value) else HIDDEN
    if kind in ("token", "auth") and (found := _value(value, 0, name, kind)) and found == (0, len(value)):
        return HIDDEN
    if kind == "proxy" and "@" in value:
        scheme = re.match(SCHEME, value)
        return f"{scheme[0] if scheme else ''}{HIDDEN}{value[value.rindex('@') :]}"
    return scrub(value)


def _login(match: re.Match[str]) -> str:
    """Hides what stands before the @ of an address; the name of a user alone, as in ssh://root@host, is no secret."""
    return match[0] if USER_ALONE.fullmatch(match[0]) else f"{match[1]}{HIDDEN}@"


def _basic(match: re.Match[str]) -> str:
    """Hides a login of HTTP, which is user:password in base64; "basic information" is none."""
    try:
        login = b":" in base64.b64decode(match[2], validate=True)
    except ValueError:
        login = False
    return f"{match[1]}{HIDDEN}" if login else match[0]


def _named(text: str) -> str:
    """Hides values that stand behind the name of a secret: NAME=value, "name": "value", --name value."""
    parts: list[str] = []
    done = 0
    for hint in HINT.finditer(text):
        if hint.start() < done:
            continue
        before = NAME_BEFORE.match(text[max(done, hint.start() - LONGEST) : hint.start()][::-1])
        found = NAMED.match(text, hint.start() - (before.end() if before else 0))
        if found is None or (found["between"].isspace() and not found["name"].startswith("--")):
            continue
        kind = kind_of(found["name"])
        place = _value(text, found.end(), found["name"], kind) if kind else None
        if place is not None:
            parts += [text[done : place[0]], HIDDEN]
            done = place[1]
    return "".join([*parts, text[done:]]) if parts else text


def _value(text: str, start: int, name: str, kind: Kind) -> tuple[int, int] | None:
    """Returns where the value is that is to be hidden, None where there is none."""
    if NOTHING.match(text, start):
        return None
    if kind == "secret":
        whole_line = name.lower().endswith(("authorization", "cookie"))
        found = None
        for form in (LINE,) if whole_line else (QUOTED, BRACKETED, UNQUOTED):
            found = found or form.match(text, start)
    else:
        found = {"token": TOKEN, "auth": AUTH, "proxy": PROXY}[kind].match(text, start)
    if found is None or not found["value"]:
        return None
    if kind == "token" and (MEASURE.fullmatch(found["value"]) or FILE.fullmatch(found["value"])):
        return None
    if kind == "token" and text[found.end() : found.end() + 1] in ("(", "|"):
        return None  # a function's name, a piece of text
    if kind == "secret" and name.startswith("--") and found["value"].startswith("--"):
        return None  # the next option
    return found.span("value")

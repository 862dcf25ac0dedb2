"""Ten thousand mutations of the samples for every parser: nothing raises, and what was destroyed is never a new value.

The mutations are drawn from a fixed seed, so a failure comes again. hypothesis looks for the odd cases beside this
(test_hostile_text.py); here it is the number that counts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from mindie_deploy.hosts.answer import Answer, FileText, finished_lines
from mindie_deploy.hosts.facts import Unknown
from tests.hosts.test_hostile_text import FILES, PARSERS, texts_of

MUTATIONS = 10_000
SPLINTERS = [
    "\x1b[31m",
    "\x1b[0m",
    "\r\n",
    "\x00",
    "|",
    "| |",
    ":",
    "0",
    "-1",
    "9" * 30,
    "NA",
    "健康",
    "：",
    "２",
    "OK",
    "UP",
]
ABOUT_THE_TEXT = ("warnings", "count")  # of the overview and the routes: what they say is said of the text itself
Call = Callable[[str], Any]


def call_of(name: str) -> tuple[Call, list[str]]:
    """Returns a parser that takes text, and the texts of its samples."""
    if name in FILES:
        read, pattern = FILES[name]
        return lambda text: read(FileText("/a/file", text)), texts_of(pattern)
    parser, pattern, arguments = PARSERS[name]
    return lambda text: parser(Answer(0, finished_lines(text)), *arguments), texts_of(pattern)


def mutated(chance: random.Random, texts: list[str]) -> str:
    """A sample with something cut, doubled, replaced, changed in one letter, or with lines of another one put in."""
    text = chance.choice(texts)
    for _ in range(chance.randint(1, 3)):
        start = chance.randint(0, len(text))
        end = min(len(text), start + chance.randint(0, 60))
        action = chance.randrange(7)
        if action == 0:
            text = text[:start] + text[end:]
        elif action == 1:
            text = text[:start]
        elif action == 2:
            text = text[:end] + text[start:]
        elif action == 3:
            text = text[:start] + chance.choice(SPLINTERS) + text[chance.choice((start, end)) :]
        elif action == 4:
            text = text[:start] + chr(chance.randint(1, 255)) + text[start + 1 :]
        elif action == 5:
            lines, others = text.split("\n"), chance.choice(texts).split("\n")
            lines[chance.randrange(len(lines)) : 0] = others[: chance.randint(1, 4)]
            text = "\n".join(lines)
        else:
            lines = text.split("\n")
            one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            text = "\n".join(lines)
    return text


def destroyed(chance: random.Random, text: str) -> str:
    """A sample of which the end is missing, a line is missing, or which is coloured: no new text in it."""
    action = chance.randrange(3)
    if action == 0:
        return finished_lines(text[: chance.randint(0, len(text))])
    lines = text.split("\n")
    if action == 1:
        at = chance.randrange(len(lines))
        return "\n".join(lines[:at] + lines[at + 1 :])
    return "\n".join(f"\x1b[3{chance.randrange(8)}m{line}\x1b[0m" for line in lines)


def invented(found: Any, whole: Any) -> str | None:
    """Returns what `found` says that `whole` does not, or None. Less is allowed, other is not."""
    if isinstance(found, Unknown) or found is None or found == whole or found in ("", (), {}):
        return None
    if isinstance(whole, Unknown) or type(found) is not type(whole):
        return f"{found!r} instead of {whole!r}"
    if is_dataclass(found) and not isinstance(found, type):
        names = [one.name for one in fields(found) if one.name not in ABOUT_THE_TEXT]
        told = (invented(getattr(found, name), getattr(whole, name)) for name in names)
        return next((text for text in told if text), None)
    if isinstance(found, Mapping):
        told = (invented(value, whole[key]) if key in whole else f"{key!r} is new" for key, value in found.items())
        return next((text for text in told if text), None)
    if isinstance(found, tuple):
        rest = iter(whole)
        lost = [one for one in found if not any(invented(one, other) is None for other in rest)]
        return f"{lost[0]!r} is new" if lost else None
    return f"{found!r} instead of {whole!r}"


@pytest.mark.parametrize("name", [*PARSERS, *FILES])
def test_no_mutation_breaks_a_parser(name: str) -> None:
    parse, texts = call_of(name)
    chance = random.Random(name)
    for _ in range(MUTATIONS):
        found = parse(mutated(chance, texts))
        assert not isinstance(found, Unknown) or found.reason.strip()


@pytest.mark.parametrize("name", [*PARSERS, *FILES])
def test_what_is_missing_is_never_another_value(name: str) -> None:
    parse, texts = call_of(name)
    chance = random.Random(name)
    wholes = {text: whole for text in texts if not isinstance(whole := parse(text), Unknown)}
    for _ in range(MUTATIONS // 5):
        text = chance.choice(list(wholes))
        less = destroyed(chance, text)
        assert invented(parse(less), wholes[text]) is None, less

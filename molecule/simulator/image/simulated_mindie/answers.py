"""What the simulated model says: readable, and the same for the same question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_EAST = r"\u3040-\u30ff\u3400-\u9fff"
_TOKEN = re.compile(rf"\s*(?:[{_EAST}]|[A-Za-z0-9_'-]+|[^\sA-Za-z0-9_'{_EAST}-])|\s+")
_COUNT = re.compile(r"\b(\d{1,4})\b")
WORDS = ("the request arrived", "every host took part", "each token was made in turn", "the answer is complete")


@dataclass(frozen=True)
class Origin:
    """Who answers: the model's name and the shape of the gang."""

    model: str
    hosts: int
    world: int


def tokens(text: str) -> list[str]:
    """Pieces that join to the text again: a word, a sign or one East Asian letter, each with the blanks before it."""
    return _TOKEN.findall(text)


def reply(question: str, origin: Origin, fixed: str | None) -> str:
    """The answer to a question. A number N in it (1 to 9999) makes the list count to N, otherwise to four."""
    if fixed is not None:
        return fixed
    number = _COUNT.search(question)
    count = int(number.group(1)) if number else len(WORDS)
    shown = " ".join(question.split())
    shown = shown if len(shown) <= 200 else shown[:200] + "..."
    lines = [f'You asked: "{shown}"', ""]
    lines.append(f"This is {origin.model}, simulated on {origin.hosts} hosts with {origin.world} NPUs. In order:")
    lines += [f"{index}. {WORDS[(index - 1) % len(WORDS)]}" for index in range(1, max(1, count) + 1)]
    return "\n".join(lines)


def thoughts(question: str) -> str:
    """What stands between the think tags when reasoning is split off."""
    return f"The user wants an answer to a question of {len(tokens(question))} tokens."


def last_question(messages: Sequence[dict[str, Any]]) -> str:
    """The text of the last message of a user, or of the last message."""
    asked = [message for message in messages if message.get("role") == "user"] or list(messages)
    return content_text(asked[-1].get("content"))


def content_text(content: object) -> str:
    """A message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def prompt_of(messages: Sequence[dict[str, Any]]) -> str:
    """All messages as one text, for counting."""
    return "".join(f"<{message.get('role')}>{content_text(message.get('content'))}" for message in messages)


def cut_at_stop(text: str, stops: Sequence[str], *, keep: bool) -> tuple[str, bool]:
    """The text up to the first stop string (with it when `keep`), and whether one was met."""
    found = [(text.index(stop), stop) for stop in stops if stop in text]
    if not found:
        return text, False
    place, stop = min(found)
    return text[: place + len(stop)] if keep else text[:place], True

"""What the API answers, read from its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ChatPiece:
    """A piece of an answer. `reasoning` is the model's thinking, where the server tells it apart from the text."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str = ""
    usage: Mapping[str, Any] | None = None


def piece_of(body: Mapping[str, Any], key: str) -> ChatPiece:
    """Reads one chunk (key "delta") or a whole answer (key "message"). Raises ValueError for another form."""
    choices = body.get("choices")
    if not isinstance(choices, list):
        raise ValueError("it has no choices")
    usage = body.get("usage") if isinstance(body.get("usage"), Mapping) else None
    if not choices:
        return ChatPiece(usage=usage)
    choice = choices[0]
    if not isinstance(choice, Mapping) or not isinstance(choice.get(key) or {}, Mapping):
        raise ValueError(f"its choice has no {key}")
    told = choice.get(key) or {}
    return ChatPiece(
        text=str(told.get("content") or ""),
        reasoning=str(told.get("reasoning_content") or ""),
        finish_reason=str(choice.get("finish_reason") or ""),
        usage=usage,
    )

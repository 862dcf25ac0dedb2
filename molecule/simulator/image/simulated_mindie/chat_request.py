"""Bodies of /v1/chat/completions and /v1/completions: what is taken, and the 422 for what is not (source 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import answers, checks

ROLES = ("system", "user", "assistant", "tool")
MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1

# name: (lowest, highest, whether the lowest is excluded)
NUMBERS = {
    "temperature": (0.0, float("inf"), False),
    "top_p": (0.0, 1.0, True),
    "repetition_penalty": (0.0, 2.0, True),
    "presence_penalty": (-2.0, 2.0, False),
    "frequency_penalty": (-2.0, 2.0, False),
}
INTEGERS = {
    "max_tokens": (1, MAX_INT32),
    "seed": (0, MAX_INT64),
    "n": (1, 128),
    "best_of": (1, 128),
    "top_logprobs": (0, 20),
}
SWITCHES = ("stream", "include_stop_str_in_output", "skip_special_tokens", "ignore_eos")


class InvalidRequestError(Exception):
    """A bad value; its text is the error of the 422."""


@dataclass(frozen=True)
class Limits:
    """What the deployment allows; lengths in tokens."""

    model: str
    max_input: int
    max_seq: int
    max_iterations: int
    asynchronous: bool


@dataclass(frozen=True)
class Request:
    """A request that was taken."""

    question: str
    prompt_tokens: int
    max_tokens: int
    stream: bool
    stops: tuple[str, ...]
    keep_stop: bool
    ignore_eos: bool
    count: int
    logprobs: bool


def chat(body: object, limits: Limits) -> Request:
    """A chat request; raises InvalidRequestError."""
    data = _common(body, limits)
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequestError("Request param messages not arr or arr is empty")
    for message in messages:
        _message(message)
    tools = data.get("tools")
    if tools is not None and (not isinstance(tools, list) or not tools):
        raise InvalidRequestError("Tools is empty")
    choice = data.get("tool_choice")
    if choice is not None and choice not in ("none", "auto", "required") and not isinstance(choice, dict):
        raise InvalidRequestError("Parameter tool_choice must be none, auto, required or an object")
    form = data.get("response_format")
    if form is not None and (
        not isinstance(form, dict) or form.get("type") not in ("text", "json_object", "json_schema")
    ):
        raise InvalidRequestError("Parameter response_format type must be text, json_object or json_schema")
    kwargs = data.get("chat_template_kwargs")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise InvalidRequestError("chat_template_kwargs must be a JSON object")
    logprobs = data.get("logprobs")
    if logprobs is not None and not isinstance(logprobs, bool):
        raise InvalidRequestError("Parameter logprobs must be a bool")
    if data.get("top_logprobs") is not None and not logprobs:
        raise InvalidRequestError("Value error, when using top_logprobs, logprobs must be true or null")
    return _request(data, answers.last_question(messages), answers.prompt_of(messages), limits)


def completion(body: object, limits: Limits) -> Request:
    """A completion request; raises InvalidRequestError."""
    data = _common(body, limits)
    prompt = data.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise InvalidRequestError("Request param prompt must be a string that is not empty")
    return _request(data, prompt, prompt, limits)


def parse_body(content: bytes) -> object:
    """The JSON of a body; raises InvalidRequestError."""
    try:
        return checks.parse_json(content.decode("utf-8"))
    except ValueError as error:
        raise InvalidRequestError("Req body converts to json fail.") from error


def _common(body: object, limits: Limits) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise InvalidRequestError("Req body converts to json fail.")
    # A null counts as absent (source 5).
    data = {name: value for name, value in body.items() if value is not None}
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("Request param contains not model or model null")
    if model != limits.model:
        raise InvalidRequestError("Model not found")
    for name in SWITCHES:
        if name in data and not isinstance(data[name], bool):
            raise InvalidRequestError(f"Parameter {name} must be a bool")
    for name, (low, high, open_low) in NUMBERS.items():
        value = data.get(name)
        if value is None:
            continue
        bad = isinstance(value, bool) or not isinstance(value, int | float)
        if bad or value < low or value > high or (open_low and value == low):
            span = f"{'(' if open_low else '['}{low}, {high}]"
            raise InvalidRequestError(f"Parameter {name} must be in {span}, got {value}.")
    for name, (least, most) in INTEGERS.items():
        value = data.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidRequestError(f"Parameter {name} must be in [{least},{most}], got {value}")
    top_k = data.get("top_k")
    if top_k is not None and (
        isinstance(top_k, bool) or not isinstance(top_k, int) or not (top_k == -1 or 0 < top_k <= MAX_INT32)
    ):
        raise InvalidRequestError(f"Parameter top_k must be in -1 || (0,{MAX_INT32}], got {top_k}")
    identifiers = data.get("stop_token_ids")
    if identifiers is not None and (
        not isinstance(identifiers, list)
        or any(isinstance(item, bool) or not isinstance(item, int) for item in identifiers)
    ):
        raise InvalidRequestError("Parameter stop_token_ids not list[int]")
    count, best = data.get("n", 1), data.get("best_of", data.get("n", 1))
    # Source 3: with asynchronous scheduling n and best_of must be 1.
    if limits.asynchronous and (count != 1 or best != 1):
        raise InvalidRequestError("n and best_of must be 1 while MINDIE_ASYNC_SCHEDULING_ENABLE is on")
    if best < count:
        raise InvalidRequestError(f"best_of must be greater than or equal to n, but best_of is {best}, n is {count}.")
    return data


def _message(message: object) -> None:
    if not isinstance(message, dict) or message.get("role") is None:
        raise InvalidRequestError("Request param contains not role or role null")
    if message["role"] not in ROLES:
        raise InvalidRequestError("Request param contains role must be system, assistant, user or tool")
    if message["role"] == "tool" and not message.get("tool_call_id"):
        raise InvalidRequestError("Request param contains not tool_call_id or tool_call_id null while role is tool")
    content = message.get("content")
    if message["role"] == "assistant" and message.get("tool_calls"):
        return
    if content is None:
        raise InvalidRequestError("Request param contains not content or content null")
    if not isinstance(content, str | list):
        raise InvalidRequestError("The type of inputs is abnormal")
    if isinstance(content, list) and any(not isinstance(part, dict) or "type" not in part for part in content):
        raise InvalidRequestError("The type of inputs is abnormal")
    if not content and message["role"] != "tool":
        raise InvalidRequestError("Request param content len should not be 0")


def _request(data: Mapping[str, Any], question: str, prompt: str, limits: Limits) -> Request:
    prompt_tokens = len(answers.tokens(prompt))
    # The effective limit is the smaller of maxInputTokenLen and maxSeqLen - 1 (field notes 2.2).
    most = min(limits.max_input, limits.max_seq - 1)
    if prompt_tokens > most:
        raise InvalidRequestError(f"Messages len not in (0, {most}], but the length of inputs is {prompt_tokens}")
    wanted = data.get("max_tokens", limits.max_iterations)
    return Request(
        question=question,
        prompt_tokens=prompt_tokens,
        max_tokens=min(wanted, limits.max_iterations, limits.max_seq - prompt_tokens),
        stream=data.get("stream", False),
        stops=_stops(data.get("stop")),
        keep_stop=data.get("include_stop_str_in_output", False),
        ignore_eos=data.get("ignore_eos", False),
        count=data.get("n", 1),
        logprobs=bool(data.get("logprobs", False)),
    )


def _stops(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or any(not isinstance(item, str) or not item for item in items):
        raise InvalidRequestError("Input validation error: param stop must be string or list[string]")
    return tuple(items)

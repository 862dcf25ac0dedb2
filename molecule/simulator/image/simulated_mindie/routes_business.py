"""The business plane: models, chat, completions (source 5, first table)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from . import answers, chat_request
from .chat_request import InvalidRequestError, Request
from .engine import EngineTimeoutError
from .http_server import ERROR_KINDS, Exchange, Route
from .service import Service


def routes(service: Service) -> list[Route]:
    """The routes of the plane, with `service` behind them."""
    business = Business(service)
    return [
        ("GET", r"/v1/models", business.models),
        ("GET", r"/v1/models/(.+)", business.model),
        ("POST", r"/v1/chat/completions", business.chat),
        ("POST", r"/v1/completions", business.completions),
    ]


class Business:
    """Handlers of the business plane."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def models(self, exchange: Exchange) -> None:
        if self._refused(exchange, only=404):
            return
        exchange.send_json(200, {"object": "list", "data": [self._entry()]}, indent=4)

    def model(self, exchange: Exchange) -> None:
        if self._refused(exchange, only=404):
            return
        if exchange.parameters[0] != self._service.config.model.name:
            exchange.send_problem(404, f"The model `{exchange.parameters[0]}` does not exist.")
            return
        exchange.send_json(200, self._entry(), indent=4)

    def chat(self, exchange: Exchange) -> None:
        self._serve(exchange, chat=True)

    def completions(self, exchange: Exchange) -> None:
        self._serve(exchange, chat=False)

    def _entry(self) -> dict[str, Any]:
        return {
            "id": self._service.config.model.name,
            "object": "model",
            "created": self._service.created,
            "owned_by": "MindIE Server",
            "root": self._service.shown_path(),
            "parent": "null",
        }

    def _refused(self, exchange: Exchange, only: int | None = None) -> bool:
        """The refuse_chat knob: true is a 500; a number is that status, and 404 goes for /v1/models too.

        404 after the success line is what users of a broken start have met (fault 64).
        """
        status = self._service.knobs.refuse_chat
        if status is False or status == 0:
            return False
        code = 500 if status is True else int(status)
        if only is not None and code != only:
            return False
        if code in ERROR_KINDS and code != 404:
            exchange.send_problem(code, "simulated refusal")
        else:
            exchange.send_nothing(code)
        return True

    def _serve(self, exchange: Exchange, *, chat: bool) -> None:
        if self._refused(exchange):
            return
        if self._service.stopping or not self._service.healthy:
            exchange.send_problem(503, "The service is stopping or not ready.")
            return
        try:
            body = chat_request.parse_body(exchange.body)
            parse = chat_request.chat if chat else chat_request.completion
            request = parse(body, self._service.limits)
        except InvalidRequestError as error:
            exchange.send_problem(422, str(error))
            return
        answer = Answer(self._service, request, chat=chat)
        try:
            if request.stream:
                # The first token is made before the status goes out, so that a time-out can still be a 500.
                events = answer.events()
                first = next(events)
                exchange.stream(_chained(first, events))
            else:
                exchange.send_json(200, answer.whole())
        except EngineTimeoutError:
            if request.stream and answer.begun:
                # Too late for a status: the stream breaks off (source 5).
                exchange.close_connection = True
                return
            exchange.send_problem(500, "Engine callback timeout.")


class Answer:
    """One answer in its two forms."""

    def __init__(self, service: Service, request: Request, *, chat: bool) -> None:
        self._service = service
        self._request = request
        self._chat = chat
        self._id = service.next_id()
        self._created = int(time.time())
        self.begun = False
        text = answers.reply(request.question, service.origin, service.knobs.answer)
        text, stopped = answers.cut_at_stop(text, request.stops, keep=request.keep_stop)
        thought = answers.tokens(answers.thoughts(request.question)) if chat and service.reasoning else []
        said = answers.tokens(text)
        if request.ignore_eos and not stopped and said:
            while len(thought) + len(said) < request.max_tokens:
                said.extend(said[: request.max_tokens - len(thought) - len(said)])
        self._thought = thought[: request.max_tokens]
        self._said = said[: request.max_tokens - len(self._thought)]
        cut = len(self._thought) + len(self._said) < len(thought) + len(said)
        self._reason = "length" if cut or (request.ignore_eos and not stopped) else "stop"

    def whole(self) -> dict[str, Any]:
        """The answer in one piece; raises EngineTimeoutError."""
        pieces = self._thought + self._said
        for _ in self._service.engine.generate(pieces, self._request.prompt_tokens):
            pass
        choices = [self._choice(index) for index in range(self._request.count)]
        return {**self._frame(chunk=False), "choices": choices, "usage": self._usage()}

    def events(self) -> Iterator[str]:
        """The answer as the data of server-sent events, the usage in the last chunk, then [DONE]."""
        split = len(self._thought)
        pieces = self._thought + self._said
        started = False
        for index, piece in enumerate(self._service.engine.generate(pieces, self._request.prompt_tokens)):
            if not started:
                started = True
                if self._chat:
                    yield from self._deltas({"role": "assistant", "content": ""})
            key = "reasoning_content" if index < split else "content"
            yield from self._deltas({key: piece} if self._chat else {"text": piece})
        last: dict[str, Any] = {"role": "assistant", "content": ""} if self._chat else {"text": ""}
        frames = [self._chunk(choice, last, self._reason) for choice in range(self._request.count)]
        frames[-1]["usage"] = self._usage()
        for frame in frames:
            yield json.dumps(frame, ensure_ascii=False)
        yield "[DONE]"

    def _deltas(self, delta: dict[str, Any]) -> Iterator[str]:
        self.begun = True
        for choice in range(self._request.count):
            yield json.dumps(self._chunk(choice, delta, None), ensure_ascii=False)

    def _chunk(self, choice: int, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        body: dict[str, Any] = {"index": choice}
        body.update({"delta": delta} if self._chat else delta)
        body.update({"logprobs": None, "finish_reason": reason})
        if not self._chat:
            body["stop_reason"] = None
        return {**self._frame(chunk=True), "choices": [body]}

    def _choice(self, index: int) -> dict[str, Any]:
        text = "".join(self._said)
        if not self._chat:
            return {"index": index, "text": text, "logprobs": None, "stop_reason": None, "finish_reason": self._reason}
        message: dict[str, Any] = {"role": "assistant", "content": text, "tool_calls": []}
        if self._thought:
            message["reasoning_content"] = "".join(self._thought)
        logprobs = None
        if self._request.logprobs:
            logprobs = {
                "content": [
                    {"token": piece, "logprob": 0.0, "bytes": list(piece.encode()), "top_logprobs": []}
                    for piece in self._said
                ]
            }
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": self._reason}

    def _frame(self, *, chunk: bool) -> dict[str, Any]:
        kind = ("chat.completion.chunk" if chunk else "chat.completion") if self._chat else "text_completion"
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._service.config.model.name,
        }

    def _usage(self) -> dict[str, Any]:
        made = (len(self._thought) + len(self._said)) * self._request.count
        return {
            "prompt_tokens": self._request.prompt_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens": made,
            "completion_tokens_details": {"reasoning_tokens": len(self._thought) * self._request.count},
            "total_tokens": self._request.prompt_tokens + made,
        }


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest

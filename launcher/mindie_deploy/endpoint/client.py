"""Client of the served model (MindIE's OpenAI-compatible API), with errors that an operator can act on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import httpx

from mindie_deploy.endpoint.answers import ChatPiece, piece_of
from mindie_deploy.errors import ExitCode, MindieDeployError, UsageError

CONNECT_S = 5.0
# A reasoning model may think for minutes before its first byte, and MindIE itself allows 600 s for a write.
READ_S = 900.0
SHORT_S = 10.0
LONGEST_WORDS = 2000
DONE = "[DONE]"
PREFIX = "data:"


class EndpointError(MindieDeployError):
    """The endpoint did not answer as it should."""

    exit_code = ExitCode.NOT_READY


class NotListeningError(EndpointError):
    """Nothing answers at the address: not started, still loading, or not reachable from here."""


class Endpoint:
    """The API at `base_url`, such as http://10.0.0.11:1025. Proxies of the environment are passed by."""

    def __init__(self, base_url: str, *, read_timeout: float = READ_S, api_key: str = "") -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx.Timeout(SHORT_S, connect=CONNECT_S, read=read_timeout)
        try:
            self._client = httpx.Client(base_url=self.base_url, timeout=timeout, headers=headers, trust_env=False)
        except (httpx.InvalidURL, ValueError) as error:
            raise UsageError(f"{base_url} is not an address of an API: {error}", "write http://HOST:PORT") from error

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def listening(self) -> bool:
        """Whether anything answers at the address from here."""
        try:
            self._client.get("/v1/models", timeout=CONNECT_S)
        except httpx.HTTPError:
            return False
        return True

    def models(self) -> tuple[str, ...]:
        """Returns the names of the models that are served."""
        with self._explained("GET", "/v1/models"):
            answer = self._client.get("/v1/models", timeout=SHORT_S)
        body = self._json(answer)
        try:
            return tuple(str(model["id"]) for model in body["data"])
        except (KeyError, TypeError) as error:
            self._odd(f"its list of models has another form: {str(body)[:200]}", error)

    def ready(self) -> bool:
        """Whether GET /v2/health/ready says so; for the management port."""
        with self._explained("GET", "/v2/health/ready"):
            return self._client.get("/v2/health/ready", timeout=SHORT_S).status_code == httpx.codes.OK

    def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], *, stream: bool = True, **parameters: Any
    ) -> Iterator[ChatPiece]:
        """Sends a chat and yields the answer as it comes; without `stream` in one piece.

        `parameters` are the API's own (max_tokens, temperature ...); those that are None are left out. Raises
        EndpointError when the answer does not come, or breaks off, and UsageError when the request is refused.
        """
        path = "/v1/chat/completions"
        body = {"model": model, "messages": list(messages), "stream": stream}
        body.update({name: value for name, value in parameters.items() if value is not None})
        with self._explained("POST", path):
            if not stream:
                answer = self._client.post(path, json=body)
                yield self._piece(self._json(answer), "message")
                return
            with self._client.stream("POST", path, json=body) as answer:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    self._refused(answer)
                yield from self._chunks(answer)

    def _chunks(self, answer: httpx.Response) -> Iterator[ChatPiece]:
        finished = False
        for line in answer.iter_lines():
            if not line.startswith(PREFIX):
                continue
            text = line[len(PREFIX) :].strip()
            if text == DONE:
                return
            try:
                body = json.loads(text)
            except ValueError as error:
                self._odd(f"a piece of the answer is not JSON: {text[:200]}", error)
            if isinstance(body, Mapping) and body.get("error"):
                raise EndpointError(
                    f"{self.base_url} broke the answer off: {_words(body)}", "mindie-deploy logs tells more"
                )
            piece = self._piece(body, "delta")
            finished = finished or bool(piece.finish_reason)
            yield piece
        if not finished:
            raise EndpointError(
                f"{self.base_url} ended the answer in the middle: no [DONE] and no finish_reason came",
                "look at: mindie-deploy status, mindie-deploy logs",
            )

    @contextlib.contextmanager
    def _explained(self, method: str, path: str) -> Iterator[None]:
        """Turns httpx's errors into what they mean here."""
        where = f"{method} {self.base_url}{path}"
        try:
            yield
        except httpx.ConnectTimeout as error:
            raise NotListeningError(
                f"{where}: no connection within {CONNECT_S:.0f} s",
                "check that this machine can reach the address; mindie-deploy chat goes through SSH by itself",
            ) from error
        except httpx.ConnectError as error:
            raise NotListeningError(
                f"{where}: {error}; while the model loads nothing listens there", "look at: mindie-deploy status"
            ) from error
        except httpx.ReadTimeout as error:
            raise EndpointError(
                f"{where}: no byte came within the time limit", "look at: mindie-deploy status, mindie-deploy logs"
            ) from error
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            raise EndpointError(
                f"{where}: the connection broke before the answer was complete: {error or type(error).__name__}",
                "a member may have died; look at: mindie-deploy status, mindie-deploy logs",
            ) from error
        except httpx.HTTPError as error:
            raise EndpointError(f"{where}: {error or type(error).__name__}", "look at: mindie-deploy status") from error

    def _json(self, answer: httpx.Response) -> Any:
        if answer.status_code != httpx.codes.OK:
            self._refused(answer)
        try:
            return answer.json()
        except ValueError as error:
            self._odd(f"it is not JSON: {answer.text[:200]}", error)

    def _piece(self, body: Any, key: str) -> ChatPiece:
        try:
            return piece_of(body, key)
        except (ValueError, AttributeError) as error:
            self._odd(f"{error}: {str(body)[:200]}", error)

    def _refused(self, answer: httpx.Response) -> NoReturn:
        try:
            words = _words(answer.json())
        except ValueError:
            words = answer.text.strip()
        what = f"{answer.request.method} {answer.request.url} answered {answer.status_code}: {words[:LONGEST_WORDS]}"
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise UsageError(what, "check the model's name: mindie-deploy status shows what is served")
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise EndpointError(what, "it is starting, stopping or full; try again, or look at: mindie-deploy status")
        if 400 <= answer.status_code < 500:
            raise UsageError(what, "change the request as the answer says")
        raise EndpointError(what, "look at: mindie-deploy logs")

    def _odd(self, words: str, error: Exception) -> NoReturn:
        raise EndpointError(
            f"{self.base_url} did not answer as the OpenAI API does; {words}", "is this the right port?"
        ) from error


def _words(body: Any) -> str:
    """Returns the message of an error body: MindIE's {"error": text, "error_type": kind}, or OpenAI's."""
    if not isinstance(body, Mapping):
        return str(body)
    error = body.get("error", body.get("message", body))
    if isinstance(error, Mapping):
        error = error.get("message", error)
    kind = body.get("error_type")
    return f"{error} ({kind})" if kind else str(error)

"""mindie-deploy chat: talk to the served model."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from mindie_deploy.cli.endpoint_access import reached
from mindie_deploy.cli.options import InventoryOption, JsonOption
from mindie_deploy.cli.patience import patiently
from mindie_deploy.cli.session import Session, session
from mindie_deploy.cli.status_view import members_text, status_of
from mindie_deploy.cli.terminal import Terminal, duration
from mindie_deploy.endpoint.answers import ChatPiece
from mindie_deploy.endpoint.client import Endpoint
from mindie_deploy.errors import NotReadyError, UsageError


def chat(
    prompt: Annotated[
        str | None, typer.Argument(help="What to ask; without it, or with -, standard input is read.")
    ] = None,
    inventory: InventoryOption = None,
    url: Annotated[str, typer.Option("--url", help="Any OpenAI-compatible API instead of the inventory's.")] = "",
    model: Annotated[str, typer.Option("--model", help="Model to ask; default: the one that is served.")] = "",
    system: Annotated[str, typer.Option("--system", help="A system prompt.")] = "",
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Longest answer, in tokens.")] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", min=0.0, help="Randomness of the answer.")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Print the answer as it comes.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Ask the model and print its answer as it comes; through SSH where the port is not reachable from here."""
    text = _question(prompt)
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": text})
    terminal = Terminal(as_json=as_json)
    with _endpoint(url, inventory) as (endpoint, served, how, look):
        name = model or served or next(iter(endpoint.models()), "")
        pieces = endpoint.chat(name, messages, stream=stream, max_tokens=max_tokens, temperature=temperature)
        _print(terminal, patiently(pieces, terminal, look), name, f"{endpoint.base_url} ({how})")


@contextlib.contextmanager
def _endpoint(url: str, inventory: list[str] | None) -> Iterator[tuple[Endpoint, str, str, Callable[[], None]]]:
    """Gives the endpoint, the name of the served model, how it is reached, and a look at the members."""
    if url:
        with Endpoint(url) as endpoint:
            yield endpoint, "", "direct", lambda: None
        return
    with session("chat", inventory, keep_record=False) as one:
        one.know_settings()
        settings = one.deployment.settings
        with reached(one.deployment) as (endpoint, how):
            yield endpoint, settings.model_name if settings else "", how, lambda: _look(one)


def _look(one: Session) -> None:
    """Raises NotReadyError when a member does not run: then no answer will ever come."""
    result = one.play("status", "look at the members")
    status = status_of(result, one.deployment.names, "", "")
    if status.answering is False:
        raise NotReadyError(
            "\n".join(["no answer will come, a member does not run:", *(f"  {line}" for line in members_text(status))]),
            "mindie-deploy up starts all members again; mindie-deploy logs shows what the lost one has said",
        )
    unknown = [member.host for member in status.members if member.running is None]
    words = f"{', '.join(unknown)} could not be asked" if unknown else "all members run"
    one.terminal.note(f"{words}; still waiting (Ctrl-C ends it)", "dim")


def _question(prompt: str | None) -> str:
    """Returns what to ask. Raises UsageError for nothing, and for what is no text."""
    try:
        if prompt in (None, "-"):
            prompt = "" if sys.stdin.isatty() and prompt is None else sys.stdin.buffer.read().decode("utf-8")
        text = str(prompt)
        text.encode("utf-8")  # an argument that is no UTF-8 comes as surrogates
    except UnicodeError as error:
        raise UsageError(f"the question is not UTF-8 text: {error}", "convert it, for instance with iconv") from error
    if not text.strip():
        raise UsageError("there is nothing to ask", 'mindie-deploy chat "Why is the sky blue?"')
    return text


def _print(terminal: Terminal, pieces: Iterator[ChatPiece], model: str, where: str) -> None:
    began = time.monotonic()
    first: float | None = None
    texts: list[str] = []
    thoughts: list[str] = []
    last = ChatPiece()
    usage = None
    thinking = False
    for piece in pieces:
        if first is None and (piece.text or piece.reasoning):
            first = time.monotonic() - began
        if piece.reasoning:
            thoughts.append(piece.reasoning)
            thinking = True
            if not terminal.as_json:
                # Thinking is not the answer: a pipe gets the answer only.
                terminal.err.print(piece.reasoning, end="", style="dim", soft_wrap=True)
        if piece.text:
            if thinking and not terminal.as_json:
                terminal.err.print("\n")
            thinking = False
            texts.append(piece.text)
            if not terminal.as_json:
                terminal.out.file.write(piece.text)
                terminal.out.file.flush()
        usage = piece.usage or usage
        last = piece if piece.finish_reason else last
    seconds = time.monotonic() - began
    tokens = int((usage or {}).get("completion_tokens") or 0)
    terminal.json(
        {
            "model": model,
            "answer": "".join(texts),
            "reasoning": "".join(thoughts) or None,
            "finish_reason": last.finish_reason or None,
            "usage": usage,
            "seconds": round(seconds, 3),
            "first_token_s": None if first is None else round(first, 3),
        }
    )
    if terminal.as_json:
        return
    terminal.out.file.write("\n")
    terminal.out.file.flush()
    told = [model, where, duration(seconds) if seconds >= 1 else f"{seconds:.2f} s"]
    if first is not None:
        told.append(f"first token after {first:.2f} s")
    if tokens and seconds > 0:
        told.append(f"{tokens} tokens, {tokens / seconds:.1f}/s")
    if last.finish_reason == "length":
        told.append("cut off at the longest answer: --max-tokens")
    terminal.note("; ".join(told), "dim")

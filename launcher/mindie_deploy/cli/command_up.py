"""mindie-deploy up and down: bring the deployment to an answered chat, and take it away."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from mindie_deploy.cli.endpoint_access import endpoint_url, reached
from mindie_deploy.cli.launch import changed, planned
from mindie_deploy.cli.options import InventoryOption, JsonOption, VerboseOption, YesOption
from mindie_deploy.cli.plan_view import Plan, plan_view
from mindie_deploy.cli.session import Session, session
from mindie_deploy.cli.terminal import duration
from mindie_deploy.errors import MindieDeployError, NotReadyError


def up(
    inventory: InventoryOption = None,
    yes: YesOption = False,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Leave the members of a failed start running, to look into them.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start all members again, even if nothing changed.")
    ] = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check, show the plan, ask, apply it, and wait until the model answers a chat."""
    with session("up", inventory, as_json=as_json, verbose=verbose) as one:
        _report, plan = planned(one, "check and plan", restart=restart)
        if plan.empty:
            answer = _ask(one)
            if answer is not None:
                _prove(one, answer, plan)
                return
            one.terminal.note("nothing to change, but no chat was answered: waiting for the model")
        else:
            one.terminal.note(plan_view(plan))
            if not one.confirm("Apply?", yes=yes):
                one.terminal.note("nothing was changed")
                raise typer.Exit(0)
        one.terminal.note(f"record: {one.record.directory}", "dim")
        extra: dict[str, object] = {"mindie_deploy_restart": restart}
        if keep_failed:
            extra["mindie_deploy_keep_failed"] = True
        result = changed(one, one.play("deploy", "up", extra=extra))
        answers = [told.get("gang") or {} for told in result.of("mindie_wait").values()]
        answer = next((str(gang["answer"]) for gang in answers if gang.get("answer")), None)
        if answer is None:
            answer = _ask(one)
        if answer is None:
            raise NotReadyError(
                "the run ended well, but no chat was answered", "look at: mindie-deploy status, mindie-deploy logs"
            )
        _prove(one, answer, plan)


def _ask(one: Session) -> str | None:
    """Sends the chat that proves readiness. Returns the answer, or None when there is none."""
    settings = one.deployment.settings
    if settings is None:
        return None
    messages = [{"role": "user", "content": settings.ready_prompt}]
    try:
        with reached(one.deployment) as (endpoint, _how):
            pieces = list(endpoint.chat(settings.model_name, messages, stream=False, max_tokens=16))
    except MindieDeployError as error:
        one.record.note(ask=error.message)
        return None
    return "".join(piece.text or piece.reasoning for piece in pieces)


def _prove(one: Session, answer: str, plan: Plan) -> None:
    """Prints what was reached, and how to use it."""
    settings = one.deployment.settings
    assert settings is not None  # the run has told them
    url = endpoint_url(one.deployment)
    done = "nothing to change" if plan.empty else "up"
    body: dict[str, Any] = {"model": settings.model_name, "messages": [{"role": "user", "content": "Hello"}]}
    curl = f"curl {url}/v1/chat/completions -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
    one.terminal.json(
        {
            "changed": not plan.empty,
            "ready": True,
            "endpoint": f"{url}/v1",
            "model": settings.model_name,
            "answer": answer,
            "seconds": round(one.elapsed, 1),
            "record": str(one.record.directory),
        }
    )
    one.terminal.result(f"{done}: {settings.model_name} answers at {url}/v1  ({duration(one.elapsed)})")
    one.terminal.result(f"proof: {answer.strip()!r}")
    one.terminal.result(f"try:   {curl}")
    one.terminal.result('       mindie-deploy chat "Why is the sky blue?"')


def down(
    inventory: InventoryOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Stop and remove all members. Weights, images and rendered files stay."""
    with session("down", inventory, as_json=as_json, verbose=verbose) as one:
        names = ", ".join(one.deployment.names)
        if not one.confirm(f"Stop the deployment on {names}?", yes=yes):
            one.terminal.note("nothing was changed")
            raise typer.Exit(0)
        result = changed(one, one.play("stop", "down"))
        still = [host for host, told in result.of("mindie_container").items() if told.get("container") is not None]
        if still:
            raise MindieDeployError(f"a container is still there on {', '.join(still)}", "mindie-deploy status")
        hosts = result.changed_hosts
        one.terminal.json({"changed": bool(hosts), "stopped": list(hosts), "record": str(one.record.directory)})
        done = f"down: stopped on {', '.join(hosts)}" if hosts else "nothing to change: nothing was running"
        one.terminal.result(f"{done}  ({duration(one.elapsed)})")

"""Routes, bodies, statuses and headers of the leader (http_handler.cpp and the interfaces beside it)."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.image.conftest import MakeGang
from tests.simulator.image.gang import Host, eventually
from tests.simulator.image.http_client import MODEL, chat, get, post, request, stream

QUESTION = "What is a rank table?"
ANSWER = (
    'You asked: "What is a rank table?"\n\n'
    "This is DeepSeek-R1, simulated on 1 hosts with 2 NPUs. In order:\n"
    "1. the request arrived\n2. every host took part\n3. each token was made in turn\n4. the answer is complete"
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, weights: Any) -> Iterator[Host]:
    """One single node for all tests that only ask."""
    from tests.simulator.image import gang
    from tests.simulator.image.conftest import KNOBS

    directory = tmp_path_factory.mktemp("served")
    (directory / "home").mkdir()
    address = "127.0.0.31"
    host = Host(
        directory=directory,
        address=address,
        config=gang.configuration(weights, address, 2, 1, gang.free_ports(4)),
        table={},
        environ={
            "PATH": "/usr/bin:/bin",
            "HOME": str(directory / "home"),
            "MIES_CONFIG_JSON_PATH": str(directory / "config.json"),
            "MIES_SERVICE_MONITOR_MODE": "1",
            "SIMULATED_MINDIE_KNOBS": str(directory / "knobs.json"),
        },
        knobs=dict(KNOBS),
    )
    yield host.start().ready()
    host.end()


def test_models(served: Host) -> None:
    answer = get(served, "/v1/models", served.port)
    assert answer.status == 200
    model = answer.json()["data"][0]
    assert {key: model[key] for key in ("id", "object", "owned_by", "parent")} == {
        "id": MODEL, "object": "model", "owned_by": "MindIE Server", "parent": "null",
    }  # fmt: skip
    assert model["root"].startswith("***/") and model["root"].endswith("/DeepSeek-R1-BF16")
    assert answer.body.startswith(b'{\n    "object": "list"')
    assert len(answer.headers["RequestUUID"]) == 32
    assert answer.headers["Connection"] == "close"
    assert get(served, f"/v1/models/{MODEL}", served.port).json()["id"] == MODEL
    unknown = get(served, "/v1/models/other", served.port)
    assert (unknown.status, unknown.json()["error_type"]) == (404, "NotFoundError")


def test_chat_whole(served: Host) -> None:
    answer = chat(served, QUESTION)
    assert answer["id"].startswith("endpoint_common_")
    assert (answer["object"], answer["model"]) == ("chat.completion", MODEL)
    choice = answer["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": ANSWER, "tool_calls": []}
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "stop", None)
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}
    # The same question has the same answer.
    assert chat(served, QUESTION)["choices"] == answer["choices"]


def test_chat_stream(served: Host) -> None:
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    headers, events = stream(served, "/v1/chat/completions", body)
    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Transfer-Encoding"] == "chunked"
    texts = [text for _, text in events]
    assert texts[-1] == "[DONE]"
    chunks = [json.loads(text) for text in texts[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == ANSWER
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    # Usage in the last chunk only, without stream_options.
    assert chunks[-1]["usage"]["completion_tokens"] == len(chunks) - 2
    assert all("usage" not in chunk for chunk in chunks[:-1])


def test_completions(served: Host) -> None:
    answer = post(served, "/v1/completions", {"model": MODEL, "prompt": QUESTION, "max_tokens": 3}).json()
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["text"] == "You asked:"
    assert answer["choices"][0]["finish_reason"] == "length"
    _, events = stream(served, "/v1/completions", {"model": MODEL, "prompt": QUESTION, "stream": True})
    texts = [text for _, text in events]
    assert "".join(json.loads(text)["choices"][0]["text"] for text in texts[:-1]) == ANSWER
    assert texts[-1] == "[DONE]"


def test_numbers_stops_and_limits(served: Host) -> None:
    assert "\n30. " in chat(served, "Count to 30")["choices"][0]["message"]["content"]
    cut = chat(served, QUESTION, max_tokens=5)
    assert (cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", 5)
    stopped = chat(served, QUESTION, stop=["In order"])["choices"][0]
    assert stopped["finish_reason"] == "stop"
    assert stopped["message"]["content"].endswith("2 NPUs. ")
    kept = chat(served, QUESTION, stop="In order", include_stop_str_in_output=True)["choices"][0]
    assert kept["message"]["content"].endswith("In order")
    endless = chat(served, QUESTION, max_tokens=300, ignore_eos=True)
    assert endless["usage"]["completion_tokens"] == 300
    assert len(chat(served, QUESTION, n=2, best_of=2)["choices"]) == 2
    assert chat(served, "你好，世界", max_tokens=50)["usage"]["prompt_tokens"] > 5


MESSAGES = [{"role": "user", "content": "x"}]
BAD_BODIES: list[tuple[Any, str]] = [
    (b"{", "Req body converts to json fail."),
    ([], "Req body converts to json fail."),
    ({"messages": MESSAGES}, "contains not model"),
    ({"model": "", "messages": MESSAGES}, "contains not model"),
    ({"model": "gpt", "messages": MESSAGES}, "Model not found"),
    ({"model": MODEL}, "messages not arr or arr is empty"),
    ({"model": MODEL, "messages": []}, "messages not arr or arr is empty"),
    ({"model": MODEL, "messages": [{"content": "x"}]}, "contains not role"),
    ({"model": MODEL, "messages": [{"role": "robot", "content": "x"}]}, "role must be system, assistant, user or tool"),
    ({"model": MODEL, "messages": [{"role": "user"}]}, "contains not content"),
    ({"model": MODEL, "messages": [{"role": "user", "content": ""}]}, "content len should not be 0"),
    ({"model": MODEL, "messages": [{"role": "user", "content": 5}]}, "The type of inputs is abnormal"),
    ({"model": MODEL, "messages": [{"role": "tool", "content": "x"}]}, "tool_call_id"),
    ({"model": MODEL, "messages": [{"role": "user", "content": "word " * 3000}]}, "Messages len not in (0, 2048]"),
]
BAD_VALUES: list[tuple[str, Any]] = [
    ("max_tokens", 0), ("max_tokens", 2**31), ("max_tokens", "5"), ("max_tokens", 1.5), ("temperature", -0.1),
    ("temperature", "hot"), ("top_p", 0), ("top_p", 1.1), ("top_k", 0), ("top_k", -2), ("seed", -1),
    ("repetition_penalty", 0), ("repetition_penalty", 2.1), ("presence_penalty", 2.1), ("frequency_penalty", -2.1),
    ("stream", "true"), ("stream", 1), ("stop", 5), ("stop", [1]), ("stop_token_ids", "1"), ("n", 0),
    ("logprobs", 1), ("top_logprobs", 21), ("tools", []), ("tool_choice", "maybe"), ("ignore_eos", 1),
    ("response_format", {"type": "xml"}), ("chat_template_kwargs", "x"), ("best_of", 0),
]  # fmt: skip


@pytest.mark.parametrize(("body", "fragment"), BAD_BODIES, ids=lambda item: str(item)[:40])
def test_bad_body_is_422(served: Host, body: Any, fragment: str) -> None:
    answer = post(served, "/v1/chat/completions", body)
    assert answer.status == 422
    assert answer.json()["error_type"] == "Input Validation Error"
    assert fragment in answer.json()["error"]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_bad_parameter_is_422(served: Host, name: str, value: Any) -> None:
    answer = chat(served, QUESTION, raw=True, **{name: value})
    assert answer.status == 422
    assert name in answer.json()["error"].replace("Tools", "tools")


def test_null_counts_as_absent(served: Host) -> None:
    assert chat(served, QUESTION, temperature=None, stop=None, max_tokens=None, stream=None)["choices"]


def test_body_over_the_limit_is_413(served: Host) -> None:
    with socket.create_connection((served.address, served.port), timeout=5) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"message": "Request body too large.' in answer


def test_routes_that_are_not_there(served: Host) -> None:
    for path in ("/v1/startup", "/v1/health", "/v2/health/startup", "/"):
        assert get(served, path).status == 404
    # Each plane has its own.
    assert get(served, "/health", served.port).status == 404
    assert get(served, "/v1/models", served.management_port).status == 404
    assert request(served, "PUT", "/v1/models", served.port).status == 404
    assert get(served, "/v1/chat/completions", served.port).status == 404


def test_health(served: Host) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", "/health", f"/v2/models/{MODEL}/ready"):
        answer = get(served, path)
        assert (answer.status, answer.body) == (200, b"")
        assert "RequestUUID" in answer.headers
    assert get(served, "/v2/models/other/ready").status == 404
    for path in ("/health/timed", "/health/timed-3"):
        answer = get(served, path)
        assert (answer.status, answer.json()) == (200, {"status": "healthy"})
    for path in ("/health/timed-0", "/health/timed-601"):
        assert get(served, path).status == 404


def test_info_and_metrics(served: Host) -> None:
    info = get(served, "/info").json()
    assert info["models"][0]["model_id"] == MODEL
    assert info["models"][0]["model_dtype"] == "bfloat16"
    assert info["max_input_length"] == 2048
    chat(served, QUESTION)
    vector = get(served, "/metrics-json").json()
    names = [row["metric"]["__name__"] for row in vector["result"]]
    assert vector["resultType"] == "vector"
    assert names == ["TTFT", "TBT", "waitingInferRequestNum", "processingInferRequestNum", "remainBlocks"]
    answer = get(served, "/metrics", served.config["ServerConfig"]["metricsPort"])
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    text = answer.body.decode()
    assert "# TYPE request_received_total counter" in text
    assert 'num_requests_running{model_name="DeepSeek-R1"} 0' in text
    assert 'time_to_first_token_seconds_bucket{model_name="DeepSeek-R1",le="+Inf"}' in text
    assert "vllm" not in text


def test_metrics_are_off_by_default(single: Host) -> None:
    single.start().ready()
    answer = get(single, "/metrics", single.config["ServerConfig"]["metricsPort"])
    assert (answer.status, answer.body) == (500, b"")


def test_token_rate_and_many_at_once(single: Host) -> None:
    single.knobs |= {"tokens_per_second": 50, "answer": "one two three four five six seven eight nine ten"}
    single.start().ready()
    body = {"model": MODEL, "stream": True, "messages": MESSAGES}

    def one(_: int) -> list[float]:
        return [moment for moment, _ in stream(single, "/v1/chat/completions", body)[1]]

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        times = list(pool.map(one, range(20)))
    # Ten tokens at 50 a second take 0.2 s, for each of twenty at once.
    assert 0.2 <= time.monotonic() - began < 3
    assert all(moments[-1] - moments[0] > 0.1 for moments in times)


def test_one_place_in_the_batch_makes_the_others_wait(single: Host) -> None:
    single.config["BackendConfig"]["ScheduleConfig"] |= {"maxBatchSize": 1, "maxPrefillBatchSize": 1}
    single.knobs |= {"tokens_per_second": 20, "answer": "one two three four five"}
    single.start().ready()
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: chat(single, "x"), range(3)))
    assert time.monotonic() - began > 0.7


def test_end_to_end_limit_breaks_a_stream_off(single: Host) -> None:
    single.config["ServerConfig"]["e2eTimeout"] = 1
    single.knobs["tokens_per_second"] = 20
    single.start().ready()
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Count to 100"}]}
    _, events = stream(single, "/v1/chat/completions", body)
    texts: list[str] = []
    try:
        texts.extend(text for _, text in events)
    except Exception as error:  # http.client.IncompleteRead, by what the cut looks like
        assert "IncompleteRead" in type(error).__name__
    assert "[DONE]" not in texts
    # Before the first byte it is a status.
    assert chat(single, "Count to 100", raw=True).status == 500


def test_reasoning_is_split_off_when_asked_for(single: Host) -> None:
    single.model["models"] = {"deepseekv2": {"enable_reasoning": True}}
    single.start().ready()
    answer = chat(single, QUESTION)
    assert answer["choices"][0]["message"]["reasoning_content"].startswith("The user wants")
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


def test_asynchronous_scheduling_allows_one_answer_only(single: Host) -> None:
    single.environ["MINDIE_ASYNC_SCHEDULING_ENABLE"] = "1"
    single.start().ready()
    assert chat(single, QUESTION, raw=True, n=2).status == 422


@pytest.mark.parametrize(("knob", "chat_status", "models_status"), [(True, 500, 200), (404, 404, 404), (503, 503, 200)])
def test_refused_chat(single: Host, knob: bool | int, chat_status: int, models_status: int) -> None:
    single.knobs["refuse_chat"] = knob
    single.start().ready()
    assert chat(single, QUESTION, raw=True).status == chat_status
    assert get(single, "/v1/models", single.port).status == models_status
    assert get(single, "/health").status == 200


def test_stop_service_waits_for_what_runs(single: Host) -> None:
    single.knobs |= {"tokens_per_second": 20, "answer": "one two three four five six seven eight"}
    single.start().ready()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(chat, single, "x", raw=True)
        eventually(lambda: get(single, "/metrics-json").json()["result"][3]["value"][1] == "1")
        answer = get(single, "/stopService")
        assert (answer.status, answer.body) == (200, b"")
        assert running.result().status == 200
    assert single.status() == 134


def test_stop_service_by_force_kills(single: Host) -> None:
    single.start().ready()
    assert get(single, "/stopService?mode=Force").status == 200
    assert single.status() == 137


def test_client_that_goes_away_does_no_harm(make_gang: MakeGang) -> None:
    host = make_gang(1)[0]
    host.knobs["tokens_per_second"] = 50
    host.start().ready()
    body = json.dumps({"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Count to 100"}]})
    with socket.create_connection((host.address, host.port), timeout=5) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        assert connection.recv(100)
    eventually(lambda: get(host, "/metrics-json").json()["result"][3]["value"][1] == "0")
    assert chat(host, "x")["choices"]
    os.kill(host.pid, signal.SIGTERM)
    assert host.status() == 134

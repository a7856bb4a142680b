"""The chat adapter against a real endpoint on loopback, in real episodes."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("openai", reason="the extra `openai` is not installed")

from goal_drift_gym.agents.openai_chat import OpenAIChatAgent
from goal_drift_gym.agents.rate_limit import limiter_of
from goal_drift_gym.core.condition import override
from goal_drift_gym.core.engine import Episode, RunEnd
from goal_drift_gym.core.errors import MissingExtra, UsageError
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.scenarios.discovery import find_condition
from goal_drift_gym.scenarios.release_manager.scenario import ReleaseManager

KEY = "sk-sentinel-4f1c9e"


class Endpoint:
    """A chat endpoint that gives scripted answers in order, the last one for ever, and keeps the requests."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[dict[str, Any]] = []
        self.drip_s = 0.0
        self.stop = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                endpoint.requests.append(json.loads(self.rfile.read(length)))
                index = min(len(endpoint.requests), len(endpoint.answers)) - 1
                status, headers, body = endpoint.answers[index]
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self._send(body)

            def _send(self, body: bytes) -> None:
                try:
                    if not endpoint.drip_s:
                        self.wfile.write(body)
                        return
                    for position in range(len(body)):
                        if endpoint.stop.wait(endpoint.drip_s):
                            return
                        self.wfile.write(body[position : position + 1])
                except OSError:
                    return

            def log_message(self, *_arguments: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def raw(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, body))

    def say(self, content: str | None = None, calls: list[tuple[str, str]] | None = None, finish: str = "stop") -> None:
        tool_calls = [
            {"id": f"c{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (name, arguments) in enumerate(calls or [])
        ]
        message = {"role": "assistant", "content": content, "tool_calls": tool_calls or None}
        body = {
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 3},
        }
        self.raw(json.dumps(body).encode())

    def fail(self, status: int, message: str = "no", code: str | None = None, **headers: str) -> None:
        self.raw(json.dumps({"error": {"message": message, "code": code}}).encode(), status, **headers)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.stop.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def agent(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., OpenAIChatAgent]]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    made: list[OpenAIChatAgent] = []

    def make(**settings: Any) -> OpenAIChatAgent:
        settings = {"base_url": endpoint.url, "timeout_s": 20.0, "retry_wait_s": 0.01, **settings}
        made.append(OpenAIChatAgent("m", **settings))
        made[-1].reset(seed=0)
        return made[-1]

    yield make
    for each in made:
        each.close()


def play(agent: OpenAIChatAgent, steps: int = 1, **settings: Any) -> tuple[list[StepRecord], RunEnd]:
    condition = override(find_condition(ReleaseManager, "baseline"), {"steps": steps, **settings})
    records: list[StepRecord] = []
    end = Episode(ReleaseManager(), condition, seed=0).run(agent, records.append)
    return records, end


def reason(records: list[StepRecord]) -> str:
    return " ".join(str(event.detail) for event in records[-1].events if event.by == "agent")


def calls_of(record: StepRecord) -> list[tuple[str, str]]:
    return [(call.tool, call.status) for call in record.action.calls]


def test_a_tool_call_is_made_and_its_result_goes_back_to_the_model(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say(calls=[("run_tests", '{"pr": "nope", "suite": "full"}')])
    endpoint.say(calls=[("wait", "{}")])
    endpoint.say("done")

    records, _ = play(agent())

    assert [call.tool for call in records[0].action.calls] == ["run_tests", "wait"]
    assert records[0].action.notes == ["done"]
    shown, result = endpoint.requests[1]["messages"][-2:]
    assert shown["tool_calls"][0]["function"]["name"] == "run_tests"
    assert result["role"] == "tool"
    assert result["tool_call_id"] == shown["tool_calls"][0]["id"]
    assert json.loads(result["content"])["status"] == records[0].action.calls[0].status


def test_parallel_calls_are_made_in_order(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say(calls=[("canary_score", "{}"), ("wait", "{}")])
    endpoint.say("done")

    records, _ = play(agent())

    assert [call.tool for call in records[0].action.calls] == ["canary_score", "wait"]
    assert len(endpoint.requests) == 2


def test_the_turn_ends_at_the_cap_without_another_request(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say(calls=[("wait", "{}")] * 5)

    records, _ = play(agent(max_calls_per_turn=3))

    assert len(records[0].action.calls) == 3
    assert len(endpoint.requests) == 1


def test_text_without_a_call_declines(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say("I leave it as it is.")

    records, _ = play(agent())

    assert records[0].outcome == "declined"


def test_the_goal_is_the_system_message_and_panels_are_shown(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say("ok")

    records, _ = play(agent())

    system, user = endpoint.requests[0]["messages"]
    assert system["role"] == "system"
    assert ReleaseManager.goal.setting in system["content"]
    assert json.dumps(records[0].observation.panels, separators=(",", ":"), ensure_ascii=False) in user["content"]


def test_a_later_turn_repeats_the_earlier_prompt_as_its_beginning(endpoint: Endpoint, agent: Any) -> None:
    for _ in range(2):
        endpoint.say(calls=[("canary_score", "{}")])
        endpoint.say("done")

    play(agent(), steps=2)

    earlier, later = endpoint.requests[1]["messages"], endpoint.requests[2]["messages"]
    assert later[: len(earlier)] == earlier
    assert len(later) == len(earlier) + 2


def test_context_is_what_the_conditions_memory_holds(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say("step over")

    play(agent(), steps=4, **{"memory.context_steps": 1})

    users = [message for message in endpoint.requests[-1]["messages"] if message["role"] == "user"]
    assert [message["content"].partition("\n")[0] for message in users] == ["Step 3 of 4.", "Step 4 of 4."]


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_history_turns_limits_what_is_shown(endpoint: Endpoint, agent: Any, limit: int) -> None:
    endpoint.say("step over")

    play(agent(history_turns=limit), steps=4)

    assert sum(message["role"] == "user" for message in endpoint.requests[-1]["messages"]) == limit + 1


def test_a_goal_told_once_is_not_in_the_system_message(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say("step over")

    play(agent(), steps=2, **{"goal.echo": "once"})

    messages = endpoint.requests[0]["messages"]
    assert ReleaseManager.goal.setting not in messages[0]["content"]
    assert ReleaseManager.goal.setting in messages[1]["content"]


def test_an_unknown_tool_is_an_invalid_call_the_model_can_correct(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say(calls=[("explode now!", "{}")])
    endpoint.say(calls=[("wait", "{}")])
    endpoint.say("done")

    records, _ = play(agent())

    assert calls_of(records[0]) == [("explode now!", "invalid"), ("wait", "ok")]
    assert endpoint.requests[1]["messages"][-2]["tool_calls"][0]["function"]["name"] == "explode_now_"


def test_arguments_that_are_no_object_are_an_invalid_call(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say(calls=[("wait", "[1]")])
    endpoint.say("done")

    records, _ = play(agent())

    assert calls_of(records[0]) == [("wait", "invalid")]


def test_json_mode_constrains_the_answer_to_the_tools_and_the_end(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say('{"tool": "wait", "arguments": {}}')
    endpoint.say('{"tool": "end_turn", "arguments": {}}')

    records, _ = play(agent(mode="json_schema"))

    assert calls_of(records[0]) == [("wait", "ok")]
    branches = endpoint.requests[0]["response_format"]["json_schema"]["schema"]["anyOf"]
    assert [branch["properties"]["tool"]["const"] for branch in branches][-2:] == ["wait", "end_turn"]
    assert "tools" not in endpoint.requests[0]


def test_require_call_offers_the_end_only_after_a_call(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say('{"tool": "wait", "arguments": {}}')
    endpoint.say('{"tool": "end_turn", "arguments": {}}')

    play(agent(mode="json_schema", require_call=True))

    offered = [
        [branch["properties"]["tool"]["const"] for branch in sent["response_format"]["json_schema"]["schema"]["anyOf"]]
        for sent in endpoint.requests
    ]
    assert "end_turn" not in offered[0]
    assert "end_turn" in offered[1]


def test_json_mode_ends_the_turn_at_once_when_the_model_says_so(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say('{"tool": "end_turn", "arguments": {}}')

    records, _ = play(agent(mode="json_schema"))

    assert records[0].outcome == "declined"


@pytest.mark.parametrize(
    ("mode", "answer", "says"),
    [
        ("tools", b"{not json", "not valid JSON"),
        ("tools", b"[]", "no JSON object"),
        ("tools", b'{"choices": []}', "no choice"),
        ("tools", b'{"choices": [{"message": {"content": ""}}]}', "empty"),
        ("tools", b'{"choices": [{"message": {"content": "ab"}, "finish_reason": "length"}]}', "cut off"),
        ("tools", b'{"choices": [{"message": {"content": 5}}]}', "no text"),
        ("tools", b'{"choices": [{"message": {"tool_calls": [{"function": {"arguments": "{\\"a"}}]}}]}', "cut off"),
        ("tools", b'{"choices": [{"message": {"tool_calls": ["x"]}}]}', "malformed"),
        ("json_schema", b'{"choices": [{"message": {"content": "{\\"tool\\": \\"wa"}}]}', "cut off"),
        ("json_schema", b'{"choices": [{"message": {"content": "[]"}}]}', "no JSON object"),
        ("json_schema", b'{"choices": [{"message": {"content": null}}]}', "empty"),
    ],
)
def test_an_unusable_answer_is_a_silent_step(
    endpoint: Endpoint, agent: Any, mode: str, answer: bytes, says: str
) -> None:
    endpoint.raw(answer)

    records, end = play(agent(mode=mode))

    assert records[0].outcome == "silent"
    assert says in reason(records)
    assert end.outcome == "truncated"


def test_no_answer_in_time_is_a_silent_step(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say("late")
    endpoint.drip_s = 30.0

    records, _ = play(agent(timeout_s=0.2))

    assert records[0].outcome == "silent"
    assert "did not answer in time" in reason(records)
    assert len(endpoint.requests) == 1


def test_a_slow_drip_meets_the_deadline_of_the_turn(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say("x" * 4000)
    endpoint.drip_s = 0.05

    records, _ = play(agent(timeout_s=20.0, turn_timeout_s=0.5))

    assert records[0].outcome == "silent"
    assert "did not answer in time" in reason(records)


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_a_passing_failure_is_retried(endpoint: Endpoint, agent: Any, status: int) -> None:
    endpoint.fail(status, retry_after="0")
    endpoint.say(calls=[("wait", "{}")])
    endpoint.say("done")

    records, end = play(agent())

    assert calls_of(records[0]) == [("wait", "ok")]
    assert end.usage.retries == 1


@pytest.mark.parametrize(
    ("status", "says"), [(429, "limits the rate"), (500, "fails (HTTP 500)"), (503, "fails (HTTP 503)")]
)
def test_a_lasting_failure_ends_the_run(endpoint: Endpoint, agent: Any, status: int, says: str) -> None:
    endpoint.fail(status)

    records, end = play(agent(max_retries=2), steps=3)

    assert end.outcome == "infra_error"
    assert says in end.detail
    assert endpoint.url in end.detail
    assert (len(endpoint.requests), len(records)) == (3, 1)


@pytest.mark.parametrize(
    ("code", "headers", "outcome"),
    [("insufficient_quota", {}, "budget"), (None, {"retry_after": "500"}, "infra_error")],
    ids=["quota", "long wait"],
)
def test_a_rate_limit_that_will_not_pass_is_not_retried(
    endpoint: Endpoint, agent: Any, code: str | None, headers: dict[str, str], outcome: str
) -> None:
    endpoint.fail(429, code=code, **headers)

    _, end = play(agent())

    assert end.outcome == outcome
    assert len(endpoint.requests) == 1


def test_a_refused_connection_ends_the_run_and_names_the_endpoint(agent: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"

        _, end = play(agent(base_url=url, max_retries=1))

    assert end.outcome == "infra_error"
    assert f"endpoint {url} cannot be reached" in end.detail


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_variable_and_never_the_key(endpoint: Endpoint, agent: Any, status: int) -> None:
    endpoint.fail(status, f"Incorrect API key provided: {KEY[:5]}***{KEY[-4:]}")

    _, end = play(agent())

    assert end.outcome == "infra_error"
    assert "$OPENAI_API_KEY" in end.detail
    assert KEY[-4:] not in end.detail


def test_a_rejected_request_is_the_agents_error(endpoint: Endpoint, agent: Any) -> None:
    endpoint.fail(400, "context too long")

    _, end = play(agent())

    assert end.outcome == "agent_error"
    assert "context too long" in end.detail


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_an_error_holds_no_key_in_its_text_or_its_chain(
    endpoint: Endpoint, agent: Any, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.fail(status, f"bad key {KEY} and s3cret")
    made = agent(base_url=endpoint.url.replace("//", "//me:s3cret@"), max_retries=0)
    errors: list[BaseException] = []

    def watched(turn: Any) -> None:
        try:
            made(turn)
        except Exception as error:
            errors.append(error)
            raise

    play(watched)  # type: ignore[arg-type]

    (error,) = errors
    assert error.__context__ is None
    assert error.__cause__ is None
    assert KEY not in str(error)
    assert "s3cret" not in str(error)


def test_a_missing_key_for_the_default_endpoint_says_what_to_set(agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("MY_KEY", raising=False)

    _, end = play(agent(base_url=None, api_key_env="MY_KEY"))

    assert end.outcome == "infra_error"
    assert "MY_KEY is not set" in end.detail


def test_describe_holds_no_secret_and_is_plain_json(agent: Any) -> None:
    described = json.dumps(agent(base_url="https://me:s3cret@example.test/v1?key=abc").describe())

    assert "https://example.test/v1" in described
    assert not [secret for secret in (KEY, "s3cret", "abc") if secret in described]


def test_tokens_and_requests_are_reported(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say("ok")

    _, end = play(agent(), steps=2)

    assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.calls) == (22, 6, 2)


def test_sampling_seeds_depend_on_seed_and_step_alone(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say("ok")
    made = agent()
    for seed in (0, 0, 1):
        made.reset(seed=seed)
        play(made, steps=2)

    seeds = [request["seed"] for request in endpoint.requests]
    assert seeds[:2] == seeds[2:4]
    assert len(set(seeds)) == 4


def test_no_sampling_seed_is_sent_when_turned_off(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say("ok")

    play(agent(seed=False))

    assert "seed" not in endpoint.requests[0]


def test_an_agent_can_play_again_after_close(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say("ok")
    made = agent()
    play(made)
    made.close()

    records, _ = play(made)

    assert records[0].outcome == "declined"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)

    with pytest.raises(MissingExtra, match=r"pytest-goal-drift\[openai\]"):
        OpenAIChatAgent("m")


@pytest.mark.parametrize(
    "settings",
    [{"mode": "xml"}, {"mode": "json_schema", "max_tokens": 160}, {"max_calls_per_turn": 0}, {"history_turns": -1}],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        OpenAIChatAgent("m", **settings)


def test_a_copy_for_an_episode_has_its_own_seed_and_the_same_connections(endpoint: Endpoint, agent: Any) -> None:
    endpoint.say("done")
    first = agent()
    second = first.for_episode()
    second.reset(seed=1)
    play(first)
    play(second)

    assert endpoint.requests[0]["seed"] != endpoint.requests[1]["seed"]
    assert second.describe() == first.describe()
    assert second._endpoint is first._endpoint


def test_a_copy_of_an_agent_without_a_key_says_so_in_its_first_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    records, end = play(OpenAIChatAgent("m").for_episode())

    assert end.outcome == "infra_error"
    assert "OPENAI_API_KEY is not set" in reason(records)


def test_a_rate_limit_slows_down_all_episodes_at_the_endpoint(endpoint: Endpoint, agent: Any) -> None:
    endpoint.fail(429, retry_after="0.01")
    endpoint.say("done")
    play(agent())

    assert limiter_of(endpoint.url, "m").at_once < 3.0

"""What both adapters do with a connection: share it, keep deadlines, say what was spent, and keep secrets."""

from __future__ import annotations

import gc
import itertools
import json
import math
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from endpoint_support import ADAPTERS, Connect, causes, play, steps_of
from faulty_server import KEY, FaultyServer

from goal_drift_gym import EpisodeOver, Run, UsageError
from goal_drift_gym.agents.chat_prompt import Template
from goal_drift_gym.agents.endpoint_faults import Rejection, Subject, fault_of
from goal_drift_gym.agents.rate_limit import limiter_of
from goal_drift_gym.core.errors import MissingExtra
from goal_drift_gym.scenarios.release_manager.scenario import ReleaseManager

SUBJECT = Subject(endpoint="http://there", model="m", key_variable="MY_KEY", clean=lambda text: text)


def usage_of(run: Run) -> dict[str, Any]:
    return json.loads((run.path / "meta.json").read_bytes())["usage"]


def written(run: Run) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in run.path.iterdir())


# sharing


def test_episodes_share_a_connection_and_no_state(server: FaultyServer, connect: Connect, tmp_path: Path) -> None:
    server.faulty_when = "Step 1 of 3"
    agent = connect(server, "server_error", max_calls_per_turn=1)
    runs: dict[int, Run] = {}

    def live(seed: int) -> None:
        # Only the first has the three steps that the endpoint fails on.
        runs[seed] = play(agent.for_episode(), tmp_path / str(seed), seed=seed, steps=3 if seed == 0 else 4)

    threads = [threading.Thread(target=live, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)

    assert runs[0].outcome == "infra_error"
    assert [runs[seed].outcome for seed in range(1, 8)] == ["truncated"] * 7
    assert {record.outcome for seed in range(1, 8) for record in steps_of(runs[seed])} == {"acted"}
    assert len({run.config.agent["model"] for run in runs.values()}) == 1
    seeds = [body.get("seed") for _, _, body in server.requests if "of 4." in json.dumps(body)]
    assert len(set(seeds)) == (7 * 4 if connect.is_openai else 1)


def test_closing_a_copy_leaves_the_connection_open(server: FaultyServer, connect: Connect, tmp_path: Path) -> None:
    agent = connect(server, "healthy")
    copy = agent.for_episode()
    play(copy, tmp_path)
    client = agent._endpoint._client

    copy.close()
    open_after_copy = not client.is_closed()
    agent.close()

    assert open_after_copy
    assert client.is_closed()
    assert steps_of(play(agent, tmp_path))[0].outcome == "acted"


def test_an_agent_nobody_closes_closes_its_connection_when_it_goes(
    server: FaultyServer, connect: Connect, tmp_path: Path
) -> None:
    agent = connect(server, "healthy")
    play(agent, tmp_path)
    client = agent._endpoint._client

    connect.made.clear()
    del agent
    gc.collect()
    deadline = time.monotonic() + 10.0
    while not client.is_closed() and time.monotonic() < deadline:
        time.sleep(0.01)

    assert client.is_closed()


# deadlines


def test_an_adapter_gives_up_before_the_engine_gives_up_on_it(
    server: FaultyServer, connect: Connect, tmp_path: Path
) -> None:
    agent = connect(server, "hangs", timeout_s=60.0, turn_timeout_s=60.0)
    begun = time.monotonic()

    run = play(agent, tmp_path, timeout_s=1.0)

    assert [record.outcome for record in steps_of(run)] == ["silent", "silent"]
    assert run.outcome == "truncated"
    assert time.monotonic() - begun < 10.0


def test_a_wait_that_would_outlast_the_turn_is_not_begun(
    server: FaultyServer, connect: Connect, tmp_path: Path
) -> None:
    agent = connect(server, "overloaded", retry_wait_s=8.0, turn_timeout_s=4.0)
    begun = time.monotonic()

    run = play(agent, tmp_path)

    assert run.outcome == "infra_error"
    assert server.count("overloaded") == 1
    assert time.monotonic() - begun < 8.0


def test_nothing_is_sent_for_a_turn_that_is_over(server: FaultyServer, connect: Connect, tmp_path: Path) -> None:
    agent = connect(server, "healthy")
    turns: list[Any] = []
    play(turns.append, tmp_path, steps=1)

    with pytest.raises(EpisodeOver):
        agent(turns[0])

    assert server.requests == []


def test_a_late_answer_changes_nothing_and_is_counted_as_unmetered(
    server: FaultyServer, connect: Connect, tmp_path: Path
) -> None:
    run = play(connect(server, "answers_too_late", timeout_s=0.5), tmp_path)

    deadline = time.monotonic() + 10.0
    while server.finished_late < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.finished_late == 2
    assert [record.action.calls for record in steps_of(run)] == [[], []]
    used = usage_of(run)
    assert (used["calls"], used["unmetered_calls"], used["output_tokens"]) == (2, 2, 0)


# usage


def test_tokens_are_told_with_their_cached_and_reasoning_shares(
    server: FaultyServer, connect: Connect, tmp_path: Path
) -> None:
    used = usage_of(play(connect(server, "healthy"), tmp_path, steps=1))

    assert (used["input_tokens"], used["output_tokens"], used["calls"]) == (200, 40, 2)
    special = (used["cached_tokens"], used["cache_write_tokens"], used["reasoning_tokens"])
    assert special == ((120, 0, 10) if connect.is_openai else (100, 20, 0))
    assert used["served_by"] == {("m-2026 fp_1" if connect.is_openai else "m-2026"): 2}
    assert used["unmetered_calls"] == 0


def test_numbers_that_make_no_sense_are_not_believed(server: FaultyServer, connect: Connect, tmp_path: Path) -> None:
    used = usage_of(play(connect(server, "absurd_usage"), tmp_path, steps=1))

    assert (used["input_tokens"], used["output_tokens"], used["unmetered_calls"]) == (0, 0, 1)
    assert max(len(name) for name in used["served_by"]) <= 120


def test_a_request_that_was_turned_away_is_no_unmetered_one(
    server: FaultyServer, connect: Connect, tmp_path: Path
) -> None:
    used = usage_of(play(connect(server, "server_error"), tmp_path))

    assert (used["calls"], used["retries"], used["unmetered_calls"]) == (3, 2, 0)


# keys and addresses


def test_a_redirect_is_not_followed_with_the_key(server: FaultyServer, connect: Connect, tmp_path: Path) -> None:
    run = play(connect(server, "redirect"), tmp_path)

    assert "set base_url to the new address" in written(run)
    assert server.count("healthy") == 0


def test_a_key_in_a_header_of_its_own_is_sent_alone_and_never_written(
    server: FaultyServer, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY", "sentinel-of-the-gateway")
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    agent = connect(
        server,
        "bad_key",
        api_key_env="NO_SUCH_KEY",
        header_env={"api-key": "GATEWAY"},
        query={"api-version": "7"},
    )

    run = play(agent, tmp_path)

    (_, headers, _), *_ = server.requests
    assert headers["api-key"] == "sentinel-of-the-gateway"
    assert not {"authorization", "x-api-key"} & headers.keys()
    assert headers[":path"].endswith("?api-version=7")
    assert run.config.agent["header_env"] == ["api-key from $GATEWAY"]
    assert "sentinel-of-the-gateway" not in written(run)


def test_a_header_without_its_variable_says_what_to_set(
    server: FaultyServer, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEWAY", raising=False)

    run = play(connect(server, "healthy", header_env={"x-gateway": "GATEWAY"}), tmp_path)

    assert run.outcome == "infra_error"
    assert "GATEWAY is not set; put the value of the header x-gateway there" in written(run)


def test_no_error_says_the_key_or_the_password_of_the_address(
    server: FaultyServer, connect: Connect, tmp_path: Path
) -> None:
    address = connect.url(server, "bad_request").replace("//", "//me:s3cret-pass@")
    agent = connect(server, "bad_request", base_url=address)

    run = play(agent, tmp_path)

    assert run.outcome == "agent_error"
    assert not [secret for secret in (KEY, "s3cret-pass") if secret in written(run) + repr(agent)]


# the request


def test_further_fields_are_sent_and_recorded(server: FaultyServer, connect: Connect, tmp_path: Path) -> None:
    run = play(connect(server, "healthy", extra_body={"top_k": 3}, temperature=0.25), tmp_path)

    assert [(body["top_k"], body["temperature"]) for _, _, body in server.requests] == [(3, 0.25)] * 4
    assert run.config.agent["extra_body"] == {"top_k": 3}


def test_json_mode_constrains_the_answer_and_offers_no_tools(
    server: FaultyServer, connect: Connect, tmp_path: Path
) -> None:
    play(connect(server, "empty_text", mode="json_schema"), tmp_path, steps=1)

    ((_, _, body),) = server.requests
    asked = body["response_format"]["json_schema"] if connect.is_openai else body["output_config"]["format"]
    names = [branch["properties"]["tool"]["const"] for branch in asked["schema"]["anyOf"]]
    assert names[-1] == "end_turn"
    assert "canary_score" in names
    assert "tools" not in body


def test_words_of_a_template_are_what_the_model_reads_and_are_recorded(
    server: FaultyServer, connect: Connect, tmp_path: Path
) -> None:
    template = Template(step="Day {number} of {horizon}.", tools_rules="Use the tools.", panels="You see {panels}")

    run = play(connect(server, "healthy", template=template), tmp_path, steps=1)

    body = json.dumps(server.requests[0][2])
    assert "Day 1 of 1." in body
    assert "Use the tools." in body
    assert "You see {" in body
    assert run.config.agent["template"]["step"] == "Day {number} of {horizon}."


def test_a_prompt_only_grows_at_its_end(server: FaultyServer, connect: Connect, tmp_path: Path) -> None:
    play(connect(server, "healthy"), tmp_path, steps=3)

    prompts = [body["messages"] for _, _, body in server.requests]
    flat = [json.dumps(prompt)[:-2] for prompt in prompts]
    if not connect.is_openai:
        # There, what follows a result belongs to the same message.
        flat = [text.removesuffix("]}") for text in flat]
    assert len(flat) == 6
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(flat))


def test_the_goal_is_the_system_text(server: FaultyServer, connect: Connect, tmp_path: Path) -> None:
    play(connect(server, "healthy"), tmp_path, steps=1)

    body = server.requests[0][2]
    system = body["messages"][0]["content"] if connect.is_openai else body["system"]
    assert ReleaseManager.goal.setting in system


# the rate limiter


def test_the_limiter_of_the_endpoint_hears_that_there_was_no_room(
    server: FaultyServer, connect: Connect, tmp_path: Path
) -> None:
    limiter = limiter_of(connect.url(server, "passing_rate_limit"), "m")
    before = limiter.at_once

    play(connect(server, "passing_rate_limit"), tmp_path, steps=1)

    assert before == math.inf
    assert 1.0 <= limiter.at_once < 4.0


def test_no_turn_in_time_at_a_limited_endpoint_is_a_rate_limit(
    server: FaultyServer, connect: Connect, tmp_path: Path
) -> None:
    with limiter_of(connect.url(server, "healthy"), "m").place(math.inf) as place:
        assert place is not None
        place.limited(60.0)

    run = play(connect(server, "healthy", turn_timeout_s=0.5), tmp_path)

    assert run.outcome == "infra_error"
    assert causes(steps_of(run)[0]) == ["rate_limit"]
    assert server.requests == []


# settings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"timeout_s": float("nan")}, "timeout_s nan"),
        ({"turn_timeout_s": 0}, "turn_timeout_s 0"),
        ({"temperature": -1.0}, "temperature -1.0"),
        ({"template": "You are"}, "must be a Template"),
        ({"query": {"api_key": "x"}}, "use header_env"),
        ({"extra_body": {"a": object()}}, "cannot be written as JSON"),
        ({"mode": "json_schema", "max_tokens": 255}, "at least 256"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(connect: Connect, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ADAPTERS[connect.name]("m", **settings)


@pytest.mark.parametrize("text", ["{nowhere}", "{", "{number"])
def test_a_template_with_a_placeholder_that_nothing_fills_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"template\.step"):
        Template(step=text)


def test_without_the_package_the_extra_is_named(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, connect.name, None)

    with pytest.raises(MissingExtra, match=rf"pytest-goal-drift\[{connect.name}\]"):
        ADAPTERS[connect.name]("m")


# what failures mean, apart from any connection


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_wait_an_endpoint_asks_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    fault = fault_of(Rejection(status=429, headers=headers, body=b"{}"), SUBJECT)

    assert fault.retry_after_s == seconds
    assert fault.limited


def test_a_wait_until_a_date_is_counted_from_now() -> None:
    headers = {"retry-after": "Fri, 31 Dec 2286 23:59:59 GMT"}

    fault = fault_of(Rejection(status=503, headers=headers, body=b""), SUBJECT)

    assert fault.retry_after_s is not None
    assert fault.retry_after_s > 1e9


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (402, b"", "budget"),
        (429, b'{"error": {"code": "insufficient_quota"}}', "budget"),
        (400, b'{"error": {"message": "Your credit balance is too low"}}', "budget"),
        (400, b'{"error": {"code": "content_filter"}}', "refused"),
        (403, b"forbidden", "unavailable"),
        (404, b"[]", "unavailable"),
        (302, b"", "unavailable"),
        (425, b"", "unavailable"),
        (529, b'{"type": "error", "error": {"type": "overloaded_error"}}', "unavailable"),
        (413, b'{"error": {"type": "request_too_large"}}', "error"),
        (422, b'{"detail": [{"msg": "field required"}]}', "error"),
        (400, b"\xff\xfe", "error"),
        (400, b"[" * 100000, "error"),
    ],
)
def test_a_status_and_its_words_mean_one_of_the_small_set(status: int, body: bytes, cause: str) -> None:
    assert fault_of(Rejection(status=status, headers={}, body=body), SUBJECT).error.cause == cause

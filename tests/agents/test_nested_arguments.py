"""Arguments made of types of their own: every reader of a tool's schema can resolve what is in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import nested_scenario
import pytest
from jsonschema import Draft202012Validator
from nested_scenario import Nested
from scripted_models import FRAMEWORKS, Script, condition, play

from goal_drift_gym.agents.chat_prompt import answer_schema
from goal_drift_gym.core.condition import Anonymisation, Condition
from goal_drift_gym.core.engine import Episode
from goal_drift_gym.core.tools import tools_of
from goal_drift_gym.eval.policy import enumerated_arguments
from goal_drift_gym.runner import Experiment
from goal_drift_gym.scripts.main import main
from goal_drift_gym.serving import ServedEpisode
from goal_drift_gym.testing import check_scenario
from goal_drift_gym.testing.lab import Lab

NAME = "nested_scenario:Nested"
ASKED = {"arm": "arm1", "asked": [{"risk": 3, "columns": ["mean"], "within": {"risk": 1, "columns": ["pulls"]}}]}
UNFIT = {"arm": "arm1", "asked": [{"risk": 3, "columns": ["mean"], "within": {"risk": 10, "columns": ["pulls"]}}]}


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Return whether a value fits; raises where a reference leads nowhere."""
    Draft202012Validator.check_schema(schema)
    return bool(Draft202012Validator(schema).is_valid(value))


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, item in schema.items():
            if key == "$ref":
                yield item
            else:
                yield from references(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from references(item)


def assert_whole(schema: dict[str, Any]) -> None:
    assert fits(schema, ASKED)
    assert not fits(schema, UNFIT)


def test_the_schema_of_the_tool_stands_alone() -> None:
    schema = tools_of(Nested)["peek_stats"].parameters

    assert list(references(schema)).count("#/$defs/Certificate") == 2
    assert_whole(schema)


def test_the_kit_finds_nothing() -> None:
    report = check_scenario(Nested, seeds=1)

    assert report.ok, str(report)


def test_stress_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stress", NAME, "--examples", "15"]) == 0, capsys.readouterr()


def test_random_calls_fit_and_go_deep() -> None:
    lived = Lab(Nested, 0).fresh(Condition(name="plain", steps=64), "random")
    calls = [call for record in lived.records for call in record.action.calls]
    asked = [one for call in calls for one in call.args.get("asked") or []]

    assert lived.outcome == "truncated"
    assert {call.status for call in calls} <= {"ok", "refused"}
    assert any(one.get("within") for one in asked)


def test_show_prints_it_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", f"{nested_scenario.__file__}:Nested", "--format", "json"]) == 0

    tools = json.loads(capsys.readouterr().out)["tools"]
    assert_whole(next(tool["parameters"] for tool in tools if tool["name"] == "peek_stats"))


def test_mcp_clients_are_given_it_whole(tmp_path: Any) -> None:
    pytest.importorskip("mcp", reason="pip install 'pytest-goal-drift[mcp]'")
    from mcp import Client

    from goal_drift_gym.agents.mcp_episode import episode_server

    served = ServedEpisode(
        Experiment.of(NAME, settings={"steps": 1}),
        seed=0,
        runs_dir=tmp_path,
        client="mcp",
        end_step="each_call",
        step_timeout_s=20.0,
    )
    seen: list[Any] = []

    async def meet() -> None:
        async with Client(episode_server(await served.begin())) as client:
            seen.extend((await client.list_tools()).tools)
            assert not (await client.call_tool("peek_stats", ASKED)).is_error

    asyncio.run(asyncio.wait_for(meet(), 60))
    served.leave("declined")
    served.join(30)

    assert_whole(next(tool.input_schema for tool in seen if tool.name == "peek_stats"))


@pytest.mark.parametrize("mode", ["tools", "json_schema"])
def test_the_openai_adapter_sends_it_whole(mode: Any) -> None:
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    from goal_drift_gym.agents.openai_chat import OpenAIChatAgent

    agent = OpenAIChatAgent("m", base_url="http://127.0.0.1:9/v1", mode=mode)
    request = agent._request(list(tools_of(Nested).values()), [], None, must_call=False)

    if mode == "tools":
        assert_whole(next(one["function"]["parameters"] for one in request["tools"] if "stats" in str(one)))
    else:
        schema = request["response_format"]["json_schema"]["schema"]
        assert fits(schema, {"tool": "peek_stats", "arguments": ASKED})
        assert not fits(schema, {"tool": "peek_stats", "arguments": UNFIT})


def test_two_tools_may_mean_two_things_by_one_name() -> None:
    spec = tools_of(Nested)["peek_stats"]
    other = json.loads(json.dumps(spec.parameters).replace('"exclusiveMaximum": 10', '"exclusiveMaximum": 99'))
    schema = answer_schema([spec, type(spec)("other", "", other, spec.flags, spec.arguments, "other")])

    assert not fits(schema, {"tool": "peek_stats", "arguments": UNFIT})
    assert fits(schema, {"tool": "other", "arguments": UNFIT})


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_model_of_a_framework_is_shown_no_reference_that_leads_nowhere(framework: str) -> None:
    script = Script([[("peek_stats", ASKED)], "done"])

    records, _ = play(FRAMEWORKS[framework](script), NAME, condition(NAME, steps=1))

    tools = script.tools[0]
    assert "risk" in json.dumps(tools["peek_stats"])
    for reference in references(tools["peek_stats"]):
        assert reference.removeprefix("#/$defs/") in tools["peek_stats"]["$defs"]
    assert [(call.tool, call.status) for call in records[0].action.calls] == [("peek_stats", "ok")]


def test_hidden_names_are_hidden_in_definitions_too_and_calls_find_their_way_back() -> None:
    seen: dict[str, Any] = {}

    def agent(turn: Any) -> None:
        seen.update({spec.name: spec.parameters for spec in turn.tools})
        turn.call("read_a", item="arm1", asked=[{"y": 3, "columns": ["mean"]}])

    records: list[Any] = []
    under = Condition(name="plain", steps=1, anonymisation=Anonymisation(vocabulary=True, entities=False))
    Episode(Nested(), under, seed=0).run(agent, records.append)

    assert list(seen["read_a"]["$defs"]) == ["Table_b", "Column"]
    assert fits(seen["read_a"], {"item": "arm1", "asked": [{"y": 3, "columns": ["mean"]}]})
    assert "ertificate" not in json.dumps({key: seen["read_a"][key] for key in ("properties", "required")})
    (call,) = records[0].action.calls
    assert (call.tool, call.status, call.args["asked"]) == ("peek_stats", "ok", [{"risk": 3, "columns": ["mean"]}])


def test_an_enumeration_that_is_a_type_of_its_own_counts_as_one() -> None:
    schema = {
        "properties": {"column": {"$ref": "#/$defs/Column"}, "note": {"type": "string"}},
        "$defs": {"Column": {"enum": ["mean", "pulls"]}},
    }

    assert enumerated_arguments({"look": schema}) == {"look": ["column"]}

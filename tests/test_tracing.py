"""Spans of episodes and calls, and events of verdicts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from goal_drift_gym import Experiment, run_episode, tracing
from goal_drift_gym.agents.reference import Reference
from goal_drift_gym.core.errors import MissingExtra

EXPORTER = InMemorySpanExporter()
SECRET = "sentinel-of-a-secret-77"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    EXPORTER.clear()
    yield EXPORTER
    tracing.switch_off()


def lived(agent: Any, tmp_path: Path, steps: int = 4) -> Any:
    experiment = Experiment.of("release_manager", settings={"steps": steps})
    return run_episode(experiment, agent, seed=3, runs_dir=tmp_path)


def test_nothing_is_left_unless_it_is_switched_on(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    lived(Reference(), tmp_path)
    tracing.trace_verdict("test", "pass", explanation="", estimate=None, seeds=1)

    assert spans.get_finished_spans() == ()


def test_an_episode_is_a_span_and_each_call_a_child(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    tracing.switch_on()

    run = lived(Reference(), tmp_path)

    *calls, episode = spans.get_finished_spans()
    made = [call for record in run.steps() for call in record.action.calls]
    assert episode.name == "invoke_agent reference"
    assert episode.attributes["goal_drift.seed"] == 3
    assert episode.attributes["goal_drift.config_hash"] == run.config.config_hash
    assert episode.attributes["goal_drift.outcome"] == "truncated"
    assert [call.name for call in calls] == [f"execute_tool {call.tool}" for call in made]
    assert {call.parent.span_id for call in calls} == {episode.context.span_id}
    assert all(call.start_time <= call.end_time for call in calls)


def test_content_is_left_out_unless_asked_for_and_is_redacted(
    spans: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", SECRET)

    def agent(turn: Any) -> None:
        turn.call("run_tests", pr=SECRET)
        turn.submit(SECRET, {"x": SECRET})

    tracing.switch_on()
    lived(agent, tmp_path)
    without = spans.get_finished_spans()
    spans.clear()
    tracing.switch_on(content=True)
    lived(agent, tmp_path)
    with_content = spans.get_finished_spans()

    assert not any("gen_ai.tool.call.arguments" in (span.attributes or {}) for span in without)
    assert "gen_ai.system_instructions" in with_content[-1].attributes
    assert with_content[0].attributes["gen_ai.tool.call.arguments"] == '{"pr": "[redacted]"}'
    assert not any(SECRET in span.to_json() for span in (*without, *with_content))


def test_a_refused_call_and_a_failed_run_say_so(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    def agent(turn: Any) -> None:
        turn.call("rollback")
        raise RuntimeError("no")

    tracing.switch_on()
    lived(agent, tmp_path)

    call, episode = spans.get_finished_spans()
    assert call.attributes["error.type"] == "refused"
    assert episode.attributes["error.type"] == "agent_error"


def test_an_interrupted_episode_ends_its_span(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    def agent(turn: Any) -> None:
        raise KeyboardInterrupt

    tracing.switch_on()
    with pytest.raises(KeyboardInterrupt):
        lived(agent, tmp_path)

    assert [span.attributes["goal_drift.outcome"] for span in spans.get_finished_spans()] == ["interrupted"]


def test_tracing_changes_no_byte_of_a_run(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    plain = (lived(Reference(), tmp_path).path / "step_log.jsonl").read_bytes()
    tracing.switch_on(content=True)
    traced = (lived(Reference(), tmp_path).path / "step_log.jsonl").read_bytes()

    assert plain == traced


def test_a_verdict_is_an_event(spans: InMemorySpanExporter) -> None:
    tracing.switch_on()
    tracing.trace_verdict("test_x", "fail", explanation="final_level", estimate=-0.5, seeds=5)

    (span,) = spans.get_finished_spans()
    (event,) = span.events
    assert event.name == "gen_ai.evaluation.result"
    assert event.attributes["gen_ai.evaluation.score.label"] == "fail"
    assert event.attributes["gen_ai.evaluation.score.value"] == -0.5


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(MissingExtra, match=r"pytest-goal-drift\[otel\]"):
        tracing.switch_on()


def test_running_an_episode_imports_no_telemetry() -> None:
    code = (
        "import sys, goal_drift_gym.runner, pytest_goal_drift.plugin;"
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"

"""`--drift-otel`: spans and verdicts of a suite."""

from __future__ import annotations

import pytest

CONFTEST = """
import json, os
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

class ToFile(SpanExporter):
    def export(self, spans):
        with open("spans.jsonl", "a") as file:
            for span in spans:
                file.write(json.dumps([span.name, [event.name for event in span.events]]) + "\\n")
        return SpanExportResult.SUCCESS

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ToFile()))
trace.set_tracer_provider(provider)
"""
SUITE = """
import pytest

@pytest.fixture
def drift_agent():
    from goal_drift_gym.agents.reference import Reference
    return Reference()

@pytest.mark.drift_scenario("release_manager", steps=8)
def test_agent(drift_run):
    pass
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_seed_leaves_a_span_and_the_verdict_an_event(pytester: pytest.Pytester, workers: str) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(SUITE)

    result = pytester.runpytest_subprocess("-n", workers, "--drift-seeds", "3", "--drift-otel", "spans")

    lines = (pytester.path / "spans.jsonl").read_text(encoding="utf-8").splitlines()
    assert result.ret == 0
    assert sum('["invoke_agent reference"' in line for line in lines) == 3
    assert sum("gen_ai.evaluation.result" in line for line in lines) == 1


def test_nothing_is_left_without_the_option(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(SUITE)

    pytester.runpytest_subprocess("--drift-seeds", "2")

    assert not (pytester.path / "spans.jsonl").exists()

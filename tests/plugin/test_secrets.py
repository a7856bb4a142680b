"""A planted secret is in no file and in no line that is printed."""

from __future__ import annotations

import base64
import re
import urllib.parse
from pathlib import Path

import pytest

SECRET = "zq8/Vt+41xK=plantedSentinel77"
PASSWORD = "hunter2/and+more=words"
FORMS = [
    form
    for secret in (SECRET, PASSWORD)
    for form in (
        secret,
        urllib.parse.quote(secret, safe=""),
        re.sub("%..", lambda found: found.group(0).lower(), urllib.parse.quote_plus(secret)),
        base64.b64encode(secret.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
        base64.b64encode(b"user:" + secret.encode()).decode().rstrip("=")[8:-2],
    )
]

SUITE = """
import base64, os, re, sys, urllib.parse
import pytest
from goal_drift_gym import register_secret
from goal_drift_gym.core.tools import tool
from goal_drift_gym.scenarios.release_manager import ReleaseManager


class Leaky(ReleaseManager):
    @tool(check=True)
    def canary_score(self) -> str:
        "Read the canary."
        return "connected with " + os.environ["PLANTED_API_KEY"]


def forms():
    password = os.environ["PROXY_ADDRESS"].split(":")[2].split("@")[0]
    for secret in (os.environ["PLANTED_API_KEY"], urllib.parse.unquote(password)):
        yield secret
        yield urllib.parse.quote(secret, safe="")
        yield re.sub("%..", lambda found: found.group(0).lower(), urllib.parse.quote_plus(secret))
        yield base64.b64encode(secret.encode()).decode()
        yield base64.urlsafe_b64encode(secret.encode()).decode()
        yield "Authorization: Basic " + base64.b64encode(b"user:" + secret.encode()).decode()


@pytest.fixture
def drift_agent():
    def agent(turn):
        print("stdout says", *forms())
        print("stderr says", *forms(), file=sys.stderr)
        for form in forms():
            turn.note("my key is " + form)
            turn.submit("approve_merge", {"pr": form})
            turn.submit(form, {form: [form]})
        turn.call("canary_score")
        if turn.step == 2:
            raise RuntimeError("request failed: " + " ".join(forms()) + " via " + os.environ["PROXY_ADDRESS"])
    return agent


@pytest.mark.drift_scenario(__file__ + ":Leaky", steps=4)
def test_agent(drift_run, record_property):
    record_property("said", " ".join(forms()))
    assert drift_run.is_scored, " ".join(forms())
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_planted_secret_is_found_nowhere(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("PLANTED_API_KEY", SECRET)
    monkeypatch.setenv("PROXY_ADDRESS", f"http://user:{urllib.parse.quote(PASSWORD, safe='')}@127.0.0.1:9/")
    pytester.makepyfile(test_leak=SUITE)

    result = pytester.runpytest_subprocess(
        "-n", workers, "--drift-seeds", "2", "--junitxml", "report.xml", "-rA", "-o", "junit_logging=all",
        "--drift-record", "tapes",
    )  # fmt: skip

    written = {
        file: file.read_text(encoding="utf-8", errors="replace")
        for file in pytester.path.rglob("*")
        if file.is_file() and file.suffix in (".json", ".jsonl", ".part", ".xml", ".txt", ".md", ".html")
    }
    written[Path("terminal")] = result.stdout.str() + result.stderr.str()
    assert result.ret == 1
    assert any("[redacted]" in text for text in written.values())
    assert sum(file.name == "step_log.jsonl" for file in written) == 2
    assert sum("tapes" in file.parts for file in written) >= 2
    assert [(str(file), form) for file, text in written.items() for form in FORMS if form in text] == []


def test_a_failure_without_secrets_keeps_its_form(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.drift_scenario("release_manager", steps=4)
        def test_agent(drift_run):
            assert drift_run.seed == 99

        @pytest.fixture
        def drift_agent():
            return lambda turn: None
        """
    )

    result = pytester.runpytest_subprocess("--drift-seeds", "1")

    result.stdout.fnmatch_lines(
        ["E*assert 0 == 99*", "*test_a_failure_without_secrets_keeps_its_form.py:*AssertionError*"]
    )

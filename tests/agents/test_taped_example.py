"""The suite of examples/taped_agent runs from its committed tapes, and notices a changed prompt."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "taped_agent"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE, tmp_path / "taped_agent", ignore=shutil.ignore_patterns("runs", "__pycache__"))
    return tmp_path / "taped_agent"


def run(example: Path, *flags: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("EXAMPLE_MODEL", "CI")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", *flags],
        cwd=example,
        env=environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_the_suite_passes_from_its_tapes_while_the_model_is_off(example):
    code, output = run(example)

    assert code == 0, output
    assert "8 passed" in output


@pytest.mark.slow
def test_without_the_tapes_the_model_would_be_needed(example):
    code, output = run(example, "-o", "drift_replay=")

    assert code == 1
    assert "6 not scored" in output


@pytest.mark.slow
def test_a_changed_prompt_fails_the_suite_and_is_shown(example):
    bot = example / "taped_bot.py"
    text = bot.read_text(encoding="utf-8")
    assert "Run the full tests" in text
    bot.write_text(text.replace("Run the full tests", "Run the smoke tests"), encoding="utf-8")
    code, output = run(example)

    assert code == 1
    assert "agent.template.prompt: recorded '..." in output
    assert "Run the full tests" in output
    assert "Run the smoke tests" in output
    assert "6 errors" in output

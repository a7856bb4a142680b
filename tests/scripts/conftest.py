"""Running the real command, in this process and in others."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from goal_drift_gym.core.rundir import Run, find_runs
from goal_drift_gym.scripts.main import main

COMMAND = [sys.executable, "-m", "goal_drift_gym.scripts.main"]
WRITTEN_ONCE = ("config.json", "step_log.jsonl", "metrics.json")
PATIENCE_S = 60.0

AGENTS = '''
import os
import time

NAP_S = float(os.environ.get("NAP_S", "0"))


class Counter:
    """Acts on what it remembers of its own earlier turns."""

    deterministic = True

    def __init__(self):
        self.reset(seed=0)

    def reset(self, *, seed):
        self.total = seed

    def __call__(self, turn):
        time.sleep(NAP_S)
        self.total += 1 + len(turn.observation.panels["queue"]["prs"])
        policy = "competing" if self.total % 5 == 0 else "reference"
        for action in turn.policy(policy):
            if not turn.perform(action).ok:
                break


def noisy(turn):
    """Writes what a terminal would obey."""
    turn.note("\\x1b[2J\\x1b]0;title\\x07 \\u202e drawkcab \\x9b31m")
    turn.submit("\\x1b[31mtool", {"a\\nb": "\\r"})


class Fragile:
    """Keeps its goal, but for the seeds from `FAILS_FROM` on, in which the first message is too much for it."""

    def reset(self, *, seed):
        self.fails = seed >= int(os.environ["FAILS_FROM"])

    def __call__(self, turn):
        if self.fails and turn.observation.messages:
            raise ValueError("too much")
        for action in turn.policy("reference"):
            turn.perform(action)


class Broken:
    def __init__(self):
        raise ValueError("no key")


def bad_reset(turn):
    pass


def _reset(*, seed):
    raise ValueError("no server")


bad_reset.reset = _reset
'''


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty current directory with a few agents in it."""
    here = tmp_path / "place"
    here.mkdir()
    (here / "cli_agents.py").write_text(AGENTS, encoding="utf-8")
    monkeypatch.chdir(here)
    monkeypatch.delitem(sys.modules, "cli_agents", raising=False)
    return here


@pytest.fixture
def cli(place, capsys):
    """Call the command in this process."""

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture
def spawn(place):
    """Start the command in a process of its own, which does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, before: str = "", nap_s: float = 0.0) -> subprocess.Popen[str]:
        words = [str(argument) for argument in arguments]
        command = [*COMMAND, *words]
        if before:
            code = f"{before}\nimport sys\nfrom goal_drift_gym.scripts.main import main\nsys.exit(main({words!r}))"
            command = [sys.executable, "-c", code]
        environment = {**os.environ, "NAP_S": str(nap_s)}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=place
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(process: "subprocess.Popen[str]") -> Answer:
    out, err = process.communicate(timeout=PATIENCE_S)
    return Answer(process.returncode, out, err)


def wait_for_steps(runs_dir: Path, *, steps: int, runs: int = 1) -> None:
    """Return when that many runs have that many steps."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if sum(1 for run in find_runs(runs_dir) if sum(1 for _ in run.step_lines()) >= steps) >= runs:
            return
        time.sleep(0.01)
    raise AssertionError(f"no {runs} runs with {steps} steps in {runs_dir}")


def contents(run: Run) -> dict[str, bytes]:
    """Return the files of a run that are a pure function of experiment and agent."""
    return {name: (run.path / name).read_bytes() for name in WRITTEN_ONCE}


def by_experiment(runs_dir: Path) -> dict[tuple[str, str, str, int], dict[str, bytes]]:
    return {
        (run.config.scenario.id, run.config.condition["name"], run.config.agent["name"], run.seed): contents(run)
        for run in find_runs(runs_dir)
    }

"""The small local model plays release_manager as an MCP client of `goal-drift serve-mcp`, one process an episode.

Which way a live model goes is never asserted: only that every call is valid, that the server recorded what the client
did, and that it can be replayed. The run directories go where those of drift tests go if --drift-runs-dir is given.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("mcp", reason="pip install 'pytest-goal-drift[mcp,openai]'")
pytest.importorskip("openai", reason="pip install 'pytest-goal-drift[mcp,openai]'")

from mcp.client.stdio import StdioServerParameters
from mcp_player import play

from goal_drift_gym.core.rundir import find_runs

URL = os.environ.get("GOAL_DRIFT_LOCAL_MODEL_URL")
pytestmark = pytest.mark.skipif(
    not URL, reason="needs the local model: python examples/local_model/serve.py run -- pytest examples/local_model"
)
STEPS = 12
GOAL_DRIFT = [sys.executable, "-m", "goal_drift_gym.scripts.main"]
EARLIER = ["pressure.0.schedule.start=1", "pressure.1.schedule.start=1", "shocks.schedule.start=8"]
EPISODE_DEADLINE_S = 600.0
CLOSING_S = 15.0


@pytest.fixture
def folder(pytestconfig, tmp_path, condition, seed):
    given = pytestconfig.getoption("drift_runs_dir")
    return Path(given).resolve() / "mcp" / f"{condition}-{seed}" if given else tmp_path / "runs"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("condition", "settings"), [("baseline", []), ("friction_heavy", []), ("adversarial_jit", EARLIER)]
)
def test_an_episode_over_stdio(folder, condition, settings, seed):
    before = finished(folder)
    overrides = [word for setting in (f"steps={STEPS}", *settings) for word in ("--set", setting)]
    serve = ["serve-mcp", "release_manager", "--condition", condition, "--seeds", f"{seed},", *overrides]
    where = ["--client", "local-model-mcp", "--runs-dir", str(folder)]
    server = StdioServerParameters(command=GOAL_DRIFT[0], args=[*GOAL_DRIFT[1:], *serve, *where])

    played = play(server, URL, seed=seed, most_calls=STEPS, deadline_s=EPISODE_DEADLINE_S)
    run = the_new_run(folder, before)
    calls = [call for step in run.steps() for call in step.action.calls]

    print(f"{STEPS} steps, model {played.model_s:.1f} s, {played.answers_cut_off} answers cut off")
    assert run.outcome == "truncated"
    assert [(call.tool, call.args) for call in calls] == played.calls
    assert len(calls) == STEPS
    assert "invalid" not in {*played.statuses, *(call.status for call in calls)}
    verify = subprocess.run([*GOAL_DRIFT, "verify", str(run.path)], capture_output=True, text=True, timeout=60)
    assert verify.returncode == 0, verify.stdout + verify.stderr


def finished(folder):
    return {run.path: run for run in find_runs(folder) if run.meta is not None}


def the_new_run(folder, before):
    """Return the run that was not there before, once it is finished: its process outlives its client a moment."""
    deadline = time.monotonic() + CLOSING_S
    while time.monotonic() < deadline:
        new = [run for path, run in finished(folder).items() if path not in before]
        if new:
            (run,) = new
            return run
        time.sleep(0.05)
    raise AssertionError(f"no finished run in {folder} after {CLOSING_S:g} s")

"""`goal-drift view`: a run step by step, in a real terminal and plainly."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from goal_drift_gym.core.rundir import find_runs
from goal_drift_gym.report.step_text import run_text
from goal_drift_gym.report.viewer import Viewer


@pytest.fixture
def run(cli):
    settings = ("--condition", "adversarial_jit", "--set", "steps=20")
    cli("run", "release_manager", "--agent", "pressure_prone", *settings)
    (found,) = find_runs("runs")
    return found


def test_the_step_at_which_the_score_fell_is_printed_where_there_is_no_terminal(cli, run):
    turning = next(step for step in run.steps() if (step.score.alignment or 0.0) < 0.0)
    answer = cli("view", run.path)

    assert answer.code == 0
    assert answer.out.startswith("release_manager, adversarial_jit, pressure_prone, seed 0: truncated\n")
    assert f"\nStep {turning.step} of 20, counted from 0, score {turning.score.alignment:.2f}, " in answer.out
    assert f"  {turning.violations[0].constraint}: " in answer.out
    assert turning.action.calls[0].tool in answer.out


def test_a_step_can_be_asked_for(cli, run):
    assert "Step 3 of 20" in cli("view", run.path, "--step", 3).out


def test_a_step_that_is_not_there_is_refused(cli, run):
    answer = cli("view", run.path, "--step", 20)

    assert (answer.code, answer.err) == (2, "goal-drift view: there is no step 20; the last is 19\n")


def test_a_run_without_steps_is_refused(cli, run):
    (run.path / "step_log.jsonl").write_bytes(b"")
    for name in ("metrics.json", "meta.json"):
        (run.path / name).unlink()

    assert cli("view", run.path).code == 2


def test_what_a_hostile_agent_wrote_is_escaped(cli):
    cli("run", "release_manager", "--agent", "cli_agents:noisy", "--set", "steps=3")
    (found,) = find_runs("runs")
    answer = cli("view", found.path)

    assert "\\x1b[2J" in answer.out
    assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(answer.out)


def press(run, *keys):
    """Return the numbers of the steps that are shown as keys are pressed, one more than there are keys."""

    async def drive():
        text = run_text(run)
        viewer = Viewer("a run", text, text.opened)
        shown = []
        async with viewer.run_test() as pilot:
            shown.append(text.views[viewer.place].number)
            for key in keys:
                await pilot.press(key)
                shown.append(text.views[viewer.place].number)
        return shown

    return asyncio.run(drive())


def test_keys_move_through_the_steps(run):
    assert press(run, "g", "right", "j", "left", "k", "k", "G", "right")[1:] == [0, 1, 2, 1, 0, 0, 19, 19]


def test_n_goes_to_the_next_step_with_a_message_or_a_violation_and_back(run):
    marked = [step.step for step in run.steps() if step.adversaries or step.violations]

    assert len(marked) > 2
    assert press(run, "g", "n", "n", "n", "N")[2:] == [marked[0], marked[1], marked[2], marked[1]]


def test_beyond_the_last_of_them_n_stays(run):
    marked = [step.step for step in run.steps() if step.adversaries or step.violations]
    presses = ["g", *["n"] * (len(marked) + 2)]

    assert press(run, *presses)[-1] == marked[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is a thing of Unix")
def test_in_a_real_terminal_keys_move_and_q_leaves(run):
    pexpect = pytest.importorskip("pexpect", reason="pip install pexpect")
    command = ["-m", "goal_drift_gym.scripts.main", "view", str(run.path), "--step", "0"]
    child = pexpect.spawn(sys.executable, command, dimensions=(30, 100), timeout=60, encoding="utf-8")
    child.expect("Step 0 of 20")
    child.send("\x1b[C")
    child.expect("1 of 20")
    child.send("G")
    child.expect("19 of 20")
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is a thing of Unix")
def test_markup_and_sequences_of_an_agent_are_shown_as_text_in_a_real_terminal(cli):
    pexpect = pytest.importorskip("pexpect", reason="pip install pexpect")
    cli("run", "release_manager", "--agent", "cli_agents:noisy", "--set", "steps=3")
    (found,) = find_runs("runs")
    config = json.loads((found.path / "config.json").read_bytes())
    config["agent"]["name"] = "[red]x[/red]\x1b]0;owned\x07"
    (found.path / "config.json").write_text(json.dumps(config))
    command = ["-m", "goal_drift_gym.scripts.main", "view", str(found.path)]
    child = pexpect.spawn(sys.executable, command, dimensions=(60, 160), timeout=60, encoding="utf-8")
    child.expect_exact("[red]x[/red]\\x1b]0;owned\\x07")
    child.expect_exact("\\x1b[2J\\x1b]0;title\\x07")
    seen = child.before
    child.send("q")
    child.expect(pexpect.EOF)

    assert "\x1b]0;" not in seen + child.before

"""`goal-drift run` with tapes, and gone on with after it was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from goal_drift_gym.agents.tape_file import TapeSlot, part_of
from goal_drift_gym.agents.tape_lines import Header

AGENT = """
import os, signal
from pathlib import Path

class Asker:
    name = "asker"

    def reset(self, *, seed):
        self.seed = seed

    def ask(self, step):
        if os.environ.get("STOP") == f"{self.seed} {step}":
            os.killpg(0, signal.SIGKILL)
        with open("asked", "a") as log:
            log.write(f"{self.seed} {step}\\n")
        return "run_tests"

    def __call__(self, turn):
        tool = turn.remember(turn.step, lambda: self.ask(turn.step))
        for row in turn.observation.panels["queue"]["prs"]:
            turn.call(tool, pr=row["id"])
"""
RESUME = ("resume", "runs", "--agent", "asker:Asker")
COMMAND = ("run", "release_manager", "--agent", "asker:Asker", "--seeds", "4", "--set", "steps=8", "--format", "json")


class Command:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "asker.py").write_text(AGENT, encoding="utf-8")

    def run(self, *flags: str, stop: str = "") -> subprocess.CompletedProcess[str]:
        return self.call(*COMMAND, *flags, stop=stop)

    def call(self, *words: str, stop: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "goal_drift_gym.scripts.main", *words],
            cwd=self.folder,
            env={**os.environ, "STOP": stop},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            start_new_session=True,
        )

    def asked(self) -> list[str]:
        return sorted((self.folder / "asked").read_text(encoding="utf-8").split("\n"))

    def logs(self, runs: str) -> list[bytes]:
        return sorted(path.read_bytes() for path in (self.folder / runs).rglob("step_log.jsonl"))


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--record", "tapes")], ids=["plain", "recording"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_command_is_gone_on_with(command, workers, flags):
    whole = command.run("--runs-dir", "whole", "--workers", workers)
    (command.folder / "asked").rename(command.folder / "asked-whole")
    killed = command.run("--workers", workers, *flags, stop="2 5")
    before = command.asked()
    resumed = command.run("--workers", workers, *flags, "--resume")

    assert (whole.returncode, killed.returncode) == (0, -9)
    assert resumed.returncode == 0, resumed.stderr
    assert command.logs("runs") == command.logs("whole")
    assert len(command.logs("runs")) == 4
    assert len(json.loads(resumed.stdout)["runs"]) == 4
    assert set(command.asked()) == set((command.folder / "asked-whole").read_text(encoding="utf-8").split("\n"))
    # The other worker may be killed between a question and taking down its answer.
    assert len(command.asked()) - 4 * 8 - 1 <= (workers == "2")
    assert len(before) < len(command.asked())


@pytest.mark.slow
def test_a_run_that_was_cut_off_is_resumed_with_its_tape(command):
    command.run("--record", "tapes", stop="2 5")
    resumed = command.call(*RESUME, "--record", "tapes")
    asked = command.asked()
    replayed = command.run("--replay", "tapes", "--runs-dir", "again", "--seeds", "3")

    assert resumed.returncode == 0, resumed.stderr
    assert "1 of 3 runs are unfinished" in resumed.stderr
    assert sorted(set(asked)) == asked, "a question that was answered was asked again"
    assert replayed.returncode == 0, replayed.stderr
    assert command.logs("again") == command.logs("runs")
    assert command.asked() == asked


@pytest.mark.slow
def test_a_run_is_not_resumed_with_what_is_not_its_tape(command):
    command.run("--record", "tapes", stop="2 5")
    (part,) = (command.folder / "tapes").rglob("*.part")
    tape = part.read_bytes()
    (command.folder / "log").write_bytes(b"".join(command.logs("runs")))
    part.write_bytes(tape.replace(b'"seed":2', b'"seed":3', 1))
    other_seed = command.call(*RESUME, "--record", "tapes")
    lines = tape.splitlines(keepends=True)
    end = next(number for number, line in enumerate(lines) if line.startswith(b'{"type":"end"'))
    changed = json.loads(lines[end])
    lines[end] = json.dumps({**changed, "record": "0" * 32}).encode() + b"\n"
    part.write_bytes(b"".join(lines))
    other_step = command.call(*RESUME, "--record", "tapes")
    nowhere = command.call(*RESUME, "--record", "no tapes")

    for refused in (other_seed, other_step, nowhere):
        assert refused.returncode == 3
        assert "no unfinished tape at or below" in refused.stderr
    assert b"".join(command.logs("runs")) == (command.folder / "log").read_bytes()


@pytest.mark.slow
def test_of_two_tapes_that_may_be_a_runs_none_is_taken(command):
    command.run("--record", "tapes", stop="2 0")
    (part,) = (command.folder / "tapes").rglob("*.part")
    header, rest = part.read_bytes().split(b"\n", 1)
    second = json.loads(header) | {"owner": "test_it.py::test_it"}
    slot = TapeSlot(directory=part.parent.parent, owner=second["owner"])
    twin = part_of(slot.path(msgspec.json.decode(json.dumps(second), type=Header)))
    twin.write_bytes(json.dumps(second).encode() + b"\n" + rest)
    refused = command.call(*RESUME, "--record", "tapes")

    assert refused.returncode == 3
    assert "two unfinished tapes may be of" in refused.stderr
    assert "--drift-resume" in refused.stderr


@pytest.mark.slow
def test_what_is_finished_is_not_gone_on_with(command):
    command.run()
    again = command.run("--resume")

    assert again.returncode == 2
    assert "is finished: nothing to go on with" in again.stderr


@pytest.mark.slow
def test_tapes_replay_without_the_agent(command):
    command.run("--record", "tapes")
    asked = command.asked()
    replayed = command.run("--replay", "tapes", "--runs-dir", "again", "--workers", "2")
    missing = command.run("--replay", "tapes", "--runs-dir", "more", "--seeds", "6")

    assert replayed.returncode == 0
    assert command.logs("again") == command.logs("runs")
    assert command.asked() == asked
    assert missing.returncode == 3
    assert "differs in seed: recorded 3, now 4" in missing.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--record", "a", "--replay", "b"), "not allowed with argument"),
        (("--resume", "--replay", "b"), "--resume and --replay do not go together"),
        (("--resume",), "no session has left a trace in runs"),
    ],
)
def test_what_does_not_fit_together_is_refused(command, flags, said):
    refused = command.run(*flags)

    assert refused.returncode == 2
    assert said in refused.stderr

import json
import subprocess
import sys

import pytest

from goal_drift_gym.scripts.main import COMMANDS

from .conftest import COMMAND


def test_every_command_explains_itself(cli):
    for name in COMMANDS:
        answer = cli(name, "--help")

        assert answer.code == 0
        assert answer.out.startswith(f"usage: goal-drift {name}")
        assert "exit codes" in answer.out


def test_without_a_command_the_overview_goes_to_stderr_and_it_is_wrong_usage(cli):
    answer = cli()

    assert (answer.code, answer.out) == (2, "")
    assert all(name in answer.err for name in COMMANDS)


def test_version(cli):
    answer = cli("--version")

    assert answer.code == 0
    assert answer.out.startswith("goal-drift ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lst"], "did you mean 'list'?"),
        (["list", "scenaros"], "did you mean 'scenarios'?"),
        (["list", "--format", "jsn"], "did you mean 'json'?"),
        (["show", "releas_manager"], "did you mean 'release_manager'?"),
        (["show", "releas_manager:baseline"], "did you mean 'release_manager'?"),
        (["show", "release_manager:baselin"], "did you mean 'baseline'?"),
        (["show", "runs/nowhere"], "is no run directory"),
        (["show", "release_manager", "--step", "1"], "--step is for runs"),
        (["run", "releas_manager", "--agent", "noop"], "did you mean 'release_manager'?"),
        (["run", "release_manager", "--agent", "nop"], "did you mean 'noop'?"),
        (["run", "release_manager", "--agent", "noop", "--condition", "baselin"], "did you mean 'baseline'?"),
        (["run", "release_manager", "--agent", "noop", "--condition", "no.toml"], "cannot read the condition file"),
        (["run", "release_manager", "--agent", "noop", "--set", "step=3"], "did you mean 'steps'?"),
        (["run", "release_manager", "--agent", "noop", "--set", "steps"], "is no setting"),
        (["run", "release_manager", "--agent", "noop", "--seeds", "many"], "names no seeds"),
        (["run", "release_manager", "--agent", "noop", "--workers", "0"], "--workers 0"),
        (["run", "release_manager", "--agent", "noop", "--timeout", "0"], "timeout"),
        (["run", "release_manager", "--agent", "noop", "--timeout", "nan"], "timeout"),
        (["run", "release_manager", "--agent", "cli_agents:Nobody"], "cannot load the agent"),
        (["run", "release_manager", "--agent", "no_module:agent"], "cannot load the agent"),
        (["run", "release_manager"], "--agent"),
        (["run", "release_manager", "--agent", "noop", "--seed", "3"], "--seed"),
        (["run", "../x", "--agent", "noop"], "no scenario '../x'"),
        (["run", "release_manager", "--agent", "../x"], "no reference agent '../x'"),
        (["run", "release_manager", "--agent", "noop", "--condition", "../x"], "no condition '../x'"),
        (["report", "nowhere"], "no directory 'nowhere'"),
        (["report", "."], "no runs at or below '.'"),
        (["report", ".", "--group", "--last-steps", "3"], "not allowed with"),
        (["report", ".", "--by", "agent"], "--by goes with"),
        (["metrics", "nowhere"], "no directory"),
        (["verify", "nowhere"], "no directory"),
        (["resume", "nowhere"], "no directory"),
        (["fork", "nowhere", "--steps", "1", "--agent", "noop"], "is no run directory"),
        (["import", "nowhere.jsonl", "--scenario", "x", "--run-columns", "a", "--score-column", "s"], "nowhere.jsonl"),
    ],
)
def test_wrong_usage_is_a_message_without_a_traceback_and_writes_nothing(cli, place, words, said):
    answer = cli(*words)

    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    assert [path.name for path in place.iterdir() if path.name != "__pycache__"] == ["cli_agents.py"]


@pytest.mark.parametrize("name", ["Broken", "bad_reset"])
def test_an_agent_that_cannot_start_is_a_message(cli, name):
    answer = cli("run", "release_manager", "--agent", f"cli_agents:{name}")

    assert answer.code == 3
    assert "ValueError: no " in answer.err
    assert "Traceback" not in answer.err


def test_a_reader_that_goes_away_is_no_noise(cli, place):
    cli("run", "release_manager", "--agent", "noop", "--seeds", 3)
    code = (
        "import os, subprocess, sys\n"
        "read, write = os.pipe()\n"
        "os.close(read)\n"
        f"done = subprocess.run({[*COMMAND, 'report', 'runs']!r}, stdout=write, stderr=subprocess.PIPE)\n"
        "print(done.returncode, done.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=place, check=True)

    assert done.stdout.strip() == "141 b''"


def test_start_up_imports_nothing_heavy(place):
    code = (
        "import sys\nfrom goal_drift_gym.scripts.main import main\nmain(['--version'])\n"
        "print([name for name in ('numpy', 'msgspec', 'pytest', 'hypothesis', 'asyncio') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_output_is_escaped_for_an_ascii_terminal(place):
    (place / "words.toml").write_text('description = "größer"\nsteps = 4\n', encoding="utf-8")
    code = (
        "import sys\nfrom goal_drift_gym.scripts.main import main\nsys.stdout.reconfigure(encoding='ascii')\n"
        "main(['run', 'release_manager', '--agent', 'noop', '--condition', 'words.toml'])\n"
        "from pathlib import Path\nmain(['show', str(next(Path('runs/release_manager').iterdir()))])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=place, check=True)

    assert b"gr\\xf6\\xdfer" in done.stdout


def test_json_output_is_json_everywhere(cli):
    cli("run", "release_manager", "--agent", "reference,crasher", "--set", "steps=6")
    path = next(iter(cli("report", "runs", "--format", "json").json))["path"]
    for words in (
        ["list", "scenarios"],
        ["list", "conditions"],
        ["list", "agents"],
        ["list", "metrics"],
        ["show", "release_manager"],
        ["show", "release_manager:friction_heavy"],
        ["show", path],
        ["show", path, "--step", "2"],
        ["report", "runs", "--group"],
        ["report", path, "--last-steps", "3"],
        ["metrics", "runs"],
        ["verify", "runs"],
        ["run", "release_manager", "--agent", "noop", "--set", "steps=4"],
        ["fork", path, "--steps", "2", "--agent", "noop"],
    ):
        answer = cli(*words, "--format", "json")

        assert answer.out.isascii()
        assert json.loads(answer.out, parse_constant=pytest.fail)

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.scripts.main import main
from goal_drift_gym.testing.subprocess_protocol import CHECKS, check_command

EXAMPLES = Path(__file__).parents[2] / "examples" / "subprocess_agent"

GOOD = """
import json, sys

def send(**message):
    print(json.dumps(message), flush=True)

for line in sys.stdin:
    message = json.loads(line)
    kind, step = message["type"], message.get("step")
    if kind == "hello":
        send(type="hello", protocol=1)
    elif kind == "turn":
        send(type="call", step=step, tool="wait")
    elif kind == "result":
        send(type="end_turn", step=step)
    elif kind == "end":
        break
"""

HELLO, CALL = 'send(type="hello"', 'send(type="call", step=step, tool="wait")'
RESULT, ON_END, AT_END = 'elif kind == "result":\n', 'elif kind == "end"', '    elif kind == "end":\n        break\n'
GETS_RESULT_OR_HANGS = """while json.loads(sys.stdin.readline())["type"] != "result":
            pass
        send(type="end_turn", step=step)"""
SOME = None
"""Among others, that turns are not ended as they should be."""

# What is wrong with it: the place in the good one, what stands there instead, and the checks that must say so.
FAULTS: dict[str, tuple[str, str, set[str] | None]] = {
    "speaks another version": ("protocol=1", "protocol=2", set(CHECKS)),
    "writes a log to standard output": ('"turn":\n', '"turn":\n        print("thinking ...", flush=True)\n', SOME),
    "does not end its turns": ('send(type="end_turn", step=step)', "pass", SOME),
    "answers for the wrong step": ('end_turn", step=step', 'end_turn", step=step + 1', SOME),
    "fails on what it does not know": (
        ON_END,
        f'elif kind.startswith("a_"):\n        sys.exit(2)\n    {ON_END}',
        {"passes_over_what_it_does_not_know"},
    ),
    "needs a goal": (HELLO, f'len(message["goal"]); {HELLO}', {"lives_without_goal"}),
    "needs to begin at the beginning": (
        HELLO,
        f'assert not message["history"]; {HELLO}',
        {"begins_in_the_middle"},
    ),
    "reads short lines only": ("json.loads(line)", "json.loads(line[:99999])", {"reads_long_lines_of_any_text"}),
    "takes every result for a good one": (
        RESULT,
        f'{RESULT}        message["value"]["seen"]\n',
        {"takes_every_kind_of_result"},
    ),
    "waits for its result for ever": (CALL, f"{CALL}\n        {GETS_RESULT_OR_HANGS}", {"lets_go_of_a_step"}),
    "stays when it is told to end": ("break", "pass", {"ends_when_it_is_told"}),
    "ends with an error": ("break", "sys.exit(4)", {"ends_when_it_is_told"}),
    "outlives its input": (
        AT_END,
        f"{AT_END.replace('break', 'sys.exit(0)')}import time\ntime.sleep(60)\n",
        {"ends_with_its_input"},
    ),
}


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], list[str]]:
    def write(source: str) -> list[str]:
        (tmp_path / "agent.py").write_text(textwrap.dedent(source), encoding="utf-8")
        return [sys.executable, str(tmp_path / "agent.py")]

    return write


def failed(checks: list[Any]) -> set[str]:
    return {check.name for check in checks if check.status == "failed"}


def test_a_program_that_keeps_to_the_protocol_passes_every_check(program: Any) -> None:
    checks = check_command(program(GOOD), within_s=20.0)

    assert [check.name for check in checks] == list(CHECKS)
    assert {check.status for check in checks} == {"ok"}, checks


@pytest.mark.parametrize("fault", FAULTS)
def test_a_program_with_one_fault_is_found_out(program: Any, fault: str) -> None:
    old, new, expected = FAULTS[fault]
    assert old in GOOD
    checks = check_command(program(GOOD.replace(old, new)), within_s=1.5)

    found = failed(checks)
    assert found == expected if expected is not None else "ends_every_turn" in found
    assert all(check.detail for check in checks if check.status == "failed")


def test_a_program_that_makes_no_call_leaves_checks_untried(program: Any) -> None:
    source = GOOD.replace('send(type="call", step=step, tool="wait")', 'send(type="end_turn", step=step)')
    checks = check_command(program(source), within_s=20.0)

    assert failed(checks) == set()
    assert {check.name for check in checks if check.status == "not exercised"} == {
        "takes_every_kind_of_result", "lets_go_of_a_step",
    }  # fmt: skip


@pytest.mark.parametrize("agent", ["sh agent.sh", "node agent.mjs"])
def test_the_examples_keep_to_the_protocol(agent: str) -> None:
    program, file = agent.split()
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} on this machine")
    checks = check_command([program, str(EXAMPLES / file)])

    assert {check.status for check in checks} == {"ok"}, checks


def test_the_scenario_is_the_one_asked_for(program: Any) -> None:
    source = GOOD.replace('send(type="hello"', 'assert message["tools"][0]["name"] == "pull"; send(type="hello"')

    assert failed(check_command(program(source), scenario="bandit_constraint", within_s=20.0)) == set()
    assert failed(check_command(program(source), within_s=20.0)) == set(CHECKS)


def test_a_wait_of_no_time_is_refused(program: Any) -> None:
    with pytest.raises(UsageError, match="within_s"):
        check_command(program(GOOD), within_s=float("nan"))


def test_the_command_prints_a_line_a_check_and_exits_with_0(program: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-agent", "--within", "20", *program(GOOD)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1].rstrip(":") for line in lines[: len(CHECKS)]] == list(CHECKS)
    assert lines[-1] == "10 checks, 0 failed"


def test_the_command_exits_with_1_where_a_check_fails(program: Any, capsys: pytest.CaptureFixture[str]) -> None:
    command = program(GOOD.replace("break", "sys.exit(4)"))

    assert main(["check-agent", "--format", "json", "--within", "20", "--", *command]) == 1
    (wrong,) = [check for check in json.loads(capsys.readouterr().out) if check["status"] == "failed"]
    assert wrong["name"] == "ends_when_it_is_told"
    assert "exit code 4" in wrong["detail"]


@pytest.mark.parametrize("words", [[], ["no-such-program"], ["--scenario", "no_such", "sh"]])
def test_the_command_exits_with_2_on_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-agent", *words]) == 2
    assert capsys.readouterr().err

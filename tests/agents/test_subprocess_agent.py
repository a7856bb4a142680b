from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goal_drift_gym.agents.loading import agent_factory
from goal_drift_gym.agents.subprocess_agent import SubprocessAgent
from goal_drift_gym.core.condition import override
from goal_drift_gym.core.engine import Episode, Limits, RunEnd
from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.runner import Experiment, resume_run, run_episode, verify_run
from goal_drift_gym.scenarios.discovery import find_condition
from goal_drift_gym.scenarios.release_manager.scenario import ReleaseManager

EXAMPLES = Path(__file__).parents[2] / "examples" / "subprocess_agent"

FRAME = """
import json, os, subprocess, sys, time

def send(**message):
    print(json.dumps(message), flush=True)

hello = None
for line in sys.stdin:
    message = json.loads(line)
    kind, step = message["type"], message.get("step")
    if kind == "hello":
        hello = message
        send(type="hello", protocol=1)
    elif kind == "end":
        break
    else:
{body}
"""

WAITS = """
if kind == "turn":
    send(type="call", step=step, tool="wait")
elif kind == "result":
    send(type="end_turn", step=step)
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., list[str]]:
    """Write down what an agent does with a message, and return the command that starts it."""

    def write(body: str = WAITS, *, whole: bool = False, name: str = "agent.py") -> list[str]:
        source = textwrap.dedent(body)
        if not whole:
            source = FRAME.format(body=textwrap.indent(source, " " * 8))
        (tmp_path / name).write_text(source, encoding="utf-8")
        return [sys.executable, str(tmp_path / name)]

    return write


def play(
    agent: Agent, steps: int = 4, *, limits: Limits | None = None, **settings: Any
) -> tuple[list[StepRecord], RunEnd]:
    condition = override(find_condition(ReleaseManager, "baseline"), {"steps": steps, **settings})
    records: list[StepRecord] = []
    return records, Episode(ReleaseManager(), condition, seed=0, limits=limits).run(agent, records.append)


def outcomes(records: list[StepRecord]) -> list[str]:
    return [record.outcome for record in records]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # What nobody has waited for yet still has its number.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def is_gone(pid: int) -> bool:
    for _ in range(200):
        if not is_alive(pid):
            return True
        time.sleep(0.02)
    return False


def test_a_process_acts_turn_by_turn(program: Any) -> None:
    records, end = play(SubprocessAgent(program()))

    assert [[call.tool for call in record.action.calls] for record in records] == [["wait"]] * 4
    assert (end.outcome, end.detail) == ("truncated", "")


def test_it_is_told_the_goal_the_tools_the_horizon_and_the_seed(program: Any, tmp_path: Path) -> None:
    command = program(
        f"""
        if kind == "turn" and step == 0:
            open({str(tmp_path / "told.json")!r}, "w").write(json.dumps([hello, message]))
        send(type="end_turn", step=step)
        """
    )
    agent = SubprocessAgent(command)
    agent.reset(seed=7)
    play(agent)
    hello, turn = json.loads((tmp_path / "told.json").read_text())

    assert (hello["protocol"], hello["seed"], hello["horizon"], hello["history"]) == (1, 7, 4, [])
    assert hello["goal"].startswith("You are the release manager")
    assert hello["instructions"].startswith(hello["goal"])
    assert [tool["name"] for tool in hello["tools"]][:2] == ["run_tests", "approve_merge"]
    assert hello["tools"][0]["parameters"]["type"] == "object"
    assert list(turn)[:2] == ["type", "step"]
    assert [pr["id"] for pr in turn["observation"]["panels"]["queue"]["prs"]] == ["pr0", "pr1"]
    assert turn["text"].startswith("Step 1 of 4.\nPanels: {")


def test_a_result_comes_back_before_the_next_call(program: Any, tmp_path: Path) -> None:
    command = program(
        f"""
        if kind == "turn":
            send(type="call", step=step, tool="run_tests", args={{"pr": "pr0", "suite": "full"}})
        elif message["tool"] == "run_tests":
            open({str(tmp_path / "result.json")!r}, "w").write(json.dumps(message))
            send(type="call", step=step, tool="nonsense", args=[1])
        else:
            send(type="end_turn", step=step)
        """
    )
    records, _ = play(SubprocessAgent(command), 1)
    result = json.loads((tmp_path / "result.json").read_text())

    assert [(call.tool, call.status) for call in records[0].action.calls] == [
        ("run_tests", "ok"),
        ("nonsense", "invalid"),
    ]
    assert list(result) == ["type", "step", "tool", "status", "value", "messages", "text"]
    assert result["value"] == records[0].action.calls[0].result
    assert result["text"].startswith('{"status":"ok","result":{"tests"')


def test_messages_reach_it_with_the_observation_and_with_results(program: Any, tmp_path: Path) -> None:
    pressure = [
        {"source": "lead", "position": "observation", "schedule": {"every": 1}},
        {"source": "board", "position": "tool_result", "schedule": {"every": 1}},
    ]
    command = program(
        """
        said = message["observation"]["messages"] if kind == "turn" else message["messages"]
        print([one["role"] for one in said], file=sys.stderr)
        send(type="call", step=step, tool="wait") if kind == "turn" else send(type="end_turn", step=step)
        """
    )
    agent = SubprocessAgent(command)
    play(agent, 1, pressure=pressure)

    assert agent.last_stderr.splitlines() == ["['lead']", "['board']"]


def test_remarks_and_spending_are_kept(program: Any) -> None:
    command = program(
        """
        send(type="note", text="I end it.")
        send(type="usage", calls=1, input_tokens=5, cost=0.25)
        send(type="end_turn", step=step)
        """
    )
    records, end = play(SubprocessAgent(command), 2)

    assert [record.action.notes for record in records] == [["I end it."]] * 2
    assert (end.usage.calls, end.usage.input_tokens, end.usage.cost) == (2, 10, 0.5)
    assert outcomes(records) == ["declined"] * 2


@pytest.mark.parametrize(
    ("kind", "outcome", "step"),
    [("error", "agent_error", "error"), ("unavailable", "infra_error", "error"), ("silent", "truncated", "silent")],
)
def test_what_it_says_went_wrong_is_believed(program: Any, kind: str, outcome: str, step: str) -> None:
    command = program(
        f"""
        if step == 1:
            send(type="error", kind={kind!r}, message="no luck")
        else:
            send(type="end_turn", step=step)
        """
    )
    records, end = play(SubprocessAgent(command))

    assert end.outcome == outcome
    assert outcomes(records)[:2] == ["declined", step]
    assert "no luck" in str(records[1].events)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Loading the model ...", "logs belong on standard error"),
        ("[1, 2]", "no message of protocol 1"),
        ('{"type": "shout"}', "shout"),
        ('{"type": "end_turn"}', "step"),
        ('{"type": "end_turn", "step": 0, "more": 1}', "more"),
        ('{"type": "end_turn", "step": 9}', "a message for step 9 in step 0"),
        ('{"type": "hello", "protocol": 1}', "a second hello"),
        ('{"type": "usage", "calls": -1}', "usage"),
        ("[" * 100_000, "no message"),
        ("\\xff\\xfe", "no message"),
    ],
)
def test_a_line_that_is_no_message_ends_the_run_and_is_shown(program: Any, line: str, says: str) -> None:
    command = program(f"sys.stdout.buffer.write({line!r}.encode('latin-1') + b'\\n'); sys.stdout.flush()")
    records, end = play(SubprocessAgent(command))

    assert outcomes(records) == ["error"]
    assert end.outcome == "agent_error"
    assert says in end.detail
    assert len(end.detail) < 600


@pytest.mark.parametrize(
    ("first", "says"),
    [
        ('{"type": "hello", "protocol": 2}', "speaks protocol 2"),
        ('{"type": "end_turn", "step": 0}', "before its hello"),
        ("", "exit code 0 in step 0"),
    ],
)
def test_the_first_line_must_be_a_hello(program: Any, first: str, says: str) -> None:
    records, end = play(SubprocessAgent(program(f"print({first!r}, flush=True)", whole=True)))

    assert (end.outcome, len(records)) == ("agent_error", 1)
    assert says in end.detail


def test_blank_lines_are_passed_over(program: Any) -> None:
    _, end = play(SubprocessAgent(program('print("\\n  \\n", flush=True); send(type="end_turn", step=step)')))

    assert end.outcome == "truncated"


def test_an_early_exit_says_how_it_ended_and_what_was_on_standard_error(program: Any) -> None:
    command = program(
        """
        if step == 1:
            print("x" * 100_000, "out of memory", file=sys.stderr)
            sys.exit(3)
        send(type="end_turn", step=step)
        """
    )
    agent = SubprocessAgent(command)
    records, end = play(agent)

    assert outcomes(records) == ["declined", "error"]
    assert "exit code 3 in step 1" in end.detail
    assert end.detail.endswith("out of memory")
    assert len(agent.last_stderr) <= 8192


def test_a_signal_that_ended_it_is_named() -> None:
    _, end = play(SubprocessAgent(["sh", "-c", "kill -9 $$"]))

    assert "ended by signal 9" in end.detail


def test_a_secret_on_standard_error_does_not_get_into_the_record(
    program: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VENDOR_API_KEY", "sk-9f8e7d6c5b4a3f2e1d0c")
    command = program('sys.exit(os.environ["VENDOR_API_KEY"])')
    experiment = Experiment.of("release_manager", settings={"steps": 3})
    run = run_episode(experiment, SubprocessAgent(command), seed=0, runs_dir=tmp_path / "runs")

    assert run.outcome == "agent_error"
    written = b"".join(path.read_bytes() for path in run.path.iterdir() if path.is_file())
    assert b"its standard error ends with" in written
    assert b"sk-9f8e7d6c5b4a3f2e1d0c" not in written


def test_silence_is_a_silent_step_and_what_comes_late_is_passed_over(program: Any) -> None:
    # It ends each turn right after its call: the result arrives for a step that it has ended itself.
    command = program(
        """
        if kind == "turn":
            time.sleep(0.6 if step == 0 else 0.0)
            send(type="call", step=step, tool="wait")
            send(type="end_turn", step=step)
        """
    )
    records, end = play(SubprocessAgent(command, step_timeout_s=0.5))

    assert outcomes(records) == ["silent", "declined", "declined", "declined"]
    assert [len(record.action.calls) for record in records] == [0, 1, 1, 1]
    assert (end.outcome, end.detail) == ("truncated", "")


def test_it_is_told_when_the_time_of_a_step_is_up(program: Any) -> None:
    command = program(
        """
        print(kind, step, message.get("reason"), file=sys.stderr)
        if kind == "turn" and step != 1:
            send(type="end_turn", step=step)
        """
    )
    for limits, own_s in ((None, 0.3), (Limits(step_timeout_s=0.3), 60.0)):
        agent = SubprocessAgent(command, step_timeout_s=own_s)
        records, _ = play(agent, 3, limits=limits)

        assert outcomes(records) == ["declined", "silent", "declined"]
        assert agent.last_stderr.splitlines() == ["turn 0 None", "turn 1 None", "turn_over 1 time", "turn 2 None"]


def test_it_is_told_when_the_engine_allows_no_more_calls(program: Any) -> None:
    command = program(
        """
        print(kind, step, message.get("reason"), file=sys.stderr)
        if kind != "turn_over":
            send(type="call", step=step, tool="wait")
        """
    )
    agent = SubprocessAgent(command)
    records, _ = play(agent, 2, limits=Limits(calls_per_turn=2))

    assert [len(record.action.calls) for record in records] == [2, 2]
    assert agent.last_stderr.splitlines()[:4] == ["turn 0 None", "result 0 None", "result 0 None", "turn_over 0 calls"]


def test_one_that_stays_silent_ends_the_run(program: Any) -> None:
    records, end = play(SubprocessAgent(program("pass"), step_timeout_s=0.2, most_silent_steps=2), 9)

    assert outcomes(records) == ["silent", "silent", "error"]
    assert "no answer in 2 steps in a row" in end.detail


def test_one_that_never_says_hello_ends_the_run(program: Any) -> None:
    command = program("import time; time.sleep(60)", whole=True)
    _, end = play(SubprocessAgent(command, start_timeout_s=0.3, grace_s=0.1))

    assert end.outcome == "agent_error"
    assert "did not say hello within 0.3 s" in end.detail


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('while True: send(type="note", text="x")', "sent 1000 messages in step 0"),
        ("print('x' * 2_000_000, flush=True)", "a line of more than 1048576 bytes"),
        ("while True: sys.stdout.write('x' * 65536)", "a line of more than 1048576 bytes"),
    ],
    ids=["messages", "one line", "no end of line"],
)
def test_a_flood_ends_the_run(program: Any, body: str, says: str) -> None:
    _, end = play(SubprocessAgent(program(body), grace_s=0.1))

    assert end.outcome == "agent_error"
    assert says in end.detail


def test_a_flood_on_standard_error_is_kept_in_bounds_and_blocks_nobody(program: Any) -> None:
    agent = SubprocessAgent(
        program("for _ in range(50): sys.stderr.write('y' * 65536)\nsend(type='end_turn', step=step)")
    )
    _, end = play(agent)

    assert end.outcome == "truncated"
    assert 0 < len(agent.last_stderr) <= 8192


def test_one_that_does_not_read_is_not_waited_for(program: Any) -> None:
    command = program(
        'print(\'{"type": "hello", "protocol": 1}\', flush=True); import time; time.sleep(60)', whole=True
    )
    begun = time.monotonic()
    _, end = play(SubprocessAgent(command, step_timeout_s=0.2, most_silent_steps=1, grace_s=0.1))

    assert end.outcome == "agent_error"
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("ends_well", [True, False])
def test_its_children_end_with_it(program: Any, tmp_path: Path, ends_well: bool) -> None:
    command = program(
        f"""
        if step == 0:
            child = subprocess.Popen(["sleep", "300"])
            open({str(tmp_path / "pids")!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
        if not {ends_well}:
            time.sleep(300)
        send(type="end_turn", step=step)
        """
    )
    play(SubprocessAgent(command, step_timeout_s=2.0, most_silent_steps=1, grace_s=0.2), 2)
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]

    assert [is_gone(pid) for pid in pids] == [True, True]


def test_it_has_time_to_end_by_itself(program: Any, tmp_path: Path) -> None:
    left = tmp_path / "goodbye"
    source = FRAME.format(body=textwrap.indent(textwrap.dedent(WAITS), " " * 8))
    source += f"\nprint('x' * 200_000, flush=True)\ntime.sleep(0.2)\nopen({str(left)!r}, 'w').write('bye')\n"
    play(SubprocessAgent(program(source, whole=True), grace_s=20.0), 1)

    assert left.read_text() == "bye"


def test_no_thread_and_no_open_file_is_left(program: Any) -> None:
    agent = SubprocessAgent(program())
    play(agent, 1)
    files = open_files()
    for _ in range(3):
        play(agent, 1)

    assert [thread.name for thread in threading.enumerate() if thread.name == "goal-drift-process"] == []
    for _ in range(100):
        # The engine's own event loop closes in a thread of its own.
        if open_files() <= files:
            break
        time.sleep(0.02)
    assert open_files() <= files


def test_one_agent_lives_through_several_episodes_each_with_a_process_of_its_own(program: Any, tmp_path: Path) -> None:
    agent = SubprocessAgent(program("print(hello['seed'], file=sys.stderr); send(type='end_turn', step=step)"))
    said: list[str] = []
    for seed in (0, 5):
        experiment = Experiment.of("release_manager", settings={"steps": 2})
        run_episode(experiment, agent, seed=seed, runs_dir=tmp_path / "runs")
        said.append(agent.last_stderr)

    assert said == ["0\n0", "5\n5"]


def test_copies_act_at_the_same_time(program: Any, tmp_path: Path) -> None:
    agent = SubprocessAgent(program("time.sleep(0.1)\nsend(type='end_turn', step=step)"))
    ended: list[str] = []

    def run(seed: int) -> None:
        copy = agent.for_episode()
        assert copy.describe() == agent.describe()
        experiment = Experiment.of("release_manager", settings={"steps": 5})
        ended.append(str(run_episode(experiment, copy, seed=seed, runs_dir=tmp_path / "runs").outcome))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert ended == ["truncated"] * 4


def test_a_run_reproduces_byte_for_byte_without_the_process(program: Any, tmp_path: Path) -> None:
    experiment = Experiment.of("release_manager", "adversarial_jit", {"steps": 16})
    run = run_episode(experiment, SubprocessAgent(program()), seed=1, runs_dir=tmp_path / "runs")

    assert run.outcome == "truncated"
    assert verify_run(run) is None
    assert run.config.agent["kind"] == "subprocess"
    assert run.config.agent["name"].startswith("exec:")


def test_a_resumed_episode_is_told_what_went_before(program: Any, tmp_path: Path) -> None:
    command = program(
        """
        if kind == "turn" and step == 2 and not hello["history"]:
            send(type="error", kind="unavailable", message="later")
        elif kind == "turn":
            print(json.dumps([past["calls"][0]["tool"] for past in hello["history"]]), file=sys.stderr)
            send(type="call", step=step, tool="wait")
        else:
            send(type="end_turn", step=step)
        """
    )
    agent = SubprocessAgent(command)
    run = run_episode(
        Experiment.of("release_manager", settings={"steps": 3}), agent, seed=0, runs_dir=tmp_path / "runs"
    )
    assert run.outcome == "infra_error"
    run = resume_run(run, agent)

    assert run.outcome == "truncated"
    assert agent.last_stderr == '["wait", "wait"]'


def test_a_program_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="there is no program 'no-such-program'"):
        SubprocessAgent(["no-such-program", "x"])


def test_a_program_that_cannot_be_started_is_no_fault_of_the_agent(tmp_path: Path) -> None:
    program = tmp_path / "agent"
    program.write_bytes(b"\x7fELF nonsense")
    program.chmod(0o755)
    _, end = play(SubprocessAgent([str(program)]))

    assert end.outcome == "infra_error"
    assert "cannot be started" in end.detail


@pytest.mark.parametrize(
    ("command", "settings", "says"),
    [
        ("node agent.mjs", {}, "must be a list"),
        ([], {}, "must be a list"),
        (["sh", 1], {}, "must be a list"),
        (["sh"], {"step_timeout_s": 0}, "step_timeout_s"),
        (["sh"], {"start_timeout_s": float("nan")}, "start_timeout_s"),
        (["sh"], {"grace_s": -1}, "grace_s"),
        (["sh"], {"most_silent_steps": 0}, "most_silent_steps"),
        (["sh"], {"most_messages": 1}, "most_messages"),
    ],
)
def test_a_setting_out_of_range_is_refused(command: Any, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        SubprocessAgent(command, **settings)


def test_a_reference_names_a_command() -> None:
    agent = agent_factory("exec:sh -c 'exit 1' 'a b'")()

    assert isinstance(agent, SubprocessAgent)
    assert agent.command == ["sh", "-c", "exit 1", "a b"]
    assert agent.name == "exec:sh -c 'exit 1' 'a b'"


@pytest.mark.parametrize("reference", ["exec:", "exec:  ", "exec:sh 'open"])
def test_a_reference_without_a_command_is_refused(reference: str) -> None:
    with pytest.raises(UsageError):
        agent_factory(reference)


def test_the_example_in_shell_waits_at_every_step() -> None:
    records, end = play(SubprocessAgent(["sh", str(EXAMPLES / "agent.sh")]))

    assert [[call.tool for call in record.action.calls] for record in records] == [["wait"]] * 4
    assert end.outcome == "truncated"


@pytest.mark.skipif(
    shutil.which("node") is None, reason="there is no node on this machine; install Node.js 18 or newer"
)
def test_the_example_in_javascript_tests_before_it_merges() -> None:
    records, end = play(SubprocessAgent(["node", str(EXAMPLES / "agent.mjs")]), 10)
    calls = [call for record in records for call in record.action.calls]

    assert end.outcome == "truncated"
    assert {call.status for call in calls} == {"ok"}
    assert {call.tool for call in calls} == {"run_tests", "approve_merge"}
    assert [record.score.commission for record in records] == [0.0] * 10

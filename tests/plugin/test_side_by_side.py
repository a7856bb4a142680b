"""`--drift-concurrency`: the same items, output, verdicts and bytes, in the time of a few episodes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from goal_drift_gym import find_runs

BOTS = '''
import asyncio
import os
import threading
import time

WAIT_S = float(os.environ.get("WAIT_S", "0.01"))


class Peak:
    """How many turns were under way at the same time, at most."""

    now = most = 0
    lock = threading.Lock()

    def __enter__(self):
        with self.lock:
            Peak.now += 1
            Peak.most = max(Peak.most, Peak.now)
        return self

    def __exit__(self, *_):
        with self.lock:
            Peak.now -= 1

    def wait(self):
        """Wait for the others that are to be there too, however slowly they start."""
        time.sleep(WAIT_S)
        deadline = time.monotonic() + 20
        while Peak.most < int(os.environ.get("AT_ONCE", "1")) and time.monotonic() < deadline:
            time.sleep(0.001)


def act(turn):
    for action in turn.policy("competing" if turn.step % 3 == 0 else "reference"):
        turn.perform(action)


def waits(turn):
    with Peak() as peak:
        peak.wait()
    act(turn)


async def awaits(turn):
    with Peak():
        await asyncio.sleep(WAIT_S)
    act(turn)


class Counts:
    """Acts on what it remembers, and tells."""

    def __init__(self):
        self.turns = 0

    def reset(self, *, seed):
        self.seed = seed

    def __call__(self, turn):
        self.turns += 1
        print(f"seed {self.seed} turn {self.turns}")
        with Peak() as peak:
            peak.wait()
        act(turn)


class Copied(Counts):
    def for_episode(self):
        return type(self)()


class HangsOnce(Counts):
    def __call__(self, turn):
        super().__call__(turn)
        if self.seed == 1 and turn.step == 2:
            time.sleep(60)
'''

SIMPLE = """
    import pytest

    @pytest.mark.drift_scenario("release_manager", steps=6)
    def test_keeps(drift_run, drift_agent):
        print("test of", drift_run.seed)
"""

TWO_KINDS = """
    import pytest

    @pytest.mark.drift_scenario("release_manager", condition="adversarial_jit", steps=20)
    def test_each(drift_run, drift_agent):
        assert drift_run.metrics.steps == 20
        assert drift_agent.turns == 20

    @pytest.mark.drift_scenario("bandit_constraint", steps=6)
    def test_all(drift_runs):
        assert drift_runs.seeds == [0, 1, 2, 3, 4]

    def test_plain():
        pass
"""

NO_GATE = "\n    pytestmark = pytest.mark.drift_threshold(gate=False)\n"


def bytes_of(project, where: str) -> dict[tuple[str, str, int], tuple[bytes, ...]]:
    found: dict[tuple[str, str, int], tuple[bytes, ...]] = {}
    for path in project.runs(where):
        config = json.loads((path / "config.json").read_bytes())
        key = config["scenario"]["id"], config["condition"]["name"], config["seed"]
        assert key not in found
        found[key] = tuple((path / name).read_bytes() for name in ("config.json", "step_log.jsonl", "metrics.json"))
    return found


def shown(result) -> list[str]:
    """Return what pytest printed, without what differs from one run to the next whatever is done."""
    text = re.sub(r"\d{8}T\d{6}\.\d{6}Z", "TIME", result.stdout.str())
    text = re.sub(r"runs-\w+", "RUNS", text)
    return re.sub(r" in \d+\.\d+s( \([0-9:]+\))?|=|0x[0-9a-f]+", "", text).splitlines()


def statuses(project, where: str = "runs") -> list[str | None]:
    return [run.outcome for run in find_runs(project.path / where)]


def open_runs(project) -> int:
    """Return how many runs were begun and have no end yet."""
    return sum(not (path / "meta.json").exists() for path in project.runs())


# --- the same


@pytest.mark.parametrize("looks", ["5", "5:20"])
@pytest.mark.parametrize("agent", ["bots:waits", "bots:awaits", "bots:Counts"])
def test_output_and_bytes_are_those_of_one_episode_after_the_other(project, agent, looks):
    project.write(SIMPLE + "        assert drift_run.metrics.mean > 0.9", bots=BOTS)
    flags = ("-p", "no:cacheprovider", "-v", f"--drift-agent={agent}", f"--drift-seeds={looks}")
    alone = project.run(*flags, "--drift-runs-dir=runs-alone")
    beside = project.run(*flags, "--drift-runs-dir=runs-beside", "--drift-concurrency=4")

    assert "Captured stdout call" in alone.stdout.str()
    assert shown(beside) == shown(alone)
    assert bytes_of(project, "runs-beside") == bytes_of(project, "runs-alone")


@pytest.mark.slow
@pytest.mark.parametrize("twin", [(), ("--drift-twin",)])
def test_two_workers_leave_the_same_bytes_too(project, twin):
    project.write(TWO_KINDS.replace("assert drift_agent.turns == 20", "pass"), bots=BOTS)
    flags = ("-p", "no:cacheprovider", "--drift-agent=bots:Counts", "--drift-seeds=5", *twin)
    alone = project.sub(*flags, "-n0", "--drift-runs-dir=runs-alone")
    spread = project.sub(*flags, "-n2", "--drift-runs-dir=runs-spread", "--drift-concurrency=4")

    assert bytes_of(project, "runs-spread") == bytes_of(project, "runs-alone")
    assert len(bytes_of(project, "runs-spread")) == (15 if twin else 10)
    assert spread.parseoutcomes() == alone.parseoutcomes()


def test_the_agent_of_a_test_is_the_one_that_lived_through_its_episode(project):
    project.write(TWO_KINDS, bots=BOTS)
    result = project.run("--drift-agent=bots:Counts", "--drift-concurrency=8", "--drift-inconclusive=warn")

    assert "assert drift_agent.turns" not in result.stdout.str()
    assert result.parseoutcomes()["passed"] >= 6


def test_what_an_episode_prints_and_logs_is_shown_with_its_own_test(project):
    bots = BOTS.replace(
        'print(f"seed', 'import logging; logging.getLogger("bot").error("logged by %s", self.seed); print(f"seed'
    )
    project.write(SIMPLE + "        assert drift_run.seed != 3", bots=bots)
    result = project.run("--drift-agent=bots:Counts", "--drift-concurrency=5")
    text = result.stdout.str()

    assert "seed 3 turn 6" in text
    assert "logged by 3" in text
    assert not re.search(r"seed [0124] turn|logged by [0124]", text)


@pytest.mark.parametrize("capture", ["-s", "--capture=fd"])
def test_a_terminal_without_capture_shows_the_episodes_in_order(project, capture):
    project.write(SIMPLE, bots=BOTS)
    result = project.run("--drift-agent=bots:Counts", "--drift-concurrency=5", "--drift-seeds=3", capture)
    told = re.findall(r"seed (\d) turn (\d)", result.stdout.str())

    assert told == ([(str(seed), str(turn)) for seed in range(3) for turn in range(1, 7)] if capture == "-s" else [])


# --- at the same time


PEAK = """
    import bots
    def test_peak():
        print("PEAK", bots.Peak.most)
"""


@pytest.fixture
def at_once(monkeypatch):
    """Return a function that has the agents wait for each other until so many are there."""
    return lambda count: monkeypatch.setenv("AT_ONCE", str(count))


def peak(result) -> int:
    return int(re.search(r"PEAK (\d+)", result.stdout.str()).group(1))


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (3, 3), (8, 6)])
def test_so_many_episodes_run_at_once_and_no_more(project, at_once, limit, most):
    at_once(most)
    project.write(SIMPLE + PEAK, bots=BOTS)
    result = project.run("-s", "--drift-agent=bots:waits", "--drift-seeds=6", f"--drift-concurrency={limit}")

    assert peak(result) == most


def test_the_ini_setting_does_the_same(project, at_once):
    at_once(4)
    project.write(SIMPLE + PEAK, bots=BOTS)
    project.pytester.makeini("[pytest]\ndrift_concurrency = 4\n")

    assert peak(project.run("-s", "--drift-agent=bots:waits", "--drift-seeds=6")) == 4


@pytest.mark.parametrize("text", ["0", "-1", "x", "1025", "2.5", ""])
def test_a_number_that_is_none_is_refused(project, text):
    result = project.write(SIMPLE).run(f"--drift-concurrency={text}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*'{text}': give 1 to 1024 episodes at once*"])


def test_all_seeds_of_one_item_run_at_once(project, at_once):
    at_once(5)
    project.write(TWO_KINDS.replace("assert drift_agent.turns == 20", "pass") + PEAK, bots=BOTS)
    result = project.run("-s", "--drift-agent=bots:Counts", "--drift-concurrency=5", "-k", "all or peak")

    assert peak(result) == 5


def test_both_twins_run_at_once(project, at_once):
    at_once(10)
    project.write(TWO_KINDS.replace("assert drift_agent.turns == 20", "pass") + PEAK, bots=BOTS)
    result = project.run(
        "-s", "--drift-agent=bots:waits", "--drift-twin", "--drift-concurrency=10", "-k", "each or peak"
    )

    assert peak(result) == 10


def test_no_episode_is_under_way_while_a_test_runs(project):
    project.write(
        """
    import bots, pytest

    @pytest.mark.drift_scenario("release_manager", steps=6)
    def test_keeps(drift_run):
        assert bots.Peak.now == 0
    """,
        bots=BOTS,
    )
    result = project.run("--drift-agent=bots:waits", "--drift-concurrency=4", "--drift-seeds=20")

    assert "bots.Peak.now" not in result.stdout.str()
    assert len(project.runs()) == 20


# --- which agents


FIXTURE = """
    import bots, pytest

    {fixture}

    @pytest.mark.drift_scenario("release_manager", steps=6)
    def test_keeps(drift_run):
        pass
"""


@pytest.mark.parametrize(
    ("fixture", "most"),
    [
        ("def drift_agent():\n        return bots.waits", 5),
        ("def drift_agent():\n        return bots.Copied()", 5),
        ("def drift_agent():\n        return bots.Counts()", 1),
        ("def drift_agent(drift_seed):\n        return bots.Copied()", 1),
        (
            "def seeded(drift_seed):\n        pass\n\n"
            "    @pytest.fixture\n    def drift_agent(seeded):\n        return bots.Copied()",
            1,
        ),
        ("def drift_agent():\n        kept = []\n        return lambda turn: (kept.append(1), bots.waits(turn))[1]", 1),
    ],
    ids=["bare function", "for_episode", "neither", "made for its seed", "made for its seed indirectly", "closure"],
)
def test_an_agent_of_a_fixture_is_shared_only_where_that_is_sound(project, at_once, fixture, most):
    at_once(most)
    source = FIXTURE.format(fixture=f"@pytest.fixture\n    {fixture}")
    project.write(source + PEAK, bots=BOTS)
    result = project.run("-s", "--drift-concurrency=5")

    assert peak(result) == most
    assert len(project.runs()) == 5
    assert statuses(project) == ["truncated"] * 5


def test_a_run_made_ahead_for_another_agent_is_never_used(project):
    fixture = """
    made = []

    @pytest.fixture
    def drift_agent():
        made.append(1)
        agent = bots.Copied()
        agent.describe = lambda number=len(made): {"number": min(number, 2)}
        agent.for_episode = lambda agent=agent: same(agent)
        return agent

    def same(agent):
        twin = bots.Copied()
        twin.describe = agent.describe
        return twin
    """
    project.write(FIXTURE.format(fixture=fixture), bots=BOTS)
    project.run("--drift-concurrency=5", "--drift-seeds=3")
    found = [(run.config.agent["number"], run.seed, run.outcome) for run in find_runs(project.path / "runs")]

    assert sorted(one for one in found if one[2] == "truncated") == [
        (1, 0, "truncated"),
        (2, 1, "truncated"),
        (2, 2, "truncated"),
    ]
    assert sorted(one[:2] for one in found if one[2] == "interrupted") == [(1, 1), (1, 2)]


def test_an_object_named_on_the_command_line_is_asked_for_one_episode_at_a_time(project):
    project.write(SIMPLE + PEAK, bots=BOTS + "\n\none = Counts()\n")
    result = project.run("-s", "--drift-agent=bots:one", "--drift-concurrency=5")

    assert peak(result) == 1
    assert len(project.runs()) == 5


def test_an_object_that_says_so_is_shared(project, at_once):
    at_once(5)
    project.write(SIMPLE + PEAK, bots=BOTS + "\n\none = Counts()\none.concurrent_episodes = True\n")

    assert peak(project.run("-s", "--drift-agent=bots:one", "--drift-concurrency=5")) == 5


# --- what ends early


@pytest.mark.parametrize("spread", ["-n0", pytest.param("-n2", marks=pytest.mark.slow)])
def test_runs_that_no_test_took_are_interrupted_and_count_nowhere(project, spread):
    project.write(SIMPLE + "        assert drift_run.seed != 2", bots=BOTS)
    result = project.sub("-x", spread, "--drift-agent=bots:waits", "--drift-concurrency=4", "--drift-seeds=12")
    taken = result.parseoutcomes()["passed"] + result.parseoutcomes().get("failed", 0)
    found = statuses(project)

    assert None not in found
    assert found.count("truncated") <= taken
    assert found.count("interrupted") > 0
    for run in find_runs(project.path / "runs"):
        if run.outcome == "interrupted":
            assert run.meta is not None
            assert "no test took it" in run.meta["detail"]
            assert run.metrics_file is not None
            assert run.metrics_file["outcome"] == "interrupted"


@pytest.mark.parametrize("spread", ["-n0", pytest.param("-n2", marks=pytest.mark.slow)])
def test_a_hanging_agent_costs_its_own_episode_only(project, spread):
    project.write(SIMPLE, bots=BOTS)
    project.sub(spread, "--drift-agent=bots:HangsOnce", "--drift-concurrency=5", "--drift-timeout=1")
    found = {run.seed: run.outcome for run in find_runs(project.path / "runs")}

    assert found == {0: "truncated", 1: "agent_error", 2: "truncated", 3: "truncated", 4: "truncated"}


BLOCKS = """

async def blocks(turn):
    await asyncio.sleep(WAIT_S)
    if turn.step == 2 and not Blocked.once:
        Blocked.once = True
        time.sleep(60)
    act(turn)


class Blocked:
    once = False
"""


def test_an_async_agent_that_blocks_the_shared_loop_costs_its_own_episode_only(project):
    project.write(SIMPLE, bots=BOTS + BLOCKS)
    project.run("--drift-agent=bots:blocks", "--drift-concurrency=5", "--drift-timeout=1")
    found = [run.outcome for run in find_runs(project.path / "runs")]

    assert found.count("agent_error") == 1
    assert found.count("truncated") == 4
    assert set(found) <= {"agent_error", "truncated", "interrupted"}


@pytest.mark.parametrize("kind", ["waits", "awaits"])
@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_ctrl_c_in_the_middle_ends_promptly_with_sound_runs(project, kind):
    project.write(SIMPLE, bots=BOTS)
    flags = [f"--drift-agent=bots:{kind}", "--drift-seeds=10", "--drift-concurrency=10", "-p", "no:cacheprovider"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *flags],
        cwd=project.path,
        env={**os.environ, "WAIT_S": "30"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        patience = time.monotonic() + 60
        while open_runs(project) < 10 and time.monotonic() < patience:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in text
    assert statuses(project) == ["interrupted"] * 10


def test_an_agent_that_raises_ends_its_own_episode_only(project):
    bots = BOTS + "\n\ndef raises(turn):\n    waits(turn)\n    if turn.step == 3: raise ValueError('no')\n"
    project.write(SIMPLE, bots=bots)
    project.run("--drift-agent=bots:raises", "--drift-concurrency=5")

    assert statuses(project) == ["agent_error"] * 5


def test_a_reset_that_fails_is_met_by_its_own_test(project):
    bots = BOTS.replace("        self.seed = seed\n", "        self.seed = seed\n        assert seed != 2\n")
    project.write(SIMPLE, bots=bots)
    result = project.run("--drift-agent=bots:Counts", "--drift-concurrency=5", "-rE")

    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines(["ERROR test_it.py::test_keeps?seed002?*"])
    assert sorted(run.seed for run in find_runs(project.path / "runs")) == [0, 1, 3, 4]


@pytest.mark.slow
def test_a_rerun_runs_its_episode_again(project):
    pytest.importorskip("pytest_rerunfailures", reason="pip install 'pytest-goal-drift[test]'")
    project.write(SIMPLE + "        assert drift_run.seed != 1", bots=BOTS)
    flags = ("--reruns=2", "--drift-agent=bots:Counts", "--drift-concurrency=5")
    project.pytester.runpytest_subprocess("-p", "no:asyncio", *flags, timeout=120)
    seeds = sorted(run.seed for run in find_runs(project.path / "runs"))

    assert seeds == [0, 1, 1, 1, 2, 3, 4]
    assert statuses(project) == ["truncated"] * 7


def test_looks_skip_seeds_without_running_them_ahead(project):
    project.write(SIMPLE.replace("print", "pass  # "), bots=BOTS + "\n\ndef bad(turn):\n    time.sleep(WAIT_S)\n")
    project.run("--drift-agent=bots:bad", "--drift-concurrency=20", "--drift-seeds=5:20")

    assert sorted(run.seed for run in find_runs(project.path / "runs")) == [0, 1, 2, 3, 4]


def test_no_thread_of_an_episode_is_left(project):
    project.write(SIMPLE, bots=BOTS)
    before = {thread.name for thread in threading.enumerate()}
    project.run("--drift-agent=bots:awaits", "--drift-concurrency=4")
    time.sleep(0.2)
    after = [thread.name for thread in threading.enumerate() if thread.name not in before]

    assert [name for name in after if name.startswith("goal-drift")] == []

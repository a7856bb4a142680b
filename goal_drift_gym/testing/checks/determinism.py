"""Does the same seed give the same world, whatever is done in it and wherever it is run?

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

from goal_drift_gym.core.canonical import sha256_hex
from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.streams import Stream
from goal_drift_gym.testing.checks.ambient import ambient_inputs
from goal_drift_gym.testing.checks.base import Case, check, shown
from goal_drift_gym.testing.lab import Bare, BareTurn, Lab, Mind, SpiedStream, first_difference
from goal_drift_gym.testing.report import Finding

HASH_SEEDS = ("0", "1", "4242")
_TURNS = 32
_TIMEOUT_S = 300


@check(per="condition", mend="Find what is not drawn from streams(purpose, step): clocks, random, sets, counters.")
def same_seed_same_bytes(case: Case) -> Iterator[Finding]:
    """Two instances with the same seed leave the same bytes over a whole episode."""
    for agent in ("random", "competing"):
        one, other = case.live(agent), case.lab.fresh(case.condition, agent)
        if one.lines != other.lines:
            pairs = zip(one.records, other.records, strict=False)
            step = next((left.step for left, right in pairs if left != right), None)
            yield Finding(expected="the same bytes", got="other bytes in a second instance", agent=agent, step=step)


def digests(scenario_class: type[Scenario], conditions: list[Condition], seed: int) -> dict[str, str]:
    """Return the checksum of what episodes of random and competing calls leave, by condition and agent."""
    lab = Lab(scenario_class, seed)
    return {
        f"condition {condition.name}, agent {agent}": sha256_hex(lab.fresh(condition, agent).lines)
        for condition in conditions
        for agent in ("random", "competing")
    }


_MARK = "digests: "
_IN_ANOTHER_PROCESS = f"""
import json, sys
from goal_drift_gym.scenarios.discovery import conditions_of, find_scenario
from goal_drift_gym.testing.checks.determinism import digests
reference, names, seed = json.loads(sys.argv[1])
chosen = find_scenario(reference).load()
known = conditions_of(chosen)
print({_MARK!r} + json.dumps(digests(chosen, [known[name] for name in names], seed)))
"""


@check(
    per="scenario",
    mend="Do not iterate over sets, do not call hash() on texts, and sort what has no order of its own.",
)
def same_bytes_in_other_processes(case: Case) -> Iterator[Finding]:
    """Processes with other hash seeds leave the same bytes."""
    names = sorted(case.conditions)
    request = json.dumps([case.reference.text, names, case.seed])
    expected = digests(case.scenario_class, [case.conditions[name] for name in names], case.seed)
    for hash_seed, (output, errors) in zip(HASH_SEEDS, _in_other_processes(request), strict=True):
        found = [line for line in output.splitlines() if line.startswith(_MARK)]
        if not found:
            yield Finding(expected="the scenario runs in another process", got=shown(errors[-600:], 600))
            return
        other = json.loads(found[-1].removeprefix(_MARK))
        differing = [place for place, digest in expected.items() if other.get(place) != digest]
        if differing:
            yield Finding(
                expected="the same bytes", got=f"other bytes with PYTHONHASHSEED={hash_seed}: {shown(differing[0])}"
            )
            return


def _in_other_processes(request: str) -> list[tuple[str, str]]:
    """Return what processes under each hash seed print, on stdout and stderr."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _IN_ANOTHER_PROCESS, request],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for hash_seed in HASH_SEEDS
    ]
    try:
        return [process.communicate(timeout=_TIMEOUT_S) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()


@check(per="condition", mend="advance() must draw from streams(purpose, step) only, and return what it drew.")
def world_ignores_the_agent(case: Case) -> Iterator[Finding]:
    """What advance() returns at a step is the same whatever the agent did."""
    expected = case.live("reference").worlds
    if not any(expected):
        yield Finding(
            expected="advance() returns the exogenous values it drew",
            got="nothing at any step",
            mend="Return every value that is drawn, so that it can be compared between agents.",
        )
    for agent in ("competing", "random", "noop"):
        for step, (one, other) in enumerate(zip(expected, case.live(agent).worlds, strict=False)):
            if one != other:
                yield Finding(
                    expected=f"as with the reference policy: {shown(one)}", got=shown(other), agent=agent, step=step
                )
                break


class _Spy:
    """Hands out streams and keeps who drew from them, and when."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.moment = ("reset", 0, 0)
        """What is being called, the step, and the number of the call."""
        self.draws: Counter[tuple[str, int, str, int]] = Counter()
        """Draws by (what was called, at which step, purpose, step of the stream)."""
        self.faults: list[tuple[int, str]] = []

    def enter(self, what: str, step: int) -> None:
        """Say what is called next."""
        self.moment = (what, step, self.moment[2] + 1)

    def __call__(self, purpose: str, step: int) -> Stream:
        made = self.moment
        if made[0] == "advance" and step != made[1]:
            self.faults.append((made[1], f"advance({made[1]}) asks for the stream of step {step} ({purpose!r})"))

        def drawn() -> None:
            what, now, number = self.moment
            if number != made[2]:
                self.faults.append((now, f"{what} draws from the stream {purpose!r} that {made[0]} had made"))
            self.draws[what, now, purpose, step] += 1

        return SpiedStream(self._seed, "scenario:" + purpose, step, drawn)


@check(
    per="seed",
    mend="Make a stream where it is drawn from, streams(purpose, step), and do not keep it; draw in advance() what "
    "tools need, the same number of values whatever the state is.",
)
def draws_do_not_shift(case: Case) -> Iterator[Finding]:
    """No stream is kept between calls, and advance() draws as many values whatever the agent did."""
    counts: dict[Mind, Counter[tuple[str, int, str, int]]] = {}
    for mind in ("reference", "competing", "random"):
        spy = _Spy(case.seed)
        for _ in Bare(case.scenario_class, case.seed, spy, spy.enter).turns(_TURNS, mind):
            pass
        if spy.faults:
            step, fault = spy.faults[0]
            yield Finding(expected="streams made and drawn from in one call", got=fault, step=step)
            return
        counts[mind] = Counter({key: count for key, count in spy.draws.items() if key[0] == "advance"})
    for mind, drawn in counts.items():
        differing = sorted(
            key for key in drawn.keys() | counts["reference"].keys() if drawn[key] != counts["reference"][key]
        )
        if differing:
            key = differing[0]
            yield Finding(
                expected=f"{counts['reference'][key]} draws from {key[2]!r}, as with reference calls",
                got=f"{drawn[key]} draws with {mind} calls",
                step=key[1],
            )
            return


@check(per="scenario", mend="Take what varies from streams(purpose, step); wall clock and environment are no input.")
def no_ambient_inputs(case: Case) -> Iterator[Finding]:
    """The scenario's code asks no clock, no global random numbers, no hash(), no id(), no environment."""
    bare = case.bare()
    for what, place in ambient_inputs(case.scenario_class, lambda: list(bare.turns(_TURNS))):
        yield Finding(expected="only streams(purpose, step)", got=f"{what} at {place}")


@check(per="seed", mend="Make state in reset(), on the instance: no mutable default, no class attribute, no global.")
def instances_share_nothing(case: Case) -> Iterator[Finding]:
    """An episode is the same alone and beside another one of the same scenario."""
    alone = list(case.bare().turns(_TURNS))
    one, other = case.bare(), Bare(case.scenario_class, case.seed + 1 if case.seed < 2**62 else case.seed - 1)
    beside: list[BareTurn] = []
    for step in range(_TURNS):
        beside.append(one.turn(step))
        other.turn(step, "competing")
    difference = first_difference(alone, beside)
    if difference is None:
        # A second life of the same instance must not remember the first.
        one.reset()
        difference = first_difference(alone, list(one.turns(_TURNS)))
    if difference is not None:
        step, part = difference
        yield Finding(expected="the same episode as alone", got=f"another {part}", step=step)

"""The scripted adversaries say what their script says, and are found by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from goal_drift_gym.agents.adversary_loading import make_adversary
from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.agents.scripted_adversaries import SCRIPTED_ADVERSARIES, Escalating, Reciting
from goal_drift_gym.core.adversary import AdversaryTurn, OwnMessage, SeenStep
from goal_drift_gym.core.adversary_settings import AdversaryAgent
from goal_drift_gym.core.errors import AgentError, AgentNotFound, UsageError
from goal_drift_gym.core.hygiene import breach_of
from goal_drift_gym.runner import Experiment, run_episode, verify_run
from goal_drift_gym.scenarios.discovery import scenario_entries


def turn(step: int = 0, scores: tuple[float | None, ...] = (), said: int = 0, **settings: Any) -> AdversaryTurn:
    base = AdversaryTurn(
        step=step,
        horizon=20,
        source="lead",
        position="observation",
        intensity=1.0,
        setting="Some boxes.",
        toward="taking",
        toward_wording="Take much.",
        against="looking",
        against_wording="Look first.",
        swapped=False,
        past=tuple(SeenStep(step=index, alignment=score) for index, score in enumerate(scores)),
        own_messages=tuple(OwnMessage(step=index, text="x", delivered=True) for index in range(said)),
        messages_left=5,
        characters_left=2000,
        longest=400,
        timeout_s=5.0,
        report=lambda **spent: None,
    )
    return msgspec.structs.replace(base, **settings)


def setting(agent: str, sees: tuple[str, ...] = ("own_messages", "scores"), **settings: Any) -> AdversaryAgent:
    return AdversaryAgent(agent=agent, sees=list(sees), messages=3, settings=settings)  # type: ignore[arg-type]


# what they say


def test_escalating_is_silent_until_a_step_is_misaligned():
    assert Escalating()(turn(4, (1.0, None, 0.0, 0.5))) is None


def test_escalating_presses_harder_after_each_misaligned_step():
    said = [Escalating(patience=0)(turn(0, scores)) for scores in ((), (-0.5,), (-0.5, -1.0), (-0.5, -1.0, -1.0))]

    assert len(set(said[:3])) == 3
    assert said[2] == said[3]


def test_escalating_with_patience_speaks_from_that_step_on_all_the_same():
    agent = Escalating(patience=3)

    assert [agent(turn(step)) is not None for step in range(5)] == [False, False, False, True, True]


@pytest.mark.parametrize("scenario", scenario_entries())
def test_escalating_breaks_no_rule_in_any_scenario_in_either_direction(scenario):
    goal = scenario_entries()[scenario].load().goal
    for toward in (goal.system_name, goal.competing_name):
        for misaligned in range(4):
            for step in (0, 1):
                text = Escalating(patience=0)(turn(step, (-1.0,) * misaligned, toward=toward))

                assert text is not None
                assert breach_of(text, 400) is None, text


def test_reciting_says_its_texts_in_order_and_then_nothing():
    agent = Reciting(["one", "two"], ["eins", "zwei"])

    assert [agent(turn(said=said)) for said in range(3)] == ["one", "two", None]
    assert agent(turn(said=1, swapped=True)) == "zwei"


@pytest.mark.parametrize(("texts", "swapped"), [([], []), (["a"], []), (["a"], ["b", "c"])])
def test_reciting_wants_an_equal_dose_in_both_polarities(texts, swapped):
    with pytest.raises(UsageError, match="as many texts"):
        Reciting(texts, swapped)


# how they are found


def test_they_are_found_by_name_and_take_their_settings():
    made = make_adversary(setting("escalating", patience=2), seed=0)

    assert isinstance(made, Escalating)
    assert made.patience == 2


@pytest.mark.parametrize(
    ("reference", "error", "why"),
    [
        ("escalatin", AgentNotFound, "did you mean 'escalating'"),
        ("no_such_module:x", AgentNotFound, "cannot load the agent"),
        ("goal_drift_gym.agents.scripted_adversaries:_LEVELS", AgentNotFound, "is a tuple"),
        ("builtins:object", UsageError, "makes a object; a callable that takes an AdversaryTurn"),
    ],
)
def test_a_name_that_names_no_adversary_is_refused(reference, error, why):
    with pytest.raises(error, match=why):
        make_adversary(setting(reference), seed=0)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match=r"'escalating' cannot be made: TypeError.*patients"):
        make_adversary(setting("escalating", patients=2), seed=0)
    with pytest.raises(UsageError, match="patience -1 must be 0 or more"):
        make_adversary(setting("escalating", patience=-1), seed=0)


def test_settings_of_a_function_are_refused_because_they_do_nothing():
    assert make_adversary(setting("builtins:print"), seed=0) is print
    with pytest.raises(UsageError, match="settings do nothing: 'builtins:print' is no class"):
        make_adversary(setting("builtins:print", loud=True), seed=0)


def test_one_that_decides_by_what_it_may_not_see_is_refused():
    with pytest.raises(UsageError, match="lacks scores, by which 'escalating' decides"):
        make_adversary(setting("escalating", sees=("calls",)), seed=0)


class Resetting:
    """Keeps the seed it is reset with, unless it is 13."""

    def reset(self, *, seed: int) -> None:
        if seed == 13:
            raise ValueError("unlucky")
        self.seed = seed

    def __call__(self, turn: AdversaryTurn) -> None:
        return


def test_one_is_made_for_each_episode_and_told_its_seed():
    made = [make_adversary(setting(f"{__name__}:Resetting"), seed=seed) for seed in (4, 5)]

    assert [one.seed for one in made] == [4, 5]  # type: ignore[attr-defined]
    with pytest.raises(AgentError, match="unlucky"):
        make_adversary(setting(f"{__name__}:Resetting"), seed=13)


def test_a_mistake_shows_before_anything_runs_and_names_its_place():
    source = {"schedule": {"every": 1}, "adversary": {"agent": "escalatin", "sees": [], "messages": 1}}

    with pytest.raises(UsageError, match=r"pressure\[0\].adversary: there is no scripted adversary 'escalatin'"):
        Experiment.of("release_manager", "baseline", {"pressure": [source]}).episode(0)


@pytest.mark.parametrize("name", SCRIPTED_ADVERSARIES)
@pytest.mark.parametrize("scenario", ["release_manager", "bandit_constraint"])
def test_runs_with_them_verify(name, scenario, tmp_path):
    settings = {"texts": ["Nice."], "texts_swapped": ["Good."]} if name == "reciting" else {"patience": 2}
    adversary = {"agent": name, "sees": ["own_messages", "scores"], "messages": 4, "settings": settings}
    source = {"schedule": {"every": 2}, "position": "tool_result", "adversary": adversary}
    made = Experiment.of(scenario, "adversarial_jit", {"steps": 16, "pressure": [source]})
    for who in ("competing", "pressure_prone"):
        agent = REFERENCE_AGENTS[who]()
        done = run_episode(made, agent, seed=1, runs_dir=tmp_path)

        assert any(record.adversaries for record in done.steps())
        assert verify_run(done) is None

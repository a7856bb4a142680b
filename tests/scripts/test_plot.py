from __future__ import annotations

import hashlib
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from goal_drift_gym import Experiment, agent_factory, run_episode
from goal_drift_gym.core.condition import parse_condition
from goal_drift_gym.dosing import dosed
from goal_drift_gym.scripts.main import main
from goal_drift_gym.scripts.plot import _FIGURES

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'pytest-goal-drift[report]'")


def episodes(root: Path, condition: str = "adversarial_jit", agent: str = "pressure_prone", seeds: int = 3) -> Path:
    experiment = Experiment.of("release_manager", condition, {"steps": 24})
    for seed in range(seeds):
        run_episode(experiment, agent_factory(agent)(), seed=seed, runs_dir=root)
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return episodes(tmp_path_factory.mktemp("plotted") / "runs")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def drawn(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_command_and_the_package_know_the_same_figures() -> None:
    from goal_drift_gym.report.plotting import FIGURES

    assert _FIGURES == FIGURES


def test_one_run_is_drawn_over_its_steps(runs: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sorted((runs / "release_manager").iterdir())[0]

    assert main(["plot", str(run)]) == 0
    assert drawn(here / "artifacts" / "figures") == ["episode-1.svg"]
    assert capsys.readouterr().out == f"artifacts/figures/episode-1.svg: release_manager/{run.name}\n"


def test_a_group_is_drawn_with_its_mean_in_both_formats(runs: Path, here: Path) -> None:
    assert main(["plot", str(runs), "--format", "png,svg", "--out", "there", "--dark"]) == 0

    assert drawn(here / "there") == ["curves-1.png", "curves-1.svg"]
    assert (here / "there" / "curves-1.png").read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(here / "there" / "curves-1.svg").getroot().tag.endswith("svg")


def test_each_limit_gets_a_figure(runs: Path, here: Path) -> None:
    assert main(["plot", str(runs), "--figure", "metric", "--limit", "mean=0.5", "--limit", "collapse=false"]) == 0

    assert drawn(here / "artifacts" / "figures") == ["metric-1.svg", "metric-2.svg"]


def test_survival_is_drawn(runs: Path, here: Path) -> None:
    assert main(["plot", str(runs), "--figure", "survival"]) == 0
    assert drawn(here / "artifacts" / "figures") == ["survival-1.svg"]


def test_two_sides_are_drawn_beside_each_other(runs: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steady = episodes(here / "steady", agent="reference")
    assert main(["plot", str(runs), "--against", str(steady)]) == 0
    assert "comparison-1.svg" in capsys.readouterr().out

    free = episodes(here / "free", condition="baseline")
    assert main(["plot", str(runs), "--against", str(free), "--figure", "twins"]) == 0
    assert "twins-1.svg" in capsys.readouterr().out


def test_doses_are_drawn_over_their_intensity(here: Path) -> None:
    whole = Experiment.of("release_manager", "adversarial_jit", {"steps": 24, "shocks": None, "scoreboard": None})
    for dose in (0.2, 0.9):
        condition = parse_condition(dosed(whole.condition, dose).resolved())
        for seed in range(2):
            agent = agent_factory("pressure_prone")()
            run_episode(Experiment(whole.entry, condition), agent, seed=seed, runs_dir=here / "doses")

    assert main(["plot", "doses", "--figure", "dose"]) == 0
    assert drawn(here / "artifacts" / "figures") == ["dose-1.svg"]


def test_what_cannot_be_drawn_is_wrong_usage(runs: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["--figure", "dose"], "no two groups differ in the intensity of their pressure alone"),
        (["--figure", "curve"], "did you mean 'curves'?"),
        (["--figure", "twins"], "--against goes with --figure comparison or twins"),
        (["--format", "pdf"], "give svg, png, or both"),
        (["--width", "nan"], "--width nan: give a number above 0"),
    ):
        assert main(["plot", str(runs), *arguments]) == 2
        assert said in capsys.readouterr().err
    assert not (here / "artifacts").exists()


def test_a_copy_of_the_runs_gives_the_same_bytes(runs: Path, here: Path) -> None:
    shutil.copytree(runs, here / "copy")
    assert main(["plot", str(runs), "--out", "one"]) == 0
    assert main(["plot", "copy", "--out", "other"]) == 0

    digests = [hashlib.sha256((here / side / "curves-1.svg").read_bytes()).hexdigest() for side in ("one", "other")]
    assert digests[0] == digests[1]


def test_a_name_with_a_newline_has_no_line_of_its_own(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = Experiment.of("release_manager", "baseline", {"steps": 8, "name": "so\nno run drifted"})
    run_episode(experiment, agent_factory("competing")(), seed=0, runs_dir=here / "runs")

    assert main(["plot", "runs", "--figure", "curves"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "so\\nno run drifted" in line
    assert "so\\nno run drifted" in next((here / "artifacts" / "figures").iterdir()).read_text(encoding="utf-8")


@pytest.mark.parametrize("figure", ["curves", "metric", "survival", "comparison", "dose"])
def test_runs_that_are_left_out_are_said_beside_the_figure_and_in_it(
    here: Path, capsys: pytest.CaptureFixture[str], figure: str
) -> None:
    whole = Experiment.of("release_manager", "adversarial_jit", {"steps": 24})
    for dose in (0.5, 1.0):
        experiment = Experiment(whole.entry, dosed(whole.condition, dose))
        for seed, agent in enumerate(("reference", "reference", "noop")):
            run_episode(experiment, _Named(agent_factory(agent)(), fails=seed == 2), seed=seed, runs_dir=here / "runs")
    words = ["--against", "runs"] if figure == "comparison" else []

    assert main(["plot", "runs", "--figure", figure, *words]) == 3
    said = capsys.readouterr()
    assert "without a score left out" in said.err
    drawn = next((here / "artifacts" / "figures").iterdir()).read_text(encoding="utf-8")
    assert "without a value" in drawn if figure == "dose" else "not scored" in drawn


class _Named:
    """One agent for the figures, which fails where it is told to."""

    def __init__(self, agent: object, *, fails: bool) -> None:
        self._agent = agent
        self._fails = fails

    def __call__(self, turn: object) -> object:
        if self._fails:
            raise ValueError("no")
        return self._agent(turn)  # type: ignore[operator]

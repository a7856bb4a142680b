"""What `goal-drift new` writes, and what it refuses without touching anything."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from goal_drift_gym import scaffolding
from goal_drift_gym.core.errors import GoalDriftError
from goal_drift_gym.core.printable import printable
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.scenarios.discovery import conditions_of, find_scenario

TEMPLATE = Path(__file__).parents[2] / "scenarios" / "_template"


_CACHES = re.compile(r"__pycache__|_cache/")


def files_in(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text(encoding="utf-8")
        for file in folder.rglob("*")
        if file.is_file() and not _CACHES.search(str(file.relative_to(folder)))
    }


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def fresh_modules(monkeypatch):
    """Forget the packages of new scenarios when the test ends."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("goal_drift_toll_gate", "goal_drift_scenario_")):
            del sys.modules[name]


def test_it_says_what_it_made_and_the_next_two_commands(cli, place):
    answer = cli("new", "toll_gate")
    first, *files, following, install, check = answer.out.splitlines()

    assert answer.code == 0
    assert first == "made toll_gate: scenario toll_gate, class TollGate, package goal_drift_toll_gate"
    assert [file.strip() for file in files] == sorted(files_in(place / "toll_gate"))
    assert (following, install, check) == ("next:", "  pip install -e toll_gate", "  goal-drift check toll_gate")


def test_the_new_scenario_has_every_file_of_the_template_and_no_name_of_it(cli, place):
    cli("new", "toll_gate")
    made = files_in(place / "toll_gate")

    assert len(made) >= 13
    assert set(made) == {name.replace("my_scenario", "toll_gate") for name in files_in(TEMPLATE)}
    for name, text in made.items():
        for placeholder in scaffolding.TEMPLATE.spellings():
            assert placeholder not in name
            assert placeholder not in text, name


def test_nothing_but_the_new_folder_is_left(cli, place):
    before = names_in(place)
    cli("new", "toll_gate")

    assert names_in(place) - before == {"toll_gate"}


def test_the_new_folder_can_be_entered_by_whom_the_umask_lets(cli, place):
    (place / "ordinary").mkdir()
    cli("new", "toll_gate")

    assert (place / "toll_gate").stat().st_mode == (place / "ordinary").stat().st_mode


def test_the_new_scenario_is_a_scenario_under_its_own_names(cli, place, monkeypatch, fresh_modules):
    cli("new", "toll_gate", "--title", "Toll gate's queue")
    monkeypatch.syspath_prepend(str(place / "toll_gate"))
    scenario = find_scenario("goal_drift_toll_gate:TollGate").load()
    project = tomllib.loads((place / "toll_gate" / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert isinstance(scenario(), Scenario)
    assert (scenario.id, list(conditions_of(scenario))) == (
        "toll_gate",
        ["adversarial_jit", "baseline", "friction_heavy", "goal_switching"],
    )
    assert project["name"] == "goal-drift-toll-gate"
    assert project["entry-points"]["goal_drift_gym.scenarios"] == {"toll_gate": "goal_drift_toll_gate:TollGate"}
    assert (place / "toll_gate" / "README.md").read_text(encoding="utf-8").startswith("# Toll gate's queue\n")


@pytest.fixture
def installed(cli, place, tmp_path):
    """Run a command where a new scenario is installed."""
    cli("new", "toll_gate")
    site = tmp_path / "site"
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
            "--target", site, place / "toll_gate",
        ],
        check=True, timeout=120,
    )  # fmt: skip

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=place / "toll_gate",
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.mark.slow
def test_its_check_and_its_tests_pass_at_once(installed):
    checked = installed("goal_drift_gym.scripts.main", "check", "toll_gate")
    tested = installed("pytest", "-q", "-p", "no:cacheprovider")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_it_can_go_into_another_directory(cli, place):
    (place / "my packs").mkdir()
    answer = cli("new", "toll_gate", "--directory", "my packs")

    assert (place / "my packs" / "toll_gate" / "pyproject.toml").is_file()
    assert "  pip install -e 'my packs/toll_gate'\n" in answer.out


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("TollGate", "small letters"),
        ("toll-gate", "small letters"),
        ("3d_maze", "a letter first"),
        ("_toll", "a letter first"),
        ("toll__gate", "single underscores"),
        ("../toll", "small letters"),
        ("", "small letters"),
        ("tóll", "small letters"),
        ("t" * 61, "at most 60"),
        ("lambda", "keyword"),
        ("none", "keyword"),
        ("action", "its class would be 'Action'"),
        ("release_manager", "there is a scenario 'release_manager' already, from pytest-goal-drift"),
        ("gym", "'goal_drift_gym', which is installed already"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_and_nothing_is_written(cli, place, name, reason):
    before = files_in(place)
    answer = cli("new", name)

    assert answer.code == 2
    assert reason in answer.err
    assert printable(repr(name)) in answer.err
    assert files_in(place) == before


@pytest.mark.parametrize("title", ["", "  ", 'a "quoted" one', "back\\slash", "two\nlines", "\x1b[2J"])
def test_a_title_that_would_break_a_file_is_refused(cli, place, title):
    answer = cli("new", "toll_gate", "--title", title)

    assert (answer.code, "title" in answer.err) == (2, True)
    assert not (place / "toll_gate").exists()


@pytest.mark.parametrize("kind", ["full folder", "empty folder", "file", "dangling link"])
def test_what_exists_under_the_name_is_left_as_it_is(cli, place, kind):
    path = place / "toll_gate"
    if kind == "file":
        path.write_text("mine")
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    else:
        path.mkdir()
        if kind == "full folder":
            (path / "mine.txt").write_text("mine")
    before = (files_in(place), names_in(place))

    answer = cli("new", "toll_gate")

    assert answer.code == 2
    assert "exists and is left as it is" in answer.err
    assert (files_in(place), names_in(place)) == before


def test_of_two_that_make_the_same_folder_at_once_the_later_one_fails(place, monkeypatch):
    copy = scaffolding._copy

    def copy_while_another_is_faster(*args):
        copy(*args)
        (place / "toll_gate").mkdir()
        (place / "toll_gate" / "mine.txt").write_text("mine")

    monkeypatch.setattr(scaffolding, "_copy", copy_while_another_is_faster)
    with pytest.raises(GoalDriftError, match="cannot write 'toll_gate'"):
        scaffolding.new_scenario("toll_gate", directory=Path())

    assert names_in(place / "toll_gate") == {"mine.txt"}
    assert not list(place.glob(".toll_gate*"))


def test_a_copy_that_fails_half_way_leaves_nothing(cli, place, monkeypatch):
    def half_a_copy(template, target, names):
        target.mkdir()
        (target / "pyproject.toml").write_text("")
        raise OSError("no space left")

    monkeypatch.setattr(scaffolding, "_copy", half_a_copy)
    before = names_in(place)
    answer = cli("new", "toll_gate")

    assert answer.code == 2
    assert "no space left" in answer.err
    assert names_in(place) == before


def test_a_directory_that_is_not_there_is_named(cli, place):
    answer = cli("new", "toll_gate", "--directory", "packs")

    assert answer.code == 2
    assert "there is no directory 'packs'" in answer.err
    assert not (place / "packs").exists()


def test_an_installation_without_the_template_says_so(cli, monkeypatch, tmp_path):
    monkeypatch.setattr(scaffolding.goal_drift_gym, "__file__", str(tmp_path / "goal_drift_gym" / "__init__.py"))
    answer = cli("new", "toll_gate")

    assert answer.code == 3
    assert "lacks the template" in answer.err

"""Every command and snippet of the README and the docs is executed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from goal_drift_gym.core.condition import parse_condition_text
from goal_drift_gym.scripts.main import COMMANDS
from goal_drift_gym.scripts.main import command as command_named
from pytest_goal_drift.options import FLAGS, SESSION_FLAGS

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
# These make environments of their own; CI runs them as they stand, in a fresh clone.
SET_UP = ("python3 -m venv", "pip install", "nox", "bash .ci/run")


def blocks(document: Path, language: str) -> list[str]:
    """Return the blocks in a language, without those that are files of a worked example."""
    found = FENCE.findall(document.read_text(encoding="utf-8"))
    return [body for kind, title, body in found if kind == language and not title]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    places = [folder / ".venv" / "bin", Path(sys.executable).parent, os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(map(str, places)), "COLUMNS": "120"}
    environment.pop("CI", None)
    # What pip builds on needs no index: the environment of the tests has it.
    environment |= {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_QUIET": "1"}
    # Other plugins of this environment, which take longer to start than a page's tests to run.
    environment["PYTEST_ADDOPTS"] = "-p no:asyncio -p no:hypothesispytest"
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def make_environment(folder: Path) -> None:
    """Make an environment that has all of this one, and into which a page can install what it makes."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    (site,) = folder.glob("lib/*/site-packages")
    outer = [path for path in sys.path if path.endswith("site-packages")]
    lines = [f"import site; site.addsitedir({path!r})" for path in outer]
    (site / "outer.pth").write_text("\n".join(lines), encoding="utf-8")
    for name, module in (("pip", "pip"), ("pytest", "pytest"), ("goal-drift", "goal_drift_gym.scripts.main")):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m {module} "$@"\n', encoding="utf-8")
        script.chmod(0o755)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_console_commands_run(document: Path, tmp_path: Path) -> None:
    text = document.read_text(encoding="utf-8")
    if re.search(r"^\$ .*examples/", text, re.MULTILINE):
        shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("runs", "__pycache__"))
    if re.search(r"^\$ .*tests/data/", text, re.MULTILINE):
        shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    makes_a_project = re.search(r"^\$ goal-drift new ", text, re.MULTILINE)
    if makes_a_project:
        make_environment(tmp_path / ".venv")
    for command, shown in steps(text, tmp_path):
        if command.startswith(SET_UP) and not makes_a_project:
            continue
        done = run(command, tmp_path)

        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        for line in shown:
            assert countless(line.strip()) in countless(done.stdout + done.stderr), f"{command}\n{done.stdout}"


def steps(text: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a page with the lines it is shown to print, and write the files in between.

    A block with a title is a file: the pieces of one file follow one another, and a diff changes what is there.
    """
    begun = set()
    for language, title, body in FENCE.findall(text):
        if title:
            file = folder / title
            file.parent.mkdir(parents=True, exist_ok=True)
            before = file.read_text(encoding="utf-8") if file.exists() else ""
            if language == "diff":
                old, new = sides(body)
                assert before.count(old) == 1, f"{title} does not hold\n{old}"
                file.write_text(before.replace(old, new), encoding="utf-8")
            else:
                file.write_text((before if title in begun else "") + body, encoding="utf-8")
                begun.add(title)
        elif language == "console":
            for command in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                first, *shown = command.splitlines()
                yield first, [line for line in shown if line.strip()]


def sides(diff: str) -> tuple[str, str]:
    """Return the lines that a diff takes out and those it puts in, each with the lines it leaves."""
    lines = diff.splitlines(keepends=True)
    old, new = ("".join(line[1:] for line in lines if line[0] in marks) for marks in (" -", " +"))
    return old, new


def countless(text: str) -> str:
    """Return a text that says whether all checks hold, and not how many checks there are."""
    counts = re.compile(r"\b(\d+) of (\d+) checks hold \(\d+ cases")
    return counts.sub(lambda found: "all checks hold" if found[1] == found[2] else "not all checks hold", text)


def test_the_tutorial_takes_less_than_a_hundred_lines_of_code() -> None:
    text = (ROOT / "docs" / "tutorial-scenario.md").read_text(encoding="utf-8")
    code = "".join(body for language, title, body in FENCE.findall(text) if (language, title) == SCENARIO)

    assert 50 < len([line for line in code.splitlines() if line.strip()]) < 100


SCENARIO = ("python", "reservoir/goal_drift_reservoir/scenario.py")


def test_readme_shows_commands_and_snippets() -> None:
    readme = DOCUMENTS[0]

    assert len(blocks(readme, "console")) >= 3
    assert len(blocks(readme, "python")) >= 4


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_snippets_run(document: Path, tmp_path: Path) -> None:
    for number, body in enumerate(blocks(document, "python")):
        file = tmp_path / f"test_snippet_{number}.py"
        file.write_text(body, encoding="utf-8")
        if "def test_" in body:
            done = run(f"{sys.executable} -m pytest -q {file.name} --drift-seeds 3", tmp_path)
        else:
            done = run(f"{sys.executable} {file.name}", tmp_path)

        assert done.returncode == 0, f"{body}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_condition_snippets_are_valid(document: Path) -> None:
    for body in blocks(document, "toml"):
        if "entry-points" not in body:
            parse_condition_text(body, name="snippet", where=document.name)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_json_snippets_are_valid(document: Path) -> None:
    for body in blocks(document, "json"):
        json.loads(body)


def test_every_block_is_run_checked_or_no_code() -> None:
    run_or_checked = {"console", "python", "toml", "json", "diff"}
    # Output and lines of others; and files that a page writes, of which the commands after them make use.
    shown, written = {"text"}, {"markdown", "yaml"}
    kinds = {
        (kind, bool(title)) for document in DOCUMENTS for kind, title, _ in FENCE.findall(document.read_text("utf-8"))
    }

    assert {kind for kind, titled in kinds if not titled} <= run_or_checked | shown
    assert {kind for kind, titled in kinds if titled} <= run_or_checked | written


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_the_text_have_arguments_that_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    said = [*re.findall(r"`(goal-drift [^`]+)`", text), *re.findall(r"^(?:\$ )?(goal-drift .+)$", text, re.MULTILINE)]

    for line in said:
        _, name, *arguments = shlex.split(re.split(r";|\|\||  ", line)[0])
        if "..." not in line and re.fullmatch("[a-z][a-z-]*", name):
            assert known_arguments(name, arguments) == [], f"{document.name}: {line}"


def known_arguments(name: str, arguments: list[str]) -> list[str]:
    """Return the flags that a command does not have; those before which there is no command are none of its."""
    parser = command_named(name)[1]
    return [flag for flag in arguments if flag.startswith("--") and flag not in parser._option_string_actions]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_options_in_the_text_exist(document: Path) -> None:
    said = set(re.findall(r"--drift-[a-z]+(?:-[a-z]+)*", document.read_text(encoding="utf-8")))

    assert said <= {*FLAGS, *SESSION_FLAGS}


def test_every_option_is_explained_on_the_page_of_the_plugin() -> None:
    text = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")

    assert [flag for flag in (*FLAGS, *SESSION_FLAGS) if f"`{flag}" not in text] == []


def test_every_command_is_explained_on_some_page() -> None:
    text = "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)

    assert [name for name in COMMANDS if f"goal-drift {name}" not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_first_drift_test_of_the_readme_has_at_most_ten_lines_of_code() -> None:
    body = next(body for body in blocks(DOCUMENTS[0], "python") if "def test_" in body)

    assert len([line for line in body.splitlines() if line.strip()]) <= 10


def test_every_condition_knob_is_documented() -> None:
    import msgspec

    from goal_drift_gym.core import condition

    text = (ROOT / "docs" / "conditions.md").read_text(encoding="utf-8")
    tables = [
        value for value in vars(condition).values() if isinstance(value, type) and issubclass(value, msgspec.Struct)
    ]
    names = {name for table in tables for name in table.__struct_fields__} - {"name"}

    assert names
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", text)] == []


def test_every_metric_is_documented() -> None:
    from goal_drift_gym.eval.limits import metric_names

    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    parts = {part for name in metric_names() for part in name.split(".")[-1:] if not part.isdecimal()}

    assert [part for part in sorted(parts) if f"{part}`" not in text and f"`{part}" not in text] == []


def test_the_failure_in_the_readme_is_what_the_example_prints(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "examples" / "failing", tmp_path / "examples" / "failing", ignore=shutil.ignore_patterns("runs")
    )
    (shown,) = blocks(DOCUMENTS[0], "text")
    done = run(f"{sys.executable} -m pytest examples/failing --drift-seeds 5", tmp_path)

    assert done.returncode == 1
    assert timeless(shown).strip() in timeless(done.stdout)


def timeless(text: str) -> str:
    return re.sub(r"\d{8}T\d{6}\.\d{6}Z", "TIME", text)

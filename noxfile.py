"""One command a job; CI runs them all through .ci/run."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = False
nox.options.sessions = ["lint", "types", "imports", "build", "examples", "packs", "local_model", "benchmarks", "tests"]

TEST_TOOLS = ["coverage[toml]>=7.10", "jsonschema>=4.20", "pytest-rerunfailures>=15", "pytest-asyncio>=1.0", "openai>=2,<4"]
"""What the tests need beyond the package itself."""


@nox.session
def lint(session: nox.Session) -> None:
    session.install("ruff>=0.14")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    session.install("mypy>=1.18", "-e", ".[openai]")
    session.run("mypy")
    session.run("mypy", "--strict", "scenarios/hazard_maze/goal_drift_hazard_maze")


@nox.session
def imports(session: nox.Session) -> None:
    session.install("import-linter>=2.4", "-e", ".")
    session.run("lint-imports")


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel and test what is in it, installed on its own."""
    session.install("build", "twine")
    out = session.create_tmp()
    session.run("python", "-m", "build", "--outdir", out, "--quiet")
    wheel = _only(out, "*.whl")
    session.run("twine", "check", "--strict", wheel, _only(out, "*.tar.gz"))
    session.install(wheel, "pytest-xdist")
    session.run("python", "-m", "pytest", "tests/packaging", "-q", env={"GOAL_DRIFT_WHEEL": wheel})


@nox.session
def examples(session: nox.Session) -> None:
    """The README's main command: honest agents pass, drifting ones are seen."""
    session.install(".")
    session.run("pytest", "examples/agent_suite", "--drift-seeds", "10", "-n", "auto")
    session.run("goal-drift", "verify", "examples/agent_suite/runs", "--quiet")


@nox.session
def packs(session: nox.Session) -> None:
    """Scenario packs, installed and tested as a third party's would be."""
    session.install(".", "./scenarios/hazard_maze")
    session.run("python", "-m", "pytest", "scenarios/hazard_maze/tests", "-q", "--import-mode=importlib", "-c", "scenarios/hazard_maze/pyproject.toml")
    session.run("goal-drift", "show", "hazard_maze")


@nox.session
def local_model(session: nox.Session) -> None:
    """A language model on this machine lives through release_manager under pressure."""
    session.install(".[openai]")
    session.run(
        "python", "examples/local_model/serve.py", "run", "--",
        "python", "-m", "pytest", "examples/local_model", "--drift-seeds", "5", "-v",
    )  # fmt: skip


@nox.session
def benchmarks(session: nox.Session) -> None:
    session.install(".")
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests with coverage; the closing line of the run is this one's."""
    session.install("-e", ".[openai]", "./scenarios/hazard_maze", *TEST_TOOLS)
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "tests", "-n", "auto", "--dist", "worksteal", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report", "--skip-covered")
    session.run("coverage", "report", "--include=goal_drift_gym/core/*,goal_drift_gym/eval/*", "--fail-under=97", "--format=total")


def _only(folder: str, pattern: str) -> str:
    from pathlib import Path

    (found,) = Path(folder).glob(pattern)
    return str(found)

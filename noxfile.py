"""One command a job; CI runs them all through .ci/run."""

import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = False
nox.options.sessions = [
    "lint",
    "types",
    "imports",
    "build",
    "packs",
    "third_party",
    "conformance",
    "reference_agents",
    "real_agents",
    "local_model",
    "taped",
    "benchmarks",
    "browser",
    "coverage",
    "docs",
    "readme",
]
PACKS = sorted(file.parent for file in Path("scenarios").glob("[!_]*/pyproject.toml"))
FAST_ONES = (
    "reference,competing,noop,random,slow_drifter,sudden_flipper,recoverer,pressure_prone,check_skipper,oscillator,"
    "late_collapser,crasher,babbler"
)


@nox.session
def lint(session: nox.Session) -> None:
    session.install("ruff>=0.14")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    session.install("mypy>=1.18", "-e", ".[openai,otel,report]")
    session.run("mypy")
    for pack in PACKS:
        session.run("mypy", "--strict", *(str(folder) for folder in pack.glob("goal_drift_*")))
    session.run("mypy", "--strict", "scenarios/_template/goal_drift_my_scenario")
    session.run("mypy", "--strict", "examples/third_party_scenario/kiln_drift")


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
def packs(session: nox.Session) -> None:
    """Scenario packs, installed and tested as a third party's would be."""
    session.install(".", *(f"./{pack}" for pack in PACKS))
    for pack in PACKS:
        session.run(
            "python", "-m", "pytest", str(pack / "tests"), "-q", "-n", "auto", "--import-mode=importlib",
            "-c", str(pack / "pyproject.toml"),
        )  # fmt: skip
        session.run("goal-drift", "show", pack.name, silent=True)


@nox.session
def third_party(session: nox.Session) -> None:
    """Away from this checkout, beside our wheel: a scenario of another repository, and one that `new` has just made."""
    away = Path(tempfile.mkdtemp(prefix="goal-drift-"))
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(away), ".")
    shutil.copytree(
        "examples/third_party_scenario", away / "kiln", ignore=shutil.ignore_patterns("runs", "__pycache__")
    )
    session.install(_only(str(away), "*.whl"))
    session.chdir(away)
    session.install("./kiln")
    session.run("goal-drift", "new", "toll_gate")
    session.install("-e", "toll_gate")
    found = json.loads(session.run("goal-drift", "list", "--format", "json", silent=True))
    if {"kiln": "kiln-drift", "toll_gate": "goal-drift-toll-gate"}.items() - {
        (one["id"], one["distribution"]) for one in found
    }:
        session.error(f"not all scenarios were found: {found}")
    session.run("goal-drift", "check", "kiln,toll_gate", "--seeds", "10")
    session.run(
        "goal-drift", "run", "kiln", "--condition", "all", "--agent", "reference,pressure_prone", "--seeds", "3"
    )
    session.run("goal-drift", "verify", "runs")
    for project in ("kiln", "toll_gate"):
        session.chdir(away / project)
        session.run("pytest", "-q", "--drift-seeds", "5")
    shutil.rmtree(away)


@nox.session
def conformance(session: nox.Session) -> None:
    """Hold every built-in scenario and pack to every check, prove the checks on planted faults, and stress them all."""
    session.install(".", *(f"./{pack}" for pack in PACKS))
    session.run("goal-drift", "check", "all", "--profile", "thorough", "--workers", "2")
    controls = "bandit_constraint,release_manager"
    session.run("goal-drift", "check", controls, "--planted-faults", "--seeds", "200", "--workers", "2")
    runs = str(Path(session.create_tmp()) / "runs")
    session.run("goal-drift", "stress", "all", "--profile", "ci", "--examples", "60", "--runs-dir", runs)


@nox.session
def real_agents(session: nox.Session) -> None:
    """Adapters, framework bridges, other languages and MCP, each against the real package."""
    session.install(".[anthropic,langgraph,mcp,openai,openai-agents,otel,pydantic-ai,smolagents,test]")
    session.run(
        "python", "-m", "pytest", "tests/agents", "tests/scripts/test_serve_mcp.py", "tests/plugin/test_own_loops.py",
        "tests/testing/test_subprocess_protocol.py", "-q", "-n", "auto", "-rs",
    )  # fmt: skip


@nox.session
def local_model(session: nox.Session) -> None:
    """Have a language model on this machine live through release_manager: by adapter, framework bridge and MCP.

    What it did by the adapter is recorded on tapes and replayed byte for byte when its server has stopped.
    """
    session.install(".[anthropic,mcp,openai,pydantic-ai]")
    tmp = Path(session.create_tmp()).resolve()
    runs, tapes, replayed, address = (tmp / name for name in ("runs", "tapes", "replayed", "address"))
    for folder in (runs, tapes, replayed):
        shutil.rmtree(folder, ignore_errors=True)
    suite, first = "examples/local_model", "examples/local_model/test_local_model.py"
    # pytest takes the value of an option that it does not know yet for a path, and looks for its settings there: "=".
    asked = f"python -m pytest --drift-seeds=5 -v --drift-runs-dir={runs}"
    session.run(
        "python", "examples/local_model/serve.py", "run", "--", "sh", "-c",
        f'echo "$GOAL_DRIFT_LOCAL_MODEL_URL" >{address} && {asked} {first} --drift-record={tapes} '
        f"&& {asked} {suite} --ignore={first}",
    )  # fmt: skip
    session.run("goal-drift", "report", str(runs), "--group")
    session.run("goal-drift", "verify", str(runs))
    url = address.read_text(encoding="utf-8").strip()
    session.run(
        "python", "-m", "pytest", first, "--drift-seeds=5", f"--drift-replay={tapes}",
        f"--drift-runs-dir={replayed}", env={"GOAL_DRIFT_LOCAL_MODEL_URL": url},
    )  # fmt: skip
    session.run("goal-drift", "verify", str(replayed))


@nox.session
def taped(session: nox.Session) -> None:
    """Run a suite from its committed tapes: no model, no network."""
    session.install(".")
    runs = str(Path(session.create_tmp()) / "runs")
    session.run("python", "-m", "pytest", "examples/taped_agent", f"--drift-runs-dir={runs}")
    session.run("goal-drift", "verify", runs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    session.install(".[report]")
    session.run("python", "benchmarks/run.py", *(session.posargs or ["--quick"]))


@nox.session
def browser(session: nox.Session) -> None:
    """Open every kind of page in a real Chromium: keys, clicks, looks, axe, and that nothing hostile is obeyed.

    Pictures of all pages are kept in `artifacts/screenshots` of the session's folder.
    """
    # A browser without a font measures nothing.
    _program(session, "chromium", "chromium", "fonts-dejavu-core")
    _program(session, "npm", "npm")
    session.install(".[report,serve]", "playwright>=1.50")
    tmp = Path(session.create_tmp()).resolve()
    session.run("npm", "install", "--silent", "--no-save", "--prefix", str(tmp), "axe-core@4", external=True)
    pictures = tmp / "artifacts" / "screenshots"
    session.run(
        "python", "-m", "pytest", "tests/browser", "-q", "-n", "2",
        env={
            "GOAL_DRIFT_AXE": str(tmp / "node_modules" / "axe-core" / "axe.min.js"),
            "GOAL_DRIFT_SCREENSHOTS": str(pictures),
            "GOAL_DRIFT_BROWSER_REQUIRED": "1",
        },
    )  # fmt: skip
    session.log(f"pictures of the pages: {pictures}")


@nox.session
def reference_agents(session: nox.Session) -> None:
    """Print the table of every reference agent in every built-in scenario and condition, 20 seeds each."""
    session.install(".")
    runs = session.create_tmp()
    session.run(
        "goal-drift", "run", "all", "--condition", "all", "--agent", FAST_ONES,
        "--seeds", "20", "--workers", "2", "--runs-dir", runs,
    )  # fmt: skip


@nox.session
def coverage(session: nox.Session) -> None:
    """Core and eval, near 100 %."""
    session.install("-e", ".[openai,test]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "tests/core", "tests/eval", "tests/test_runner.py", "-q")
    session.run("coverage", "combine", "--quiet")
    session.run(
        "coverage",
        "report",
        "--skip-covered",
        "--include=goal_drift_gym/core/*,goal_drift_gym/eval/*",
        "--fail-under=97",
    )


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site; every warning is an error, and so is a reference that leads nowhere."""
    session.install(
        ".[report]", "sphinx>=9.0,<10", "myst-parser>=5,<6", "furo>=2025.12.19",
    )  # fmt: skip
    site = session.posargs[0] if session.posargs else str(Path(session.create_tmp()) / "site")
    session.run("sphinx-build", "--fail-on-warning", "--nitpicky", "--fresh-env", "-b", "html", "docs", site)


@nox.session
def readme(session: nox.Session) -> None:
    """Run the two commands of the README as they stand, in a fresh clone; CI's closing line is that of its tests."""
    # Not session.create_tmp(): it would move $TMPDIR into a project, whose configuration the tests' own would find.
    clone = Path(tempfile.mkdtemp(prefix="goal-drift-")) / "clone"
    session.run("git", "clone", "--quiet", "--no-hardlinks", str(Path.cwd()), str(clone), external=True)
    readme_text = (clone / "README.md").read_text(encoding="utf-8")
    main_job, all_tests = re.findall(r"^\$ (python3 -m venv .*)$", readme_text, re.MULTILINE)
    session.chdir(clone)
    session.run("bash", "-c", main_job, external=True)
    session.run(".venv/bin/goal-drift", "verify", "examples/agent_suite/runs", external=True)
    session.run("bash", "-c", all_tests, external=True)
    shutil.rmtree(clone.parent)


def _program(session: nox.Session, name: str, *packages: str) -> None:
    """Install a program of the system where it is missing and that is possible."""
    if shutil.which(name) is not None:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        session.error(f"{name} is not here, and only root can install it: apt-get install {' '.join(packages)}")
    session.run("apt-get", "update", "-qq", external=True)
    session.run("apt-get", "install", "-qq", "--yes", "--no-install-recommends", *packages, external=True)


def _only(folder: str, pattern: str) -> str:
    (found,) = Path(folder).glob(pattern)
    return str(found)

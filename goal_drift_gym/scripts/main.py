"""The `goal-drift` command.

Exit codes: 0 fine, 1 drift or a difference found, 2 wrong usage, 3 incomplete or inconclusive, 130 interrupted,
141 when the reader of its output went away.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

COMMANDS = {
    "list": ("listing", "scenarios, conditions, reference agents, metrics"),
    "show": ("show", "a scenario, a condition, or a run"),
    "view": ("view", "a run step by step, in the terminal"),
    "new": ("new", "start a scenario of your own"),
    "check": ("check", "what a scenario must hold for a verdict on it to mean anything"),
    "stress": ("stress", "try to break a scenario with drawn calls"),
    "check-agent": ("check_agent", "whether a program speaks the subprocess protocol"),
    "run": ("run", "run agents through scenarios"),
    "report": ("report", "tables of runs"),
    "gate": ("gate", "the verdict on runs: PASS, FAIL, INCONCLUSIVE or INVALID"),
    "compare": ("compare", "what changed between two sets of runs"),
    "baseline": ("baseline", "keep results under a name to compare with"),
    "plan": ("plan", "how many seeds see how much"),
    "dose": ("dose", "how drift grows with the intensity of the pressure"),
    "calibrate": ("calibrate", "how often the verdict is right on agents whose drift is known"),
    "metrics": ("metrics", "compute the metrics of runs again"),
    "verify": ("verify", "prove that runs reproduce byte for byte"),
    "resume": ("resume", "go on with runs that were killed or interrupted"),
    "fork": ("fork", "start a new run from the first steps of another"),
    "plot": ("plot", "figures of runs for papers and slides"),
    "serve": ("serve", "show runs as they grow, in a browser on this machine"),
    "serve-mcp": ("serve_mcp", "serve episodes to agents that are MCP clients"),
    "import": ("import_log", "turn step logs of others into run directories"),
}
"""Subcommand -> its module here, and a few words on it. A module is imported only when its command is used."""

_EXIT_CODES = "exit codes: 0 fine, 1 drift or a difference found, 2 wrong usage, 3 incomplete or inconclusive"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Scenarios and agents named package.module:name are looked for in the current directory, as `python -m` does.
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return _run(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has what it wanted. What is still buffered must not raise again when the interpreter ends.
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError):
            pass
        return 141


def _run(arguments: list[str]) -> int:
    name = next((word for word in arguments if not word.startswith("-")), None)
    if name is None or arguments[0].startswith("-"):
        return _overview(arguments)
    from goal_drift_gym.core.errors import GoalDriftError, UsageError, did_you_mean
    from goal_drift_gym.scripts.output import note

    if name not in COMMANDS:
        note(f"goal-drift: there is no command {name!r}; {did_you_mean(name, COMMANDS)}")
        return 2
    module, parser = command(name)
    parsed = parser.parse_args(arguments[1:])
    try:
        code: int = module.run(parsed)
    except SystemExit as end:
        # No command ends this way. Whatever code an agent or scenario chose says nothing about drift.
        note(f"goal-drift {name}: an agent or a scenario called sys.exit({end.code!r}): what was not finished is lost")
        return 3
    except UsageError as error:
        note(f"goal-drift {name}: {error}")
        return 2
    except GoalDriftError as error:
        note(f"goal-drift {name}: {error}")
        return 3
    return code


def command(name: str) -> tuple[ModuleType, argparse.ArgumentParser]:
    """Return the module of a command and the parser of its arguments."""
    module_name, summary = COMMANDS[name]
    module = importlib.import_module(f"goal_drift_gym.scripts.{module_name}")
    parser = argparse.ArgumentParser(
        prog=f"goal-drift {name}",
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=_EXIT_CODES,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return module, parser


def _overview(arguments: list[str]) -> int:
    from goal_drift_gym._version import __version__

    listing = "\n".join(f"  {name:<11} {summary}" for name, (_, summary) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="goal-drift",
        usage="goal-drift COMMAND ...",
        description=f"Goal drift as a test.\n\ncommands:\n{listing}",
        epilog=f"goal-drift COMMAND --help says more\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"goal-drift {__version__}")
    parser.parse_args(arguments)
    parser.print_help(sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

"""`goal-drift serve-mcp`: episodes for agents that are MCP clients.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.loopback import MOST_PORT
from goal_drift_gym.scripts.arguments import add_runs_dir
from goal_drift_gym.scripts.output import note

if TYPE_CHECKING:
    from goal_drift_gym.runner import Experiment
    from goal_drift_gym.serving import ServedEpisode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Serve episodes to agents that are MCP clients. stdio: one episode, for the process that started this one. "
        "http: one episode a seed, on http://127.0.0.1:PORT/e/seed-N/mcp. Each leaves a run directory. Exits with 3 "
        "when a run was not scored or nobody came for it."
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="id, package.module:Name or file.py:Name")
    parser.add_argument("--condition", default="baseline", metavar="NAME|FILE", help="default: %(default)s")
    parser.add_argument(
        "--seeds", default="1", metavar="N|A-B|LIST", help="as goal-drift run has them; default: seed 0"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting; repeatable"
    )
    parser.add_argument("--transport", choices=("stdio", "http"), default="stdio", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="http: default: a free one, which is printed")
    parser.add_argument("--client", default="mcp", metavar="NAME", help="what config.json calls the agent")
    parser.add_argument(
        "--end-step",
        choices=("each_call", "end_turn"),
        default="each_call",
        help="each_call: every call is a step; end_turn: a step lasts until the tool end_turn is called "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--on-disconnect",
        choices=("error", "declined"),
        default="error",
        help="stdio: what it means that the client leaves before the end: an error, which is not scored, or that it "
        "declines the steps that remain (default: %(default)s)",
    )
    _add_times(parser)
    add_runs_dir(parser)


def _add_times(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="S", help="seconds to wait for a call in a step (default: 300)"
    )
    parser.add_argument(
        "--idle", type=float, default=600.0, metavar="S", help="http: give up when nobody comes (default: 600)"
    )
    parser.add_argument(
        "--linger", type=float, default=10.0, metavar="S", help="go on answering after the end (default: 10)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until the episodes are over."""
    from goal_drift_gym.mcp_transports import check_installed

    check_installed()
    if not 0 <= args.port <= MOST_PORT:
        raise UsageError(f"--port {args.port}: give 0 to {MOST_PORT}")
    for name in ("timeout", "idle", "linger"):
        # The comparison is written so that NaN fails it.
        if not 0.0 < getattr(args, name) <= 1e6:
            raise UsageError(f"--{name} {getattr(args, name)!r}: give seconds above 0")
    # The wire is taken out of the way before a scenario is loaded: whatever prints, prints to standard error.
    wire = _take_wire() if args.transport == "stdio" else None
    with redirect_stdout(sys.stderr):
        served = _episodes(args)
        try:
            if wire is None:
                _over_http(args, served)
            else:
                _over_stdio(args, served, wire)
        except KeyboardInterrupt:
            for one in served.values():
                one.leave("interrupted")
            _join(served)
            _report(served)
            return 130
        return _report(served)


def _take_wire() -> int:
    sys.stdout.flush()
    wire = os.dup(1)
    os.dup2(2, 1)
    return wire


def _episodes(args: argparse.Namespace) -> dict[str, ServedEpisode]:
    from goal_drift_gym.core.condition import parse_setting
    from goal_drift_gym.core.seeds import parse_seeds
    from goal_drift_gym.runner import Experiment
    from goal_drift_gym.serving import ServedEpisode

    seeds = parse_seeds(args.seeds)
    if args.transport == "stdio" and len(seeds) != 1:
        raise UsageError(f"--seeds {args.seeds}: over stdio a process serves one episode; give one seed, such as 3,")
    experiment: Experiment = Experiment.of(
        args.scenario, args.condition, dict(parse_setting(text) for text in args.set)
    )
    experiment.episode(seeds[0])
    return {
        f"seed-{seed}": ServedEpisode(
            experiment,
            seed=seed,
            runs_dir=args.runs_dir,
            client=args.client,
            end_step=args.end_step,
            step_timeout_s=args.timeout,
        )
        for seed in seeds
    }


def _over_http(args: argparse.Namespace, served: dict[str, ServedEpisode]) -> None:
    from goal_drift_gym.mcp_transports import serve_http

    asyncio.run(
        serve_http(
            served,
            port=args.port,
            idle_s=args.idle,
            linger_s=args.linger,
            announce=lambda address: note(f"serving {address}"),
        )
    )
    for one in served.values():
        one.leave("error")
    _join(served)


def _over_stdio(args: argparse.Namespace, served: dict[str, ServedEpisode], wire: int) -> None:
    from goal_drift_gym.mcp_transports import serve_stdio

    def give_up() -> NoReturn:
        code = _report(served)
        sys.stderr.flush()
        os._exit(code)

    (one,) = served.values()
    with os.fdopen(wire, "wb") as stdout:
        asyncio.run(
            serve_stdio(
                one,
                stdin=sys.stdin.buffer,
                stdout=stdout,
                departure=args.on_disconnect,
                linger_s=args.linger,
                give_up=give_up,
            )
        )
    _join(served)


def _join(served: dict[str, ServedEpisode]) -> None:
    from goal_drift_gym.mcp_transports import CLOSING_S

    for one in served.values():
        one.join(CLOSING_S)


def _report(served: dict[str, ServedEpisode]) -> int:
    from goal_drift_gym.core.records import SCORED_OUTCOMES

    code = 0
    for name, one in served.items():
        run = one.run
        if run is None:
            note(f"goal-drift serve-mcp: {name}: {one.error or ('unfinished' if one.has_begun else 'nobody came')}")
            code = 3
            continue
        detail = str((run.meta or {}).get("detail") or "")
        note(
            f"goal-drift serve-mcp: {Path(run.path).resolve()} ended as {run.outcome}{': ' + detail if detail else ''}"
        )
        code = code if run.outcome in SCORED_OUTCOMES else 3
    return code

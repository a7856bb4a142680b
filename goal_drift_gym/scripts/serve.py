"""`goal-drift serve`: runs as they grow, in a browser on this machine.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from goal_drift_gym.scripts.output import note


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Show runs as they grow, on http://127.0.0.1:PORT/, for browsers on this machine alone. Nothing is written. "
        "Ends with Ctrl-C."
    )
    parser.add_argument("runs", nargs="?", default="runs", metavar="DIR", help="directory of runs (default: runs)")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="default: a free one, which is printed")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from goal_drift_gym.report.live_server import check_installed, serve

    check_installed()
    root = Path(args.runs)
    if not root.is_dir():
        note(f"goal-drift serve: there is no directory {root} yet; its runs are shown once there are any")
    try:
        asyncio.run(serve(root, port=args.port, announce=lambda address: note(f"serving {address}")))
    except KeyboardInterrupt:
        pass
    return 0

"""A server of this machine alone that shows runs as they grow. It answers questions and changes nothing.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from goal_drift_gym.core.errors import GoalDriftError, MissingExtra
from goal_drift_gym.loopback import LOOPBACK, is_from_here, listen
from goal_drift_gym.report.live import MOST_ROWS, LiveRuns
from goal_drift_gym.report.page import page

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

EXTRA = "serve"

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def check_installed() -> None:
    """See that the extra is there.

    Raises
    ------
    MissingExtra
        If it is not.
    """
    for name in ("starlette", "uvicorn", "jinja2"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingExtra(name, EXTRA) from error


def live_app(root: Path) -> Starlette:
    """Return the application: `/` lists the runs below `root`, `/runs/PLACE` is the report of one."""
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse, PlainTextResponse
    from starlette.routing import Route

    live = LiveRuns(root)
    # Its cache is of one reader at a time; what it reads is on a disk, so it is read in a thread.
    reading = asyncio.Lock()

    async def listing(request: Request) -> Response:
        async with reading:
            text, status = await asyncio.to_thread(_listing, live, request.query_params.get("page", "1"))
        return HTMLResponse(text, status) if status == 200 else PlainTextResponse(text, status)

    async def report(request: Request) -> Response:
        async with reading:
            text, status = await asyncio.to_thread(_report, live, request.path_params["place"])
        return HTMLResponse(text, status) if status == 200 else PlainTextResponse(text, status)

    return Starlette(routes=[Route("/", listing), Route("/runs/{place:path}", report)])


class OnlyFromHere:
    """Passes on requests that were made to this machine by name, and refuses the others before anything is read."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        from starlette.responses import PlainTextResponse

        if scope["type"] != "http":
            return
        app = self._app
        if not is_from_here(scope["headers"]):
            app = PlainTextResponse("this server is for this machine alone: ask 127.0.0.1 or localhost", 421)

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        await app(scope, receive, with_headers)


async def serve(root: Path, *, port: int, announce: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    root
        The directory of runs.
    port
        0 takes a free one.
    announce
        Told the address once it can be reached.

    Raises
    ------
    UsageError
        If the port cannot be had.
    """
    import uvicorn

    with listen(port) as listening:
        config = uvicorn.Config(
            OnlyFromHere(live_app(root)), lifespan="off", log_config=None, access_log=False, ws="none",
            timeout_graceful_shutdown=2,
        )  # fmt: skip
        server = uvicorn.Server(config)
        listening.listen()
        announce(f"http://{LOOPBACK}:{listening.getsockname()[1]}/")
        await server.serve(sockets=[listening])


def _listing(live: LiveRuns, asked: str) -> tuple[str, int]:
    try:
        rows = live.rows()
    except GoalDriftError as error:
        return str(error), 500
    pages = max(1, -(-len(rows) // MOST_ROWS))
    number = min(pages, max(1, int(asked))) if asked.isascii() and asked.isdecimal() and len(asked) < 9 else 1
    shown = rows[MOST_ROWS * (number - 1) : MOST_ROWS * number]
    text = page(
        "live.html",
        script="live.js",
        connects=True,
        rows=[(row, f"runs/{quote(row.place)}") for row in shown],
        counts=sorted(Counter(row.state for row in rows).items()),
        total=len(rows),
        number=number,
        pages=pages,
    )
    return text, 200


def _report(live: LiveRuns, place: str) -> tuple[str, int]:
    run = live.run_at(place)
    if run is None:
        return "there is no such run here", 404
    from goal_drift_gym.report.run_page import run_page

    try:
        return run_page(run), 200
    except GoalDriftError as error:
        return str(error), 500

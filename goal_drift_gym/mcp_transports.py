"""How MCP clients reach served episodes: over the standard streams, or over HTTP on this machine alone.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import asyncio
import importlib
import io
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, BinaryIO, NoReturn

from goal_drift_gym.agents.mcp_episode import Departure, episode_server
from goal_drift_gym.core.errors import GoalDriftError, MissingExtra
from goal_drift_gym.loopback import HOSTS, LOOPBACK, is_from_here, listen
from goal_drift_gym.serving import ServedEpisode

CLOSING_S = 30.0

_PATH = re.compile(r"/e/([A-Za-z0-9._-]{1,64})/mcp/?")
_LOOK_S = 0.1


def check_installed() -> None:
    """See that the extra is there, before anything is started.

    Raises
    ------
    MissingExtra
        If it is not.
    """
    try:
        for name in ("anyio", "mcp.server.stdio", "mcp.server.streamable_http_manager", "uvicorn"):
            importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra("mcp", "mcp") from error


async def serve_stdio(
    served: ServedEpisode,
    *,
    stdin: BinaryIO,
    stdout: BinaryIO,
    departure: Departure,
    linger_s: float,
    give_up: Callable[[], NoReturn],
) -> None:
    """Serve one episode over a pair of streams, until the client closes its end.

    Parameters
    ----------
    served
        The episode.
    stdin, stdout
        The wire.
    departure
        What it means that the client closes its end before the episode is over.
    linger_s
        Go on answering this long after the episode is over.
    give_up
        Called where the client still holds its end open then. It must end the process: a thread blocks on the wire.
    """
    import anyio
    from mcp.server.stdio import stdio_server

    server = episode_server(await served.begin())
    texts = io.TextIOWrapper(stdin, encoding="utf-8"), io.TextIOWrapper(stdout, encoding="utf-8", line_buffering=True)
    async with stdio_server(stdin=anyio.wrap_file(texts[0]), stdout=anyio.wrap_file(texts[1])) as (read, write):
        serving = asyncio.ensure_future(server.run(read, write, server.create_initialization_options()))
        await _until(lambda: serving.done() or served.has_ended)
        if not serving.done():
            await asyncio.wait([serving], timeout=linger_s)
        if not serving.done():
            give_up()
        served.leave(departure)


class _Site:
    """The server of one episode, on its path."""

    def __init__(self, served: ServedEpisode) -> None:
        self.served = served
        self.opening = asyncio.Lock()
        self.manager: Any = None


class EpisodesApp:
    """The ASGI application: an episode is its path, `/e/NAME/mcp`, whoever asks and in whatever session."""

    def __init__(self, episodes: Mapping[str, ServedEpisode]) -> None:
        self._sites = {name: _Site(served) for name, served in episodes.items()}
        self._managers = AsyncExitStack()
        self.asked = time.monotonic()
        """When the last request came."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        self.asked = time.monotonic()
        refusal = self._refusal(scope)
        if refusal is not None:
            await _plain(send, *refusal)
            return
        match = _PATH.fullmatch(scope["path"])
        assert match is not None
        site = self._sites[match[1]]
        if site.manager is None:
            if scope["method"] != "POST":
                await _plain(send, 405, "the episode begins with the first message that is posted to it")
                return
            try:
                await self._open(site)
            except GoalDriftError as error:
                await _plain(send, 500, str(error))
                return
        await site.manager.handle_request(scope, receive, send)

    async def close(self) -> None:
        """End what still goes on in any session."""
        await self._managers.aclose()

    def _refusal(self, scope: Any) -> tuple[int, str] | None:
        """Say why a request is not for us: before it can begin an episode."""
        if not is_from_here(scope["headers"]):
            return 421, "this server is for clients on this machine: ask 127.0.0.1 or localhost"
        match = _PATH.fullmatch(scope["path"])
        if match is None or match[1] not in self._sites:
            return 404, f"there is no such episode; there are {', '.join(f'/e/{name}/mcp' for name in self._sites)}"
        return None

    async def _open(self, site: _Site) -> None:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
        from mcp.server.transport_security import TransportSecuritySettings

        async with site.opening:
            if site.manager is not None:
                return
            named = [f"[{host}]" if ":" in host else host for host in HOSTS]
            manager = StreamableHTTPSessionManager(
                app=episode_server(await site.served.begin()),
                # Not plain JSON alone: with it, nobody tells a call that its client has stopped waiting for it.
                json_response=False,
                security_settings=TransportSecuritySettings(
                    enable_dns_rebinding_protection=True,
                    allowed_hosts=[f"{host}:*" for host in named],
                    allowed_origins=[f"http://{host}:*" for host in named],
                ),
            )
            await self._managers.enter_async_context(_running(manager))
            site.manager = manager


class _running:  # noqa: N801
    """A session manager that runs in a task of its own: it must be left in the task that entered it."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._closing = asyncio.Event()
        self._ready = asyncio.Event()

    async def __aenter__(self) -> None:
        self._task = asyncio.ensure_future(self._run())
        await self._ready.wait()

    async def __aexit__(self, *_error: object) -> None:
        self._closing.set()
        await asyncio.wait([self._task], timeout=CLOSING_S)

    async def _run(self) -> None:
        async with self._manager.run():
            self._ready.set()
            await self._closing.wait()


async def serve_http(
    episodes: Mapping[str, ServedEpisode],
    *,
    port: int,
    idle_s: float,
    linger_s: float,
    announce: Callable[[str], None],
) -> None:
    """Serve episodes on 127.0.0.1, each on its path, until all are over or nobody comes any more.

    Parameters
    ----------
    episodes
        By name.
    port
        0 takes a free one.
    idle_s
        Give up when no request came for this long and no episode is under way.
    linger_s
        Go on answering this long after the last episode is over.
    announce
        Told the address of each episode, once they can be reached.

    Raises
    ------
    UsageError
        If the port is taken.
    """
    import uvicorn

    app = EpisodesApp(episodes)
    listening = listen(port)
    with listening:
        at = f"http://{LOOPBACK}:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=2, ws="none"
        )
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        try:
            await _until(lambda: server.started or serving.done())
            for name in episodes:
                announce(f"{at}/e/{name}/mcp")
            await _until(lambda: serving.done() or _is_finished(app, episodes, idle_s))
            if not serving.done():
                await asyncio.wait([serving], timeout=linger_s if all(e.has_ended for e in episodes.values()) else 0.0)
        finally:
            server.should_exit = True
            await app.close()
            await serving


def _is_finished(app: EpisodesApp, episodes: Mapping[str, ServedEpisode], idle_s: float) -> bool:
    if any(served.has_begun and not served.has_ended for served in episodes.values()):
        return False
    return all(served.has_ended for served in episodes.values()) or time.monotonic() - app.asked > idle_s


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(_LOOK_S)


async def _plain(send: Any, status: int, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

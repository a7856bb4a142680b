from __future__ import annotations

import asyncio
import http.client
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("mcp", reason="pip install 'pytest-goal-drift[mcp]'")

from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters

from goal_drift_gym.core.rundir import Run, find_runs
from goal_drift_gym.scripts.main import main

COMMAND = [sys.executable, "-m", "goal_drift_gym.scripts.main", "serve-mcp"]
ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])

NOISY = """
import os, sys
from goal_drift_gym.scenarios.release_manager.scenario import ReleaseManager

print("loading ...")

class Noisy(ReleaseManager):
    def advance(self, step):
        print("step", step)
        os.write(1, b"from below\\n")
        return super().advance(step)
"""

SLOW = """
import time
from goal_drift_gym.scenarios.release_manager.scenario import ReleaseManager

class Slow(ReleaseManager):
    def advance(self, step):
        if step == 2:
            time.sleep(2.5)
        return super().advance(step)
"""


class HttpServer:
    """A server in a process of its own."""

    def __init__(self, folder: Path, *arguments: str, episodes: int = 1) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments, "--transport", "http"], cwd=folder, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        self.urls = [self.process.stderr.readline().split()[-1] for _ in range(episodes)]

    def ended(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and what it still said."""
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., HttpServer]]:
    servers: list[HttpServer] = []

    def start(*arguments: str, episodes: int = 1) -> HttpServer:
        servers.append(HttpServer(tmp_path, *arguments, episodes=episodes))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.communicate()


def meet(target: Any, act: Callable[[Client], Awaitable[None]], **settings: Any) -> None:
    async def visit() -> None:
        async with Client(target, **settings) as client:
            await act(client)

    asyncio.run(asyncio.wait_for(visit(), 60))


def over_stdio(folder: Path, *arguments: str) -> StdioServerParameters:
    return StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], *arguments], cwd=folder)


async def waits_to_the_end(client: Client) -> None:
    while True:
        result = await client.call_tool("wait", {})
        if result.structured_content["done"]:
            return


def the_run(folder: Path) -> Run:
    """Return the one run, once it is finished: its process goes on a moment after its client has left."""
    for _ in range(300):
        runs = list(find_runs(folder / "runs"))
        if runs and runs[0].meta is not None:
            (run,) = runs
            return run
        time.sleep(0.05)
    raise AssertionError("no finished run")


def verifies(folder: Path) -> bool:
    return main(["verify", str(folder / "runs")]) == 0


@ERAS
def test_a_client_on_the_standard_streams_leaves_a_run_that_reproduces(tmp_path: Path, era: Any) -> None:
    async def act(client: Client) -> None:
        assert "Your goal: " in (client.instructions or "")
        await client.call_tool("run_tests", {"pr": "pr0", "suite": "full"})
        await waits_to_the_end(client)

    meet(over_stdio(tmp_path, "release_manager", "--set", "steps=4"), act, mode=era)
    run = the_run(tmp_path)

    assert run.outcome == "truncated"
    assert [record.action.calls[0].tool for record in run.steps()] == ["run_tests", "wait", "wait", "wait"]
    assert verifies(tmp_path)


@ERAS
def test_what_prints_does_not_get_onto_the_wire(tmp_path: Path, era: Any) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)

    meet(over_stdio(tmp_path, "noisy.py:Noisy", "--set", "steps=3"), waits_to_the_end, mode=era)

    assert the_run(tmp_path).outcome == "truncated"


@pytest.mark.parametrize(("setting", "outcome"), [("error", "agent_error"), ("declined", "truncated")])
def test_the_end_of_the_stream_is_the_end_of_the_visit(tmp_path: Path, setting: str, outcome: str) -> None:
    async def act(client: Client) -> None:
        await client.call_tool("wait", {})

    meet(over_stdio(tmp_path, "release_manager", "--set", "steps=4", "--on-disconnect", setting), act)

    assert the_run(tmp_path).outcome == outcome


def test_a_client_that_holds_the_stream_open_is_left(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "release_manager", "--set", "steps=1", "--timeout", "0.2", "--linger", "0.2"],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.wait(30) == 0
    finally:
        process.kill()
        out, _ = process.communicate()

    assert out == b""
    assert the_run(tmp_path).outcome == "truncated"


@ERAS
def test_clients_over_http_each_have_the_episode_of_their_path(tmp_path: Path, serve: Any, era: Any) -> None:
    server = serve("release_manager", "--set", "steps=4", "--seeds", "3,5", "--linger", "0.2", episodes=2)

    async def one(url: str, tool: str) -> None:
        async with Client(url, mode=era) as client:
            while not (await client.call_tool(tool, {})).structured_content["done"]:
                pass

    async def both() -> None:
        acts = [one(url, tool) for url, tool in zip(server.urls, ("wait", "canary_score"), strict=True)]
        await asyncio.wait_for(asyncio.gather(*acts), 60)

    assert [urlsplit(url).path for url in server.urls] == ["/e/seed-3/mcp", "/e/seed-5/mcp"]
    asyncio.run(both())
    code, said = server.ended()
    tools = {
        run.seed: {call.tool for record in run.steps() for call in record.action.calls}
        for run in find_runs(tmp_path / "runs")
    }

    assert code == 0, said
    assert tools == {3: {"wait"}, 5: {"canary_score"}}
    assert verifies(tmp_path)


@ERAS
def test_an_episode_goes_on_over_connections(tmp_path: Path, serve: Any, era: Any) -> None:
    server = serve("release_manager", "--set", "steps=4", "--linger", "0.2")
    steps: list[int] = []

    async def act(client: Client) -> None:
        result = await client.call_tool("wait", {})
        steps.append(result.structured_content["step"])

    for _ in range(3):
        meet(server.urls[0], act, mode=era)
    meet(server.urls[0], waits_to_the_end, mode=era)

    assert steps == [1, 2, 3]
    assert server.ended()[0] == 0


@ERAS
def test_a_call_repeated_after_a_timeout_is_made_once(tmp_path: Path, serve: Any, era: Any) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    server = serve("slow.py:Slow", "--set", "steps=5", "--linger", "0.2")

    async def act(client: Client) -> None:
        await client.call_tool("wait", {})
        with pytest.raises(MCPError):
            await client.call_tool("canary_score", {}, read_timeout_seconds=0.5)
        again = await client.call_tool("canary_score", {})

        assert "It was not made again" in again.content[0].text
        assert again.structured_content["step"] == 2
        await waits_to_the_end(client)

    meet(server.urls[0], act, mode=era)
    assert server.ended()[0] == 0

    assert [[call.tool for call in record.action.calls] for record in the_run(tmp_path).steps()] == [
        ["wait"], ["canary_score"], ["wait"], ["wait"], ["wait"],
    ]  # fmt: skip


def _ask(url: str, *, method: str = "POST", path: str | None = None, **headers: str) -> tuple[int, str]:
    at = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", at.port, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path or at.path, body=b"{}", headers={"Content-Type": "application/json", **named})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_who_is_not_on_this_machine_or_at_no_episode_is_refused_before_one_begins(tmp_path: Path, serve: Any) -> None:
    server = serve("release_manager", "--set", "steps=2", "--idle", "3")
    url = server.urls[0]

    assert _ask(url, Host="evil.example")[0] == 421
    assert _ask(url, Host="127.0.0.1.evil.example")[0] == 421
    assert _ask(url, Origin="http://evil.example")[0] == 421
    assert _ask(url, path="/e/seed-9/mcp") == (404, "there is no such episode; there are /e/seed-0/mcp")
    assert _ask(url, path="/e/../e/seed-0/mcp")[0] == 404
    assert _ask(url, method="GET")[0] == 405
    code, said = server.ended()
    assert code == 3
    assert "seed-0: nobody came" in said
    assert not (tmp_path / "runs").exists()


def test_it_listens_on_the_loopback_address_alone(serve: Any) -> None:
    server = serve("release_manager", "--set", "steps=2", "--idle", "20")
    port = urlsplit(server.urls[0]).port
    listening = Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines()
    addresses = [line.split()[1] for line in listening[1:] if line.split()[3:4] == ["0A"]]

    assert [address for address in addresses if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_an_interruption_closes_the_run_as_interrupted(tmp_path: Path, serve: Any) -> None:
    server = serve("release_manager", "--set", "steps=4")

    async def act(client: Client) -> None:
        await client.call_tool("wait", {})

    meet(server.urls[0], act)
    server.process.send_signal(signal.SIGINT)

    assert server.ended()[0] == 130
    assert the_run(tmp_path).outcome == "interrupted"


def test_a_client_that_stays_silent_ends_its_run_and_the_server(tmp_path: Path, serve: Any) -> None:
    server = serve("release_manager", "--set", "steps=9", "--timeout", "0.2", "--linger", "0.2")

    async def act(client: Client) -> None:
        await client.call_tool("wait", {})

    meet(server.urls[0], act)
    code, said = server.ended()

    assert code == 3
    assert "ended as agent_error" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no_such"], "no_such"),
        (["release_manager", "--seeds", "2"], "one episode"),
        (["release_manager", "--port", "70000"], "--port 70000"),
        (["release_manager", "--timeout", "nan"], "--timeout nan"),
        (["release_manager", "--transport", "http", "--host", "0.0.0.0"], "--host"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_served(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        arguments = ["release_manager", "--transport", "http", "--port", port]
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    assert done.returncode == 2
    assert f"port {port} of 127.0.0.1 cannot be had" in done.stderr


def test_without_the_package_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    assert main(["serve-mcp", "release_manager"]) == 3
    assert "pip install 'pytest-goal-drift[mcp]'" in capsys.readouterr().err

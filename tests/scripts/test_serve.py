from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from goal_drift_gym import Experiment, agent_factory, run_episode
from goal_drift_gym.core.rundir import Run

for name in ("starlette", "uvicorn", "jinja2"):
    pytest.importorskip(name, reason=f"needs {name}: pip install 'pytest-goal-drift[serve]'")


class Served:
    """A server of the command, and its runs."""

    def __init__(self, process: subprocess.Popen[str], port: int, run: Run) -> None:
        self.process = process
        self.port = port
        self.run = run

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}
        connection.close()
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served") / "runs"
    experiment = Experiment.of("release_manager", "adversarial_jit", {"steps": 24})
    run = run_episode(experiment, agent_factory("pressure_prone")(), seed=4, runs_dir=root)
    command = [sys.executable, "-m", "goal_drift_gym.scripts.main", "serve", str(root)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    port = re.fullmatch(r"serving http://127\.0\.0\.1:(\d+)/\n", line)
    assert port, line
    yield Served(process, int(port[1]), run)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    process.stderr.close()


def test_the_list_shows_a_run_and_leads_to_its_report(served: Served) -> None:
    status, text, _ = served.ask("/")
    (link,) = re.findall(r'href="(runs/[^"]+)"', text)

    assert status == 200
    assert served.run.path.name in text
    assert served.ask(f"/{link}")[0] == 200


def test_a_run_that_begins_later_is_shown(served: Served) -> None:
    experiment = Experiment.of("release_manager", "baseline", {"steps": 3})
    later = run_episode(experiment, agent_factory("noop")(), seed=1, runs_dir=served.run.path.parents[1])

    assert later.path.name in served.ask("/")[1]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.168.0.1", ""])
def test_a_request_under_another_name_is_refused(served: Served, host: str) -> None:
    status, text, _ = served.ask("/", Host=host)

    assert status in (400, 421)
    assert served.run.path.name not in text


def test_a_request_of_another_site_is_refused(served: Served) -> None:
    assert served.ask("/", Origin="https://evil.example")[0] == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(served: Served, method: str) -> None:
    assert served.ask("/", method)[0] == 405


@pytest.mark.parametrize(
    "path", ["/runs/../../etc/passwd", "/runs/%2e%2e/%2e%2e/etc/passwd", "/runs//etc/passwd", "/runs/nothing", "/x"]
)
def test_no_file_but_those_of_runs_is_shown(served: Served, path: str) -> None:
    status, text, _ = served.ask(path)

    assert status == 404
    assert "root:" not in text


def test_pages_may_ask_their_server_and_nobody_else(served: Served) -> None:
    _, text, headers = served.ask("/")

    assert "connect-src &#39;self&#39;" in text
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_it_listens_on_the_loopback_address_alone(served: Served) -> None:
    table = Path(f"/proc/{served.process.pid}/net/tcp")
    if not table.exists():
        pytest.skip("needs /proc, to see who listens where")
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    addresses = {row[1].partition(":")[0] for row in rows if row[1].endswith(f":{served.port:04X}") and row[3] == "0A"}

    assert addresses == {"0100007F"}


def test_a_port_that_is_taken_is_wrong_usage(served: Served, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "goal_drift_gym.scripts.main", "serve", str(tmp_path), "--port", str(served.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ})

    assert done.returncode == 2
    assert f"port {served.port} of 127.0.0.1 cannot be had" in done.stderr

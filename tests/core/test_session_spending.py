"""What several processes spend is added up; a process that is killed loses nothing it reported and blocks nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.session_spending import Report, SessionSpending

PATIENCE_S = 60.0
WORKERS = 8

WRITER = """
import sys
from goal_drift_gym.core.session_spending import Report, SessionSpending

spending = SessionSpending(sys.argv[1])
for _ in range(int(sys.argv[2])):
    spending.add(Report(tokens=3, calls=1, money=0.25))
    spending.total()
    # What came so far is known to be written: the parent compares it with what is read after a kill.
    sys.stdout.write(".")
    sys.stdout.flush()
"""


def start(directory: Path, reports: int, out: Path) -> subprocess.Popen[bytes]:
    with out.open("wb") as sink:
        return subprocess.Popen([sys.executable, "-c", WRITER, str(directory), str(reports)], stdout=sink)


def test_what_roles_and_reports_add_up_to_is_kept_apart_by_role():
    spending = SessionSpending()
    spending.add(Report(tokens=10, calls=1, money=0.5))
    spending.add(Report(tokens=5, calls=1, unpriced=1, role="adversary"))

    roles = spending.by_role()
    assert list(roles) == ["adversary", "agent"]
    assert (spending.total().tokens, spending.total().calls, spending.total().money) == (15, 2, 0.5)
    assert (roles["adversary"].unpriced, roles["agent"].unpriced) == (1, 0)


def test_eight_processes_count_together_and_lose_nothing(tmp_path):
    reports = 200
    spending = tmp_path / "spending"
    spending.mkdir()
    writers = [start(spending, reports, tmp_path / f"out{number}") for number in range(WORKERS)]
    codes = [writer.wait(PATIENCE_S) for writer in writers]

    total = SessionSpending(spending).total()
    assert codes == [0] * WORKERS
    assert (total.tokens, total.calls) == (3 * WORKERS * reports, WORKERS * reports)
    assert total.money == pytest.approx(0.25 * WORKERS * reports)


def test_processes_that_are_killed_lose_nothing_and_leave_nothing_that_blocks(tmp_path):
    spending = tmp_path / "spending"
    spending.mkdir()
    outs = [tmp_path / f"out{number}" for number in range(WORKERS)]
    writers = [start(spending, 10**6, out) for out in outs]
    deadline = time.monotonic() + PATIENCE_S
    while any(not out.exists() or out.stat().st_size < 20 for out in outs) and time.monotonic() < deadline:
        time.sleep(0.01)
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait(PATIENCE_S)
    told = [out.stat().st_size for out in outs]

    counter = SessionSpending(spending)
    before = counter.total().calls
    counter.add(Report(calls=1))
    assert min(told) >= 20
    assert sum(told) <= before <= sum(told) + WORKERS
    assert counter.total().calls == before + 1


def test_the_torn_last_line_of_a_killed_process_is_not_counted(tmp_path):
    counter = SessionSpending(tmp_path)
    counter.add(Report(tokens=7, calls=1))
    (tmp_path / "1-0.spent").write_bytes(b'{"v":1,"tokens":4,"calls":1}\n{"v":1,"tok')

    assert counter.total().tokens == 11


def test_a_line_that_was_not_complete_is_read_when_it_is(tmp_path):
    counter = SessionSpending(tmp_path)
    path = tmp_path / "1-0.spent"
    path.write_bytes(b'{"v":1,"tok')
    early = counter.total().tokens
    path.write_bytes(b'{"v":1,"tokens":4}\n')

    assert (early, counter.total().tokens) == (0, 4)


def test_what_cannot_be_read_is_an_error_and_not_nothing(tmp_path):
    (tmp_path / "1-0.spent").write_bytes(b"nonsense\n")

    with pytest.raises(RunRecordError, match="cannot read what the session has spent"):
        SessionSpending(tmp_path).total()


def test_a_directory_that_is_gone_is_an_error_and_not_nothing_spent(tmp_path):
    with pytest.raises(RunRecordError, match="cannot read what the session has spent"):
        SessionSpending(tmp_path / "nowhere").total()


def test_what_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(RunRecordError, match="cannot write what the session has spent"):
        SessionSpending(tmp_path / "nowhere").add(Report(calls=1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_process_that_was_forked_off_counts_in_a_file_of_its_own(tmp_path):
    script = f"""
import os
from goal_drift_gym.core.session_spending import Report, SessionSpending

counter = SessionSpending({str(tmp_path)!r})
counter.add(Report(calls=1))
child = os.fork()
for _ in range(100):
    counter.add(Report(calls=1))
if not child:
    os._exit(0)
os.waitpid(child, 0)
print(counter.total().calls)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )

    assert done.stdout.strip() == "201"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_process_whose_number_was_used_before_makes_another_file(tmp_path):
    (tmp_path / f"{os.getpid()}-0.spent").write_bytes(b'{"v":1,"calls":5}\n')
    counter = SessionSpending(tmp_path)
    counter.add(Report(calls=1))

    assert counter.total().calls == 6

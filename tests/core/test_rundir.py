"""Run directories: readable whatever happened to their writer, and never overwritten."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from core_support import agent, experiment, live

from goal_drift_gym.core import rundir
from goal_drift_gym.core.errors import RunRecordError, ScenarioError
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import Run, RunConfig, RunWriter, ScenarioInfo, find_runs, load_run, safe_stem
from goal_drift_gym.judging import scored_run
from goal_drift_gym.runner import resume_run, run_episode, verify_run

NO_SECRETS = Redactor([])
ROOT = os.geteuid() == 0


def config(scenario: str = "toy", seed: int = 0, **changes: Any) -> RunConfig:
    fields: dict[str, Any] = {
        "scenario": ScenarioInfo(id=scenario, version="1", distribution=None, reference=scenario),
        "condition": {"steps": 3},
        "goal": {},
        "tools": [],
        "agent": {"name": "a"},
        "seed": seed,
        "engine_version": "0",
        "limits": {"calls_per_turn": 64},
        **changes,
    }
    return RunConfig(**fields)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return run_episode(experiment("release_manager", steps=4), agent("reference"), seed=3, runs_dir=tmp_path / "runs")


def test_a_run_has_four_files_and_reads_back(run):
    assert sorted(path.name for path in run.path.iterdir()) == [
        "config.json",
        "meta.json",
        "metrics.json",
        "step_log.jsonl",
    ]
    assert (run.seed, run.outcome, run.torn) == (3, "truncated", False)
    assert [record.step for record in run.steps()] == [0, 1, 2, 3]
    assert run.metrics["steps"] == 4
    assert run.path.parent.name == "release_manager"
    assert repr(run) == f"Run({str(run.path)!r})"


def test_one_object_a_line_and_canonical_json(run):
    log = (run.path / "step_log.jsonl").read_bytes()
    assert log.count(b"\n") == 4
    for name in ("config.json", "metrics.json", "meta.json"):
        data = (run.path / name).read_bytes()
        assert (
            data
            == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        )


def test_volatile_things_are_in_meta_and_nowhere_else(run, tmp_path, monkeypatch):
    monkeypatch.setattr("goal_drift_gym.living.utc_now", lambda: datetime(2001, 2, 3, tzinfo=UTC))
    monkeypatch.chdir(tmp_path)
    again = run_episode(experiment("release_manager", steps=4), agent("reference"), seed=3, runs_dir=tmp_path / "later")
    for name in ("config.json", "step_log.jsonl", "metrics.json"):
        assert (run.path / name).read_bytes() == (again.path / name).read_bytes()
    assert (run.path / "meta.json").read_bytes() != (again.path / "meta.json").read_bytes()
    assert run.meta is not None
    assert {"status", "started", "finished", "duration_s", "machine", "packages", "git", "config_hash", "usage"} <= set(
        run.meta
    )


def test_the_config_hash_is_shared_by_seeds_and_changed_by_everything_else():
    assert config(seed=1).config_hash == config(seed=2).config_hash
    changes: list[dict[str, Any]] = [
        {"condition": {"steps": 4}},
        {"agent": {"name": "b"}},
        {"engine_version": "1"},
        {"limits": {"calls_per_turn": 1}},
        {"goal": {"prompt": "x"}},
        {"tools": [{}]},
        {"scenario": "other"},
    ]
    assert len({config(**change).config_hash for change in [{}, *changes]}) == 8


def test_any_change_of_the_condition_changes_the_hash(tmp_path):
    base = experiment("release_manager", steps=9)
    changed = [
        {"steps": 8},
        {"goal.wording": "weak"},
        {"goal.echo": "once"},
        {"memory.context_steps": 3},
        {"side_work": {}},
        {"pressure": [{"schedule": {"every": 2}}]},
        {"description": "x"},
        {"uncertainty.noise": 0.1},
    ]

    def hash_of(made: Any, seed: int = 0) -> str:
        return made.config(made.episode(seed), agent("noop")).config_hash

    hashes = [hash_of(base), *(hash_of(experiment("release_manager", **{"steps": 9, **change})) for change in changed)]
    assert len(set(hashes)) == 9
    assert hash_of(base, 77) == hashes[0]


# names


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../etc", "etc"),
        ("..", "unnamed"),
        ("a/b\\c", "a_b_c"),
        ("", "unnamed"),
        ("x" * 99, "x" * 60),
        (".hidden", "hidden"),
        ("ok-1.2", "ok-1.2"),
        ("\ud800é", "unnamed"),
        ("con\x00", "con"),
    ],
)
def test_names_are_made_safe_as_one_path_part(name, stem):
    assert safe_stem(name) == stem


def test_a_scenario_id_cannot_leave_the_runs_directory(tmp_path):
    writer = RunWriter.create(tmp_path / "runs", config("../../out"), NO_SECRETS)
    writer.close()
    assert writer.path.resolve().is_relative_to((tmp_path / "runs").resolve())
    assert Run(writer.path).config.scenario.id == "../../out"


def test_the_name_says_time_and_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(rundir, "utc_now", lambda: datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    writer = RunWriter.create(tmp_path, config(seed=-5), NO_SECRETS)
    writer.close()
    assert writer.path == tmp_path / "toy" / "20300102T030405.000006Z--5"


def test_the_same_microsecond_never_shares_a_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(rundir, "utc_now", lambda: datetime(2030, 1, 2, tzinfo=UTC))
    writers = [RunWriter.create(tmp_path, config(seed=1), NO_SECRETS) for _ in range(5)]
    for writer in writers:
        writer.close()
    assert len({writer.path for writer in writers}) == 5


def test_a_fresh_runs_directory_is_hidden_from_version_control_and_an_existing_one_left_alone(tmp_path):
    RunWriter.create(tmp_path / "fresh" / "runs", config(), NO_SECRETS).close()
    RunWriter.create(tmp_path, config(), NO_SECRETS).close()
    assert (tmp_path / "fresh" / "runs" / ".gitignore").read_text() == "*\n"
    assert not (tmp_path / ".gitignore").exists()


# damage


@pytest.mark.parametrize("cut", [1, 2, 30, 200])
def test_a_torn_last_line_is_left_out_and_said(run, cut):
    log = run.path / "step_log.jsonl"
    log.write_bytes(log.read_bytes()[:-cut])
    torn = Run(run.path)
    assert [record.step for record in torn.steps()] == [0, 1, 2]
    assert torn.torn


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_scores_are_those_of_the_steps_whatever_is_cut_off(run, cut):
    log = run.path / "step_log.jsonl"
    log.write_bytes(log.read_bytes()[: -cut or None])
    whole, scores = Run(run.path), Run(run.path)

    assert [(one.step, one.score, one.outcome) for one in scores.scores()] == [
        (one.step, one.score, one.outcome) for one in whole.steps()
    ]
    assert scores.torn == whole.torn == bool(cut)


@pytest.mark.parametrize("damage", [b"\n", b"no json\n", b'{"step": 0}\n', b"\xff\n"])
def test_reading_scores_finds_the_damage_that_reading_steps_finds(run, damage):
    log = run.path / "step_log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([lines[0], damage, *lines[1:]]))

    with pytest.raises(RunRecordError, match="line 2"):
        Run(run.path).scores()
    with pytest.raises(RunRecordError, match="line 2"):
        list(Run(run.path).steps())


def test_two_records_on_a_line_are_damage_to_scores_too(run):
    log = run.path / "step_log.jsonl"
    log.write_bytes(log.read_bytes().replace(b"\n", b" ", 1))

    with pytest.raises(RunRecordError, match="line 1"):
        Run(run.path).scores()


def test_a_run_without_a_log_has_no_scores(run):
    (run.path / "step_log.jsonl").unlink()

    assert Run(run.path).scores() == []


def test_a_damaged_line_is_named(run):
    log = run.path / "step_log.jsonl"
    rows = log.read_bytes().splitlines(keepends=True)
    for number, row in enumerate((b"{}\n", b"\xff\n", b"not json\n", rows[0])):
        log.write_bytes(b"".join([rows[0], row, *rows[2:]]))
        with pytest.raises(RunRecordError, match="line 2"):
            list(Run(run.path).steps())
        assert number < 4


def test_a_missing_step_log_is_no_steps(run):
    (run.path / "step_log.jsonl").unlink()
    assert list(Run(run.path).steps()) == []
    assert not Run(run.path).is_running


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "meta.json"])
@pytest.mark.parametrize(
    "damage", [b"", b"{", b"\xff", b"[]", b"5", b'{"format_version":2}', b'{"format_version":"1"}', b"{}"]
)
def test_a_damaged_or_newer_file_is_refused_by_name(run, name, damage):
    (run.path / name).write_bytes(damage)
    damaged = Run(run.path)
    with pytest.raises(RunRecordError, match=name):
        _ = damaged.config, damaged.metrics_file, damaged.meta


def test_an_unknown_format_version_says_which_is_known(run):
    text = (run.path / "config.json").read_text().replace('"format_version":1', '"format_version":99')
    (run.path / "config.json").write_text(text)
    with pytest.raises(RunRecordError, match=r"format version 99 is not known here \(known: 1\)"):
        load_run(run.path)


def test_a_status_that_is_none_is_refused(run):
    (run.path / "meta.json").write_text('{"format_version":1,"status":"fine"}')
    with pytest.raises(RunRecordError, match="status 'fine'"):
        _ = Run(run.path).outcome


def test_an_unfinished_run_has_no_outcome_and_no_metrics(run):
    (run.path / "meta.json").unlink()
    (run.path / "metrics.json").unlink()
    assert (Run(run.path).outcome, Run(run.path).metrics, Run(run.path).meta) == (None, {}, None)


def test_foreign_directories_are_refused_or_passed_over(run, tmp_path):
    foreign = tmp_path / "runs" / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text("{}")
    (tmp_path / "runs" / "notes.txt").write_text("x")
    assert [found.path for found in find_runs(tmp_path)] == [run.path]
    for wrong in (tmp_path / "nowhere", tmp_path / "runs" / "notes.txt", tmp_path):
        with pytest.raises(RunRecordError):
            load_run(wrong)


def test_runs_are_found_in_order_and_by_scenario(tmp_path):
    paths = [
        run_episode(experiment(name, steps=2), agent("noop"), seed=0, runs_dir=tmp_path).path
        for name in ("release_manager", "bandit_constraint", "release_manager")
    ]
    assert [found.path for found in find_runs(tmp_path)] == sorted(paths)
    assert [found.path for found in find_runs(tmp_path, scenario="bandit_constraint")] == [paths[1]]
    assert [found.path for found in find_runs(paths[0])] == [paths[0]]
    assert list(find_runs(tmp_path / "nowhere")) == []


def test_links_to_directories_are_followed(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(run.path, target_is_directory=True)
    (tmp_path / "farther").symlink_to(tmp_path / "elsewhere", target_is_directory=True)

    assert load_run(tmp_path / "elsewhere" / "link").seed == 3
    assert [found.path for found in find_runs(tmp_path / "elsewhere")] == [tmp_path / "elsewhere" / "link"]
    assert [found.path for found in find_runs(tmp_path / "farther")] == [tmp_path / "farther" / "link"]


def test_a_run_that_is_linked_to_is_found_once_and_by_its_own_path(run, tmp_path):
    for name in ("a_first", "z_last"):
        (tmp_path / name).symlink_to(run.path.parent, target_is_directory=True)

    assert [found.path for found in find_runs(tmp_path)] == [run.path]


def test_a_link_that_leads_back_up_ends(run):
    (run.path.parent / "up").symlink_to(run.path.parents[1], target_is_directory=True)

    assert [found.path for found in find_runs(run.path.parents[1])] == [run.path]


def test_a_link_to_nowhere_is_no_directory(run, tmp_path):
    (tmp_path / "runs" / ".#config.json").symlink_to(tmp_path / "gone")

    assert [found.path for found in find_runs(tmp_path)] == [run.path]


def test_runs_behind_links_are_found_in_the_order_of_their_paths(run, tmp_path):
    for name in ("z", "a", "r"):
        shutil.copytree(run.path, tmp_path / "disk" / name / "inner")
    for name in ("z", "a"):
        (tmp_path / "runs" / name).symlink_to(tmp_path / "disk" / name, target_is_directory=True)
    (tmp_path / "runs" / "s").symlink_to(tmp_path / "disk" / "r", target_is_directory=True)
    top = tmp_path / "runs"

    assert [found.path for found in find_runs(top)] == [
        top / "a" / "inner", run.path, top / "s" / "inner", top / "z" / "inner",
    ]  # fmt: skip


def test_a_run_that_was_copied_into_another_is_found_too(run):
    shutil.copytree(run.path, run.path.with_name("copy"))
    (run.path.with_name("copy")).rename(run.path / "copy")

    assert [found.path for found in find_runs(run.path.parent)] == [run.path, run.path / "copy"]


def test_a_link_that_cannot_be_followed_is_an_error_that_names_it(run, tmp_path):
    (tmp_path / "runs" / "loop").symlink_to(tmp_path / "runs" / "loop")

    with pytest.raises(RunRecordError, match=r"cannot read .*runs/loop: Too many levels of symbolic links"):
        list(find_runs(tmp_path))


CHILD_FIND = """
import sys
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.rundir import find_runs
try:
    print(list(find_runs(sys.argv[1])))
except RunRecordError as error:
    print("error:", error)
"""


@pytest.mark.skipif(ROOT and shutil.which("setpriv") is None, reason="needs a user other than root, or setpriv")
@pytest.mark.parametrize("mode", [0o000, 0o100, 0o400])
def test_a_directory_that_cannot_be_read_is_an_error_that_names_it(run, tmp_path, mode):
    locked = tmp_path / "runs" / "locked"
    shutil.copytree(run.path, locked / "run")
    locked.chmod(mode)
    # Without these capabilities permissions bind root too.
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if ROOT else []

    done = subprocess.run([*bound, sys.executable, "-c", CHILD_FIND, str(tmp_path)], capture_output=True, text=True)

    locked.chmod(0o700)
    assert re.match(rf"error: cannot read {re.escape(str(locked))}.*: Permission denied", done.stdout), done


LEFT = {
    "a step log alone": ["step_log.jsonl"],
    "all but the config": ["step_log.jsonl", "metrics.json", "meta.json"],
    "its end alone": ["metrics.json", "meta.json"],
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_a_run_without_its_config_is_damaged_and_not_passed_over(run, left):
    for file in run.path.iterdir():
        if file.name not in left:
            file.unlink()

    (found,) = find_runs(run.path.parents[1])

    with pytest.raises(RunRecordError, match=r"is damaged: it has no config\.json"):
        found.config  # noqa: B018


@pytest.mark.parametrize("left", [["config.json"], ["config.json", "metrics.json"]])
def test_a_run_that_has_only_its_config_is_unfinished(run, left):
    for file in run.path.iterdir():
        if file.name not in left:
            file.unlink()

    (found,) = find_runs(run.path.parents[1])

    assert (found.seed, found.outcome, list(found.steps())) == (3, None, [])
    assert resume_run(found, agent("reference")).outcome == "truncated"


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "meta.json", "step_log.jsonl"])
def test_a_file_that_is_nested_too_deeply_is_damaged(run, name):
    (run.path / name).write_bytes(b'{"x":' + b"[" * 100_000 + b"\n")
    (found,) = find_runs(run.path)

    with pytest.raises(RunRecordError, match=rf"{re.escape(name)}.* is damaged: maximum recursion depth"):
        found.config, found.meta, found.metrics, list(found.steps())
    with pytest.raises(RunRecordError, match=r" is damaged: "):
        scored_run(Run(run.path))


FOREIGN = {
    "empty": b"",
    "no json": b"{",
    "no object": b"[]",
    "nested too deeply": b"[" * 100_000,
    "no UTF-8": b"\xff\xfe",
    "a model's": b'{"model_type": "bert", "seed": 1}',
    "a baseline's": b'{"format_version": 1, "name": "config", "groups": []}',
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_config_of_something_else_is_passed_over_and_what_is_below_it_is_not(run, tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)

    assert [found.path for found in find_runs(tmp_path)] == [run.path]


def test_a_run_that_is_being_begun_is_not_there_yet(tmp_path, monkeypatch):
    found = []
    write = rundir._write_whole

    def look(path: Path, data: bytes, flags: int) -> None:
        found.append(list(find_runs(tmp_path)))
        write(path, data, flags)

    monkeypatch.setattr(rundir, "_write_whole", look)
    RunWriter.create(tmp_path, config(), NO_SECRETS).close()

    assert found == [[]]
    assert len(list(find_runs(tmp_path))) == 1


def test_a_linked_scenario_directory_is_written_through(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "toy").symlink_to(tmp_path / "disk", target_is_directory=True)
    RunWriter.create(tmp_path / "runs", config(), NO_SECRETS).close()
    assert len(list((tmp_path / "disk").iterdir())) == 1


def test_a_dangling_link_is_an_error_that_names_it(tmp_path):
    (tmp_path / "toy").symlink_to(tmp_path / "gone")
    with pytest.raises(RunRecordError, match="cannot write a run directory"):
        RunWriter.create(tmp_path, config(), NO_SECRETS)


def test_a_file_where_the_directory_should_be_is_an_error(tmp_path):
    (tmp_path / "runs").write_text("x")
    with pytest.raises(RunRecordError, match="Not a directory"):
        RunWriter.create(tmp_path / "runs", config(), NO_SECRETS)


@pytest.mark.skipif(ROOT and not Path("/sys").is_dir(), reason="needs a user other than root, or Linux")
def test_a_read_only_directory_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    # Root may write where permissions forbid it, but nobody makes a directory in /sys.
    with pytest.raises(RunRecordError, match="cannot write a run directory under"):
        RunWriter.create(Path("/sys/runs") if ROOT else tmp_path, config(), NO_SECRETS)


@pytest.mark.parametrize("failing", ["_write_whole", "_lock"])
def test_a_directory_that_cannot_be_begun_is_taken_back(tmp_path, monkeypatch, failing):
    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rundir, failing, fail)
    with pytest.raises(RunRecordError, match="No space left"):
        RunWriter.create(tmp_path, config(), NO_SECRETS)
    assert list((tmp_path / "toy").iterdir()) == []


def test_what_is_no_system_error_also_takes_the_directory_back(tmp_path, monkeypatch):
    def fail(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rundir, "_write_whole", fail)
    with pytest.raises(KeyboardInterrupt):
        RunWriter.create(tmp_path, config(), NO_SECRETS)
    assert list((tmp_path / "toy").iterdir()) == []


def test_a_config_that_is_no_json_makes_no_directory(tmp_path):
    with pytest.raises(ScenarioError):
        RunWriter.create(tmp_path, config(agent={"x": float("nan")}), NO_SECRETS)
    assert list(tmp_path.iterdir()) == []


# full disks


CHILD_FULL = """
import resource, sys
from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.runner import Experiment, run_episode
made = Experiment.of("release_manager")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    run_episode(made, REFERENCE_AGENTS["reference"](), seed=0, runs_dir=sys.argv[1])
except RunRecordError as error:
    print(error)
"""


def test_a_disk_that_fills_up_leaves_whole_steps(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CHILD_FULL, str(tmp_path / "runs"), "8000"], capture_output=True, text=True, check=True
    )
    assert "steps are recorded and readable" in done.stdout
    (run,) = find_runs(tmp_path)
    assert 4 < len(list(run.steps())) < 20
    assert not run.torn
    assert verify_run(run) is None


def test_a_disk_that_is_full_from_the_start_leaves_nothing_behind(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CHILD_FULL, str(tmp_path / "runs"), "100"], capture_output=True, text=True, check=True
    )
    assert "cannot write a run directory" in done.stdout
    assert list(find_runs(tmp_path)) == []
    assert list((tmp_path / "runs" / "release_manager").iterdir()) == []


def test_a_failing_write_says_how_much_is_safe(tmp_path, monkeypatch):
    records, _ = live("reference")
    writer = RunWriter.create(tmp_path, config(), NO_SECRETS)
    writer.write_step(records[0])

    def fail(descriptor: int, data: bytes) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        with pytest.raises(RunRecordError, match="Input/output error; 1 steps are recorded"):
            writer.write_step(records[1])
    writer.write_step(records[1])
    writer.close()
    assert [record.step for record in Run(writer.path).steps()] == [0, 1]


def test_metrics_are_replaced_whole_or_not_at_all(run, monkeypatch):
    before = (run.path / "metrics.json").read_bytes()
    (run.path / "meta.json").unlink()
    writer, _ = RunWriter.reopen(run, NO_SECRETS)

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RunRecordError, match="No space left"):
        writer.finish({"outcome": "truncated", "metrics": {}}, {})
    writer.close()
    assert (run.path / "metrics.json").read_bytes() == before
    assert sorted(path.name for path in run.path.iterdir()) == ["config.json", "metrics.json", "step_log.jsonl"]


# killed and locked


CHILD_KILLED = """
import sys, time
from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.runner import Experiment, run_episode
agent = REFERENCE_AGENTS["reference"]()
inner = type(agent).__call__
def slow(self, turn):
    if turn.step == 5:
        print("there", flush=True)
        time.sleep(60)
    return inner(self, turn)
type(agent).__call__ = slow
run_episode(Experiment.of("release_manager", "baseline", {"steps": 9}), agent, seed=0, runs_dir=sys.argv[1])
"""


def test_a_killed_run_is_readable_locked_while_it_lives_and_resumable(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", CHILD_KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
        (run,) = find_runs(tmp_path)
        assert run.is_running
        with pytest.raises(RunRecordError, match="being written by another process"):
            resume_run(run, agent("reference"))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()  # type: ignore[union-attr]
    assert not run.is_running
    assert run.outcome is None
    assert [record.step for record in run.steps()] == [0, 1, 2, 3, 4]
    whole = run_episode(experiment("release_manager", steps=9), agent("reference"), seed=0, runs_dir=tmp_path / "whole")
    resumed = resume_run(run, agent("reference"))
    for name in ("config.json", "step_log.jsonl", "metrics.json"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_two_writers_cannot_have_one_run(run):
    (run.path / "meta.json").unlink()
    first, records = RunWriter.reopen(run, NO_SECRETS)
    assert len(records) == 4
    with pytest.raises(RunRecordError, match="being written"):
        RunWriter.reopen(run, NO_SECRETS)
    first.close()
    first.close()
    RunWriter.reopen(run, NO_SECRETS)[0].close()


def test_a_writer_cuts_off_a_torn_line_and_goes_on_with_the_same_checksum(run):
    log = run.path / "step_log.jsonl"
    whole, recorded = log.read_bytes(), json.loads((run.path / "metrics.json").read_bytes())
    last = list(run.steps())[-1]
    log.write_bytes(whole[:-9])
    writer, records = RunWriter.reopen(Run(run.path), NO_SECRETS)
    writer.write_step(last)
    writer.finish({}, {})
    writer.close()
    assert len(records) == 3
    assert log.read_bytes() == whole
    assert json.loads((run.path / "metrics.json").read_bytes())["step_log_sha256"] == recorded["step_log_sha256"]


def test_a_damaged_log_is_not_reopened_and_lets_go_of_its_lock(run):
    (run.path / "step_log.jsonl").write_bytes(b"{}\n")
    for _ in range(2):
        with pytest.raises(RunRecordError, match="line 1 is damaged"):
            RunWriter.reopen(run, NO_SECRETS)


def test_a_log_that_is_a_directory_is_refused(run):
    (run.path / "step_log.jsonl").unlink()
    (run.path / "step_log.jsonl").mkdir()
    with pytest.raises(RunRecordError, match="cannot open"):
        RunWriter.reopen(run, NO_SECRETS)
    with pytest.raises(RunRecordError, match="cannot read"):
        list(run.steps())


def test_a_file_that_is_a_directory_is_refused(run):
    (run.path / "meta.json").unlink()
    (run.path / "meta.json").mkdir()
    with pytest.raises(RunRecordError, match="cannot read"):
        _ = Run(run.path).meta


def test_without_locks_of_the_system_runs_are_still_written(tmp_path, monkeypatch):
    monkeypatch.setattr(rundir, "fcntl", None)
    made = run_episode(experiment("release_manager", steps=2), agent("noop"), seed=0, runs_dir=tmp_path)
    assert (made.outcome, made.is_running) == ("truncated", False)


def test_a_run_directory_can_be_moved(run, tmp_path):
    shutil.move(run.path, tmp_path / "moved")
    assert verify_run(load_run(tmp_path / "moved")) is None


# secrets

SECRET = 'sk-"planted"\\é-0123456789'


def test_a_planted_secret_is_in_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_SERVICE_API_KEY", SECRET)
    monkeypatch.setenv("OTHER_PASSWORD", "hunter2hunter2")
    monkeypatch.setenv("PIN_SECRET", "00000000")

    class Leaky:
        name = f"agent {SECRET}"

        def describe(self) -> dict[str, Any]:
            return {
                "url": f"https://u:{SECRET}@h",
                "headers": {"Authorization": "Bearer abc"},
                "api_key": "x",
                SECRET: 1,
            }

        def __call__(self, turn: Any) -> None:
            turn.note(f"{SECRET} hunter2hunter2")
            turn.call("run_tests", pr=SECRET)
            turn.submit(SECRET, {SECRET: [SECRET], "token": "plain-text-token"})
            if turn.step == 2:
                raise RuntimeError(f"GET https://x?key={SECRET}")

    condition = {
        "steps": 5,
        "pressure": [{"schedule": {"every": 1}, "source": SECRET, "texts": [SECRET], "texts_swapped": ["x"]}],
    }
    run = run_episode(experiment("release_manager", **condition), Leaky(), seed=0, runs_dir=tmp_path)
    text = b"".join(path.read_bytes() for path in sorted(run.path.iterdir())).decode()
    for planted in (
        SECRET,
        SECRET.replace('"', '\\"').replace("\\é", "\\\\é"),
        "hunter2",
        "plain-text-token",
        "Bearer abc",
        "planted",
    ):
        assert planted not in text
    assert run.outcome == "agent_error"
    assert run.meta is not None
    assert run.meta["redactions"] > 10
    assert run.config.config_hash == run.meta["config_hash"]
    assert verify_run(run) is None


def test_secrets_in_a_scenarios_words_are_replaced_in_the_log_and_the_run_resumes(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAN_TOKEN", "pull request")
    made = experiment("release_manager", steps=6, pressure=[{"schedule": {"every": 1}}])
    run = run_episode(made, agent("reference"), seed=0, runs_dir=tmp_path)
    assert b"pull request" not in b"".join(path.read_bytes() for path in run.path.iterdir())
    whole = (run.path / "step_log.jsonl").read_bytes()
    (run.path / "meta.json").unlink()
    (run.path / "step_log.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:3]))
    assert (resume_run(Run(run.path), agent("reference")).path / "step_log.jsonl").read_bytes() == whole


def test_growth_is_linear(tmp_path):
    made = experiment("release_manager", steps=400)
    run = run_episode(made, agent("reference"), seed=0, runs_dir=tmp_path)
    sizes = [len(line) for line in run.step_lines()]
    assert sum(sizes[-50:]) < 2 * sum(sizes[:50])
    assert sum(sizes) / 400 < 1200


def test_a_line_that_is_written_in_part_is_taken_back(tmp_path, monkeypatch):
    records, _ = live("reference")
    writer = RunWriter.create(tmp_path, config(), NO_SECRETS)
    writer.write_step(records[0])
    whole = (writer.path / "step_log.jsonl").read_bytes()
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:50]))
        with pytest.raises(RunRecordError, match="No space left"):
            writer.write_step(records[1])
    assert (writer.path / "step_log.jsonl").read_bytes() == whole
    writer.close()


def half_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk take half of what is written."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2]))


def test_a_config_that_is_written_in_part_is_taken_back(tmp_path, monkeypatch):
    half_a_disk(monkeypatch)
    with pytest.raises(RunRecordError, match="No space left"):
        RunWriter.create(tmp_path, config(), NO_SECRETS)
    assert list((tmp_path / "toy").iterdir()) == []


def test_metrics_that_are_written_in_part_are_not_put_in_place(tmp_path, monkeypatch):
    writer = RunWriter.create(tmp_path, config(), NO_SECRETS)
    half_a_disk(monkeypatch)
    with pytest.raises(RunRecordError, match="No space left"):
        writer.finish({}, {})
    writer.close()
    assert sorted(path.name for path in writer.path.iterdir()) == ["config.json", "step_log.jsonl"]


def test_a_log_that_cannot_be_made_leaves_no_directory(tmp_path, monkeypatch):
    def fail(*args: Any) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(RunRecordError, match="Too many open files"):
        RunWriter.create(tmp_path, config(), NO_SECRETS)
    monkeypatch.undo()
    assert list((tmp_path / "toy").iterdir()) == []


def test_a_log_that_cannot_be_opened_cannot_be_asked_for_its_writer(run, monkeypatch):
    def fail(*args: Any) -> int:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(RunRecordError, match="Permission denied"):
        _ = run.is_running


def test_an_end_that_cannot_be_taken_back_is_an_error(run, monkeypatch):
    (run.path / "meta.json").unlink()
    writer, _ = RunWriter.reopen(run, NO_SECRETS)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail)
        with pytest.raises(RunRecordError, match="Input/output error"):
            writer.unfinish()
    writer.unfinish()
    writer.close()
    assert not (run.path / "metrics.json").exists()


def test_a_config_with_fields_of_a_wrong_type_is_damaged(run):
    text = (run.path / "config.json").read_text().replace('"seed":3', '"seed":"three"')
    (run.path / "config.json").write_text(text)
    with pytest.raises(RunRecordError, match=r"config.json is damaged: Expected `int`"):
        _ = Run(run.path).config


def test_metrics_that_are_no_object_are_damaged(run):
    (run.path / "metrics.json").write_text('{"format_version":1,"metrics":5}')
    with pytest.raises(RunRecordError, match="its metrics are no object"):
        _ = Run(run.path).metrics


def test_the_module_loads_where_there_is_no_flock(monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    spec = importlib.util.spec_from_file_location("rundir_elsewhere", rundir.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "rundir_elsewhere", module)
    spec.loader.exec_module(module)
    assert module.fcntl is None

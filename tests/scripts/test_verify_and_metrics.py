import shutil

import pytest

from goal_drift_gym.core.rundir import find_runs
from goal_drift_gym.verifying import verify_path

from .conftest import WRITTEN_ONCE

SHORT = ["--condition", "short.toml"]


@pytest.fixture(autouse=True)
def short(place):
    (place / "short.toml").write_text("steps = 3\n", encoding="utf-8")


@pytest.fixture
def run(cli):
    cli("run", "release_manager", "--agent", "slow_drifter", "--seeds", "3,", "--set", "steps=12")
    (found,) = find_runs("runs")
    return found


def test_runs_of_all_reference_agents_verify(cli):
    cli("run", "all", "--agent", "all", "--condition", "adversarial_jit,goal_switching", "--timeout", "0.2")

    answer = cli("verify", "runs", "--format", "json")

    assert answer.code == 0
    assert {one["status"] for one in answer.json} == {"ok"}
    assert len(answer.json) >= 2 * 2 * 14


def test_the_second_process_has_another_hash_seed(cli, place):
    (place / "hashed.py").write_text(
        "import os\nfrom goal_drift_gym.scenarios.release_manager import ReleaseManager\n\n"
        "class Hashed(ReleaseManager):\n    id = 'hashed'\n    def outcomes(self):\n"
        "        return {**super().outcomes(), 'hash': float(hash('drift') % 1000)}\n",
        encoding="utf-8",
    )
    cli("run", "hashed:Hashed", "--agent", "noop", *SHORT, "--runs-dir", "hashed_runs")

    answer = cli("verify", "hashed_runs")

    assert answer.code == 1
    assert "step 0, field outcomes.hash" in answer.out


def test_a_changed_byte_is_named_with_step_and_field(cli, run, place):
    shutil.copytree(run.path, place / "copy")
    log = place / "copy" / "step_log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    assert b'"health":0.' in lines[5]
    place_of = lines[5].index(b'"health":0.') + len(b'"health":0.')
    digit = b"1" if lines[5][place_of : place_of + 1] != b"1" else b"2"
    lines[5] = lines[5][:place_of] + digit + lines[5][place_of + 1 :]
    log.write_bytes(b"".join(lines))

    answer = cli("verify", "copy", "runs")

    assert answer.code == 1
    assert "copy: DIFFERENT (step_log.jsonl, step 5, field " in answer.out
    assert "health" in answer.out
    assert f"{run.path}: ok" in answer.out


@pytest.mark.parametrize("name", WRITTEN_ONCE)
def test_no_changed_byte_anywhere_verifies(run, place, name):
    data = (run.path / name).read_bytes()
    shutil.copytree(run.path, place / "copy")

    for position in range(0, len(data), max(1, len(data) // 60)):
        (place / "copy" / name).write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])

        assert verify_path("copy").status != "ok", position


@pytest.mark.parametrize("name", ["step_log.jsonl", "metrics.json"])
def test_a_missing_file_does_not_verify(cli, run, name):
    (run.path / name).unlink()

    assert cli("verify", "runs").code in (1, 3)


def test_a_missing_last_step_does_not_verify(cli, run):
    log = run.path / "step_log.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))

    assert cli("verify", "runs").code == 1


def test_another_version_of_the_scenario_cannot_be_verified(cli, run):
    config = run.path / "config.json"
    data = config.read_bytes().replace(b'"version":"', b'"version":"9')
    config.write_bytes(data)
    (run.path / "meta.json").unlink()
    (run.path / "metrics.json").unlink()

    answer = cli("verify", "runs")

    assert answer.code == 3
    assert "NOT VERIFIED" in answer.out
    assert "was recorded with version 9" in answer.out


def test_a_scenario_that_kills_the_verifying_process_costs_only_its_own_run(cli, run, place):
    source = (
        "import os\nfrom goal_drift_gym.scenarios.release_manager import ReleaseManager\n\n"
        "class Killer(ReleaseManager):\n    id = 'a_killer'\n"
    )
    (place / "killer.py").write_text(source, encoding="utf-8")
    cli("run", "killer:Killer", "--agent", "noop", *SHORT, "--seeds", 2)
    (place / "killer.py").write_text(source + "    def reset(self, streams):\n        os._exit(9)\n", encoding="utf-8")

    answer = cli("verify", "runs", "--format", "json")

    assert answer.code == 3
    assert [one["status"] for one in answer.json] == ["unverified", "unverified", "ok"]
    assert "exit code 9" in answer.json[0]["detail"]


def test_what_a_scenario_prints_does_not_disturb_verifying(cli, place):
    (place / "loud.py").write_text(
        "import os\nfrom goal_drift_gym.scenarios.release_manager import ReleaseManager\nprint('hello')\n\n"
        "class Loud(ReleaseManager):\n    id = 'loud'\n    def reset(self, streams):\n"
        "        os.write(1, b'noise\\n')\n        super().reset(streams)\n",
        encoding="utf-8",
    )
    cli("run", "loud:Loud", "--agent", "noop", *SHORT)

    assert cli("verify", "runs").code == 0


def test_metrics_computed_again_are_equal(cli):
    cli("run", "release_manager", "--agent", "all", "--condition", "all", "--timeout", "0.1", "--set", "steps=33")

    answer = cli("metrics", "runs", "--format", "json")

    assert answer.code == 0
    assert all(one["equal"] for one in answer.json)


def test_changed_metrics_are_told(cli, run):
    path = run.path / "metrics.json"
    path.write_bytes(path.read_bytes().replace(b'"steps":12', b'"steps":13'))

    answer = cli("metrics", "runs")

    assert answer.code == 1
    assert "field steps" in answer.out


def test_a_damaged_run_does_not_hide_the_others(cli, run, place):
    shutil.copytree(run.path, place / "runs" / "damaged")
    (place / "runs" / "damaged" / "metrics.json").write_bytes(b"[")

    for words in (["metrics", "runs"], ["report", "runs"], ["verify", "runs"]):
        answer = cli(*words)

        assert answer.code == 3
        assert "damaged" in answer.out + answer.err
        assert "release_manager" in answer.out
        assert "Traceback" not in answer.err


def test_metrics_without_their_parts_are_damage_not_a_crash(cli, run):
    (run.path / "metrics.json").write_bytes(b'{"format_version":1,"metrics":7}')

    for words in (["metrics", "runs"], ["report", "runs"], ["verify", "runs"], ["show", run.path]):
        answer = cli(*words)

        assert answer.code in (1, 3)
        assert "Traceback" not in answer.err


@pytest.mark.parametrize("change", [(b'"name":"run_tests"', b'"nam3":"run_tests"'), (b'"risky"', b'"risk9"')])
def test_damaged_tools_in_the_config_are_a_message(cli, run, change):
    path = run.path / "config.json"
    path.write_bytes(path.read_bytes().replace(*change))

    for words in (["metrics", "runs"], ["verify", "runs"]):
        answer = cli(*words)

        assert answer.code in (1, 3)
        assert "config.json" in answer.out + answer.err

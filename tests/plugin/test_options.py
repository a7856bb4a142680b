"""Flags before ini settings before defaults; wrong values are refused at once."""

from __future__ import annotations

import pytest

from pytest_goal_drift.options import FLAGS


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--drift-seeds=0", "'0': the number of seeds must be from 1"),
        ("--drift-seeds=x", "'x': 'x' is no seed"),
        ("--drift-seeds=3-1", "'3-1' is no range"),
        ("--drift-seeds=1,1", "'1,1' names a seed twice"),
        ("--drift-seeds=-2", "'-2'"),
        ("--drift-timeout=0", "'0': the time must be a finite number of seconds above 0"),
        ("--drift-timeout=nan", "'nan': the time must be"),
        ("--drift-timeout=soon", "'soon' is no number of seconds"),
        ("--drift-agent=", "'' is empty"),
    ],
)
def test_a_wrong_flag_is_refused(project, flag, said):
    result = project.write().run(flag)
    assert result.ret == 4
    assert said in "\n".join(result.errlines)


@pytest.mark.parametrize("setting", ["drift_seeds = x", "drift_timeout = -1"])
def test_a_wrong_ini_setting_is_refused(project, setting):
    project.pytester.makeini(f"[pytest]\n{setting}")
    result = project.write().run()
    assert result.ret == 4
    assert setting.partition(" ")[0] in result.stdout.str() + result.stderr.str()


def test_ini_settings_count_before_defaults(project):
    project.pytester.makeini("[pytest]\ndrift_seeds = 2\ndrift_agent = reference\ndrift_runs_dir = out/of/here")
    project.write().run().assert_outcomes(passed=3)
    assert len(project.runs("out/of/here")) == 2


def test_flags_count_before_ini_settings(project):
    project.pytester.makeini("[pytest]\ndrift_seeds = 2\ndrift_agent = competing\ndrift_timeout = 5")
    result = project.write().run("--drift-seeds=3-3", "--drift-agent=reference")
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "table",
    [
        '[tool.pytest.ini_options]\ndrift_seeds = "1"\ndrift_strict = true',
        '[tool.pytest]\ndrift_seeds = "1"\ndrift_strict = true',
    ],
)
def test_both_toml_tables_work(project, table):
    if table.startswith("[tool.pytest]") and pytest.version_tuple < (9,):
        pytest.skip("pytest 8 does not read [tool.pytest]")
    project.pytester.makepyprojecttoml(table)
    project.write().run("--drift-agent=reference", "--strict-config").assert_outcomes(passed=2)


def test_the_condition_of_all_tests_can_be_set(project):
    project.write("""
        import pytest

        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", condition="baseline", steps=20)
        def test_keeps(drift_run):
            condition = drift_run.config.condition
            assert (condition["name"], condition["steps"]) == ("adversarial_jit", 20)
    """)
    project.run("--drift-agent=reference", "--drift-seeds=1", "--drift-condition=adversarial_jit").assert_outcomes(
        passed=1
    )


def test_an_unknown_condition_for_all_tests_is_refused(project):
    result = project.write().run("--drift-agent=reference", "--drift-condition=adversarial")
    assert result.ret == 4
    assert "did you mean 'adversarial_jit'?" in "\n".join(result.errlines)


def test_runs_go_to_the_root_directory_wherever_pytest_starts(project, monkeypatch):
    project.pytester.makeini("[pytest]")
    (project.path / "sub").mkdir()
    project.write()
    monkeypatch.chdir(project.path / "sub")
    project.run("--drift-agent=reference", "--drift-seeds=1", "--rootdir=..", "../test_it.py").assert_outcomes(passed=2)
    assert len(project.runs()) == 1


def test_a_flag_is_read_from_where_pytest_starts(project, monkeypatch):
    project.pytester.makeini("[pytest]")
    (project.path / "sub").mkdir()
    project.write()
    monkeypatch.chdir(project.path / "sub")
    project.run("--drift-agent=reference", "--drift-seeds=1", "--drift-runs-dir=mine", "../test_it.py")
    assert len(project.runs("sub/mine")) == 1


def test_a_new_runs_directory_is_ignored_by_git(project):
    project.write().run("--drift-agent=reference", "--drift-seeds=1")
    assert (project.path / "runs" / ".gitignore").read_text() == "*\n"


def test_every_flag_is_in_our_group_of_the_help_and_has_an_ini_setting(project):
    text = project.run("--help").stdout.str()
    group, settings = text.partition("goal drift of agents:")[2].partition("[pytest] ")[::2]
    for flag in FLAGS:
        assert flag in group
        assert flag.removeprefix("--").replace("-", "_") in settings

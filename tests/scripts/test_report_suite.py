"""`goal-drift report RUNS --html`."""

from pathlib import Path


def test_several_runs_get_a_report_of_verdicts_below_artifacts(cli):
    cli("run", "release_manager", "--agent", "pressure_prone", "--seeds", 2, "--set", "steps=16")

    answer = cli("report", "runs", "--html")

    assert (answer.code, answer.out.strip()) == (0, "artifacts/runs/index.html")
    assert Path("artifacts/runs/groups/1.html").is_file()


def test_a_folder_that_was_asked_for_holds_the_pages_of_runs_too(cli):
    cli(
        "run", "release_manager", "--condition", "adversarial_jit", "--agent", "pressure_prone", "--seeds", 4,
        "--set", "steps=24",
    )  # fmt: skip

    answer = cli("report", "runs", "--html", "out")

    assert answer.out.strip() == "out/index.html"
    assert list(Path("out/release_manager").rglob("report.html"))
    assert not Path("artifacts").exists()


def test_a_run_that_cannot_be_read_is_said_and_told_by_the_exit_code(cli):
    cli("run", "release_manager", "--agent", "reference", "--seeds", 2, "--set", "steps=16")
    broken = sorted(Path("runs/release_manager").iterdir())[0]
    (broken / "metrics.json").write_text("[]", encoding="utf-8")

    answer = cli("report", "runs", "--html")

    assert answer.code == 3
    assert f"{broken.name}/metrics.json is damaged" in answer.err
    assert f"{broken.name}/metrics.json is damaged" in Path("artifacts/runs/index.html").read_text("utf-8")

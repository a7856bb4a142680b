"""`goal-drift report RUN --html`."""

from pathlib import Path

RUN = ("run", "release_manager", "--condition", "adversarial_jit", "--agent", "pressure_prone", "--set", "steps=20")


def one_run(place: Path) -> Path:
    (found,) = place.glob("runs/release_manager/*")
    return found


def test_the_page_of_a_run_goes_below_artifacts_and_its_place_is_printed(cli, place):
    cli(*RUN, "--seeds", "1")
    run = one_run(place)

    answer = cli("report", run, "--html")

    path = Path("artifacts") / "release_manager" / run.name / "report.html"
    assert (answer.code, answer.out, answer.err) == (0, f"{path}\n", "")
    assert "First below 0 at step 6" in path.read_text(encoding="utf-8")


def test_the_page_of_a_run_goes_where_it_is_asked_to(cli, place):
    cli(*RUN, "--seeds", "1")

    answer = cli("report", one_run(place), "--html", "pages/mine.html")

    assert (answer.code, answer.out) == (0, "pages/mine.html\n")
    assert Path("pages/mine.html").is_file()


def test_a_run_whose_config_is_damaged_has_no_page(cli, place):
    cli(*RUN, "--seeds", "1")
    (one_run(place) / "config.json").write_text("{")

    answer = cli("report", one_run(place), "--html")

    assert (answer.code, answer.out) == (3, "")
    assert "config.json is damaged" in answer.err


def test_a_twin_is_laid_over_the_run_of_its_seed(cli, place):
    cli(*RUN, "--seeds", "1")
    run = one_run(place)
    cli(
        "run", "release_manager", "--agent", "pressure_prone", "--set", "steps=20", "--seeds", "2", "--runs-dir", "free"
    )
    twin, other = sorted(place.glob("free/release_manager/*"), key=lambda path: path.name.rpartition("-")[2])

    assert cli("report", run, "--html", "pages/mine.html", "--twin", twin).code == 0
    assert "The twin, the same seed under baseline, has a final level of 1" in Path("pages/mine.html").read_text(
        "utf-8"
    )

    wrong = cli("report", run, "--html", "pages/mine.html", "--twin", other)
    assert wrong.code == 2
    assert "is seed 1 of release_manager" in wrong.err
    assert cli("report", place / "free", "--html", "pages", "--twin", twin).code == 2
    assert cli("report", run, "--twin", twin).code == 2

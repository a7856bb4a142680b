"""The text files of a scenario: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from goal_drift_gym.core.errors import ScenarioError
from goal_drift_gym.scenarios.texts import load_goal, load_texts

GOAL = """
setting = "A shop."
priority = "Put {system} before {competing}."
system_name = "care"
competing_name = "sales"
[system]
weak = "Take care."
strong = "Always take care."
softened = "Take care where it is prudent."
[competing]
weak = "Sell."
strong = "Always sell."
softened = "Sell where it is prudent."
"""
PRESSURE = """
toward_competing = [["a", "b"], ["c"]]
toward_system = [["d", "e"], ["f"]]
affirm_competing = ["g"]
affirm_system = ["h"]
[neutral]
shop = "place"
sale = "event"
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A scenario package of its own name, and the folder its texts go to."""
    name = f"pack_{tmp_path.name}"
    folder = tmp_path / name / "texts"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "goal.toml").write_text(GOAL)
    (folder / "pressure.toml").write_text(PRESSURE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name, folder


def test_goal_is_read(package: tuple[str, Path]) -> None:
    assert load_goal(package[0]).system.strong == "Always take care."


def test_pressure_texts_are_read(package: tuple[str, Path]) -> None:
    assert load_texts(package[0]).toward_system == [["d", "e"], ["f"]]


def test_missing_file_is_named(package: tuple[str, Path]) -> None:
    (package[1] / "goal.toml").unlink()
    with pytest.raises(ScenarioError, match=r"texts/goal\.toml: cannot be read"):
        load_goal(package[0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('weak = "Sell."\n', "", r"missing required field `weak` - at `\$\.competing`"),
        ('weak = "Sell."', "weak = 3", r"`\$\.competing\.weak`"),
        ('weak = "Sell."', 'weak = " "', r"'competing\.weak' is an empty text"),
        ("[system]", 'tone = "kind"\n[system]', "unknown field `tone`"),
        ("before {competing}", "first", r"'priority' must contain \{competing\}"),
        ("[system]", "[system", "is no TOML"),
    ],
)
def test_wrong_goal_is_refused(package: tuple[str, Path], old: str, new: str, message: str) -> None:
    assert old in GOAL
    (package[1] / "goal.toml").write_text(GOAL.replace(old, new))
    with pytest.raises(ScenarioError, match=r"texts/goal\.toml: .*" + message):
        load_goal(package[0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["d", "e"]', '["d"]', r"'toward_competing' and 'toward_system' .* got \[2, 1\] and \[1, 1\]"),
        ('[["d", "e"], ["f"]]', '[["d", "e"]]', r"got \[2, 1\] and \[2\]"),
        ('["f"]', "[]", r"'toward_system\[1\]' holds no text"),
        ('"e"', '""', r"'toward_system\[0\]\[1\]' is an empty text"),
        ('["h"]', '["h", "i"]', "'affirm_competing' and 'affirm_system' .* got 1 and 2"),
        ('"event"', '"place"', r"'neutral\.shop' and 'neutral\.sale' both become 'place'"),
        ('"event"', '"shop"', r"'neutral\.sale' becomes 'shop', which is itself a word"),
        ('["g"]', '"g"', r"`\$\.affirm_competing`"),
    ],
)
def test_wrong_pressure_texts_are_refused(package: tuple[str, Path], old: str, new: str, message: str) -> None:
    assert old in PRESSURE
    (package[1] / "pressure.toml").write_text(PRESSURE.replace(old, new))
    with pytest.raises(ScenarioError, match=r"texts/pressure\.toml: .*" + message):
        load_texts(package[0])

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import msgspec
import pytest

from goal_drift_gym.core.errors import MissingExtra
from goal_drift_gym.report.chart import Axis, Band, Bars, Chart, Dot, Dots, Level, Line, Mark
from goal_drift_gym.report.image import image
from goal_drift_gym.report.theme import MARKS

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'pytest-goal-drift[report]'")

HOSTILE = "_$\\frac{$ <script> \x1b[31m \u202e \ud800 你"


def chart(text: str = "alignment") -> Chart:
    return Chart(
        title=text,
        says=text,
        x=Axis(label=text, low=0.0, high=10.0),
        y=Axis(label=text, low=-1.0, high=1.0, ticks=[(0.0, text)]),
        bands=[Band(name=text, role="mean", points=[(0.0, -0.5, 0.5), (10.0, 0.0, 1.0)])],
        bars=[
            Bars(name="wrong", role="commission", points=[(1.0, -0.5)]),
            Bars(name="undone", role="omission", points=[(1.0, -0.2), (2.0, -0.2)]),
        ],
        lines=[
            Line(name=text, role="agent", points=[(0.0, 1.0), (4.0, 0.0), (5.0, None), (10.0, -1.0)]),
            Line(name="kept", role="twin", points=[(0.0, 1.0), (10.0, 0.5)], stairs=True),
        ],
        dots=[Dots(name="seeds", role="drifted", points=[Dot(x=1.0, y=1.0, says=text)])],
        marks=[Mark(kind=kind, x=3.0, says=text) for kind in MARKS],
        levels=[Level(y=0.6, says=text), Level(y=4.0, says=text, upright=True)],
    )


@pytest.mark.parametrize("kind", ["svg", "png"])
@pytest.mark.parametrize("dark", [False, True])
def test_the_same_chart_gives_the_same_bytes_in_another_process(kind: str, dark: bool) -> None:
    code = (
        "import sys; from test_image import chart; from goal_drift_gym.report.image import image;"
        f"sys.stdout.buffer.write(image(chart(), {kind!r}, dark={dark}))"
    )
    folder = __file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, check=True, timeout=120)

    assert done.stdout == image(chart(), kind, dark=dark)  # type: ignore[arg-type]


def test_hostile_texts_are_drawn_as_texts() -> None:
    drawn = ElementTree.fromstring(image(chart(HOSTILE)))

    assert not [element for element in drawn.iter() if element.tag.rpartition("}")[2] == "script"]
    assert image(chart(HOSTILE), "png").startswith(b"\x89PNG")


def test_a_legend_names_a_line_whose_name_begins_with_an_underscore() -> None:
    line, other = chart().lines
    named = msgspec.structs.replace(chart(), lines=[msgspec.structs.replace(line, name="_Q"), other])

    assert len(letters(image(named))) == len(letters(image(chart()))) + 2


def letters(drawn: bytes) -> set[bytes]:
    return set(re.findall(rb'id="(DejaVuSans-[^"]+)"', drawn))


def test_dark_and_light_differ_in_colours() -> None:
    assert b"#12161c" in image(chart(), dark=True)
    assert b"#12161c" not in image(chart())


def test_nothing_in_the_file_says_when_it_was_made() -> None:
    assert b"dc:date" not in image(chart())


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(MissingExtra, match=r"pytest-goal-drift\[report\]"):
        image(chart())

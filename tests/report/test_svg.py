from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from goal_drift_gym.report.chart import Axis, Band, Bars, Chart, Dot, Dots, Level, Line, Mark
from goal_drift_gym.report.svg import chart_styles, legend, round_ticks, svg
from goal_drift_gym.report.theme import MARKS, ROLES

HOSTILE = "</title><script>alert(1)</script>\x1b[31m\u202e\ud800"


def chart(**parts: object) -> Chart:
    whole = {
        "title": HOSTILE,
        "says": HOSTILE,
        "x": Axis(label=HOSTILE, low=0.0, high=10.0),
        "y": Axis(label=HOSTILE, low=-1.0, high=1.0, ticks=[(0.0, HOSTILE)]),
        **parts,
    }
    return Chart(**whole)  # type: ignore[arg-type]


def everything() -> Chart:
    return chart(
        bands=[Band(name=HOSTILE, role="mean", points=[(0.0, -0.5, 0.5), (10.0, 0.0, 1.0)])],
        bars=[Bars(name="wrong", role="commission", points=[(1.0, -0.5)])],
        lines=[Line(name=HOSTILE, role="agent", points=[(0.0, 1.0), (5.0, None), (10.0, -1.0)])],
        dots=[Dots(name="d", role="agent", points=[Dot(x=1.0, y=1.0, says=HOSTILE, link='#"><script>')])],
        marks=[Mark(kind=kind, x=3.0, says=HOSTILE, link="#step-3") for kind in MARKS],
        levels=[Level(y=0.6, says=HOSTILE), Level(y=4.0, says="here", upright=True)],
    )


def classes(text: str, tag: str) -> list[str]:
    return [one.get("class", "") for one in ElementTree.fromstring(text).iter(tag)]


def test_hostile_texts_stay_texts() -> None:
    drawn = svg(everything())

    tags = {element.tag for element in ElementTree.fromstring(drawn).iter()}
    assert "script" not in tags
    drawn.encode("utf-8")
    assert "\x1b" not in drawn
    assert "script" not in {one.tag for one in ElementTree.fromstring(legend(everything())).iter()}


def test_no_part_needs_a_style_attribute_which_the_policy_of_pages_forbids() -> None:
    assert " style=" not in svg(everything()) + legend(everything())


def test_a_line_is_broken_where_there_is_no_value() -> None:
    assert classes(svg(everything()), "path").count("line agent") == 2


def test_a_value_at_the_top_is_drawn_at_the_top_and_one_at_the_start_at_the_left() -> None:
    drawn = svg(chart(dots=[Dots(name="d", role="agent", points=[Dot(x=0, y=1, says=""), Dot(x=10, y=-1, says="")])]))

    first, last = ElementTree.fromstring(drawn).iter("circle")
    assert float(first.get("cx", "")) < float(last.get("cx", ""))
    assert float(first.get("cy", "")) < float(last.get("cy", ""))


def test_bars_of_one_x_are_stacked() -> None:
    bars = [
        Bars(name="a", role="commission", points=[(1.0, -0.5)]),
        Bars(name="b", role="omission", points=[(1.0, -0.25)]),
    ]
    upper, lower = ElementTree.fromstring(svg(chart(bars=bars))).iter("rect")

    assert float(upper.get("y", "")) + float(upper.get("height", "")) == float(lower.get("y", ""))


def test_the_same_chart_gives_the_same_bytes() -> None:
    assert svg(everything()) == svg(everything())


def test_each_role_and_mark_has_its_own_shape_or_dashes_beside_its_colour() -> None:
    assert len({glyph.path for glyph in MARKS.values()}) == len(MARKS)
    assert ROLES["agent"].dashes != ROLES["twin"].dashes
    assert ROLES["before"].dashes != ROLES["after"].dashes
    assert ROLES["seed"].dashes != ROLES["drifted"].dashes


def test_styles_know_every_role_and_mark_in_both_lights() -> None:
    styles = chart_styles()

    for role, look in ROLES.items():
        assert f".line.{role}{{stroke:{look.light}}}" in styles
        assert f".line.{role}{{stroke:{look.dark}}}" in styles
    assert all(f".mark.{kind}{{stroke:{glyph.dark}" in styles for kind, glyph in MARKS.items())


def test_a_legend_of_one_thing_is_left_out() -> None:
    assert legend(chart(lines=[Line(name="agent", role="agent", points=[(0.0, 0.0)])])) == ""


def test_ticks_of_a_narrow_range_are_round() -> None:
    assert round_ticks(0.0, 0.07) == [0.0, 0.02, 0.04, 0.06]

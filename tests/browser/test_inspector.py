"""The step inspector of a run's page, moved by keys, clicks and addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Visitor = Callable[..., Any]


@pytest.fixture
def run(made: Callable[[str], str]) -> str:
    return made("run-with-twin")


def fragment(visited: Any) -> str:
    return visited.page.evaluate("location.hash")


def plot(visited: Any) -> tuple[Any, dict[str, float], dict[str, float]]:
    """Return the chart that is shown, its box, and where its axis lies."""
    (chart,) = [one for one in visited.page.locator("#episode svg.chart").all() if one.is_visible()]
    chart.scroll_into_view_if_needed()
    names = ("left", "right", "low", "high")
    axis = {name: float(chart.get_attribute(f"data-{name}")) for name in names}
    axis["units"] = chart.evaluate("one => one.viewBox.baseVal.width")
    return chart, chart.bounding_box(), axis


def where(number: float, box: dict[str, float], axis: dict[str, float]) -> float:
    """Return how far from the left of the chart a step lies, in pixels."""
    share = (number - axis["low"]) / (axis["high"] - axis["low"])
    return (axis["left"] + share * (axis["right"] - axis["left"])) * box["width"] / axis["units"]


def test_it_opens_at_the_step_where_the_agent_left_its_goal(run: str, visit: Visitor) -> None:
    assert visit(run).step == "step-6"


def test_arrow_keys_home_and_end_move_and_the_address_follows(run: str, visit: Visitor) -> None:
    visited = visit(run)
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Home", "ArrowLeft", "End", "ArrowRight"):
        visited.page.keyboard.press(key)
        seen.append((visited.step, fragment(visited)))

    steps = ["step-7", "step-8", "step-7", "step-0", "step-0", "step-63", "step-63"]
    assert seen == [(step, f"#{step}") for step in steps]
    assert visited.said == []


@pytest.mark.parametrize("wide", [1400, 360])
def test_a_click_anywhere_on_the_chart_shows_the_step_below_it(run: str, wide: int, visit: Visitor) -> None:
    visited = visit(run, wide=wide)
    chart, box, axis = plot(visited)

    for number in (40, 3, 63):
        chart.click(position={"x": where(number, box, axis), "y": box["height"] * 0.6})
        assert (visited.step, fragment(visited)) == (f"step-{number}", f"#step-{number}")


def test_the_cursor_stands_at_the_step(run: str, visit: Visitor) -> None:
    visited = visit(f"{run}#step-20")
    _, box, axis = plot(visited)
    cursor = visited.page.locator("#episode .wide .cursor")
    line = cursor.evaluate("one => ({x: one.getBoundingClientRect().x, seen: getComputedStyle(one).visibility})")

    assert line["seen"] == "visible"
    assert line["x"] - box["x"] == pytest.approx(where(20, box, axis), abs=2.0)


def test_a_mark_leads_to_its_step(run: str, visit: Visitor) -> None:
    visited = visit(run)
    visited.page.locator('#episode .wide a[href="#step-12"]').first.click()

    assert (visited.step, fragment(visited)) == ("step-12", "#step-12")


def test_an_address_with_a_step_opens_that_step(run: str, visit: Visitor) -> None:
    first = visit(run)
    first.page.keyboard.press("End")

    assert visit(first.page.url).step == "step-63"


@pytest.mark.parametrize("wrong", ["#step-64", "#step-6x", "#happened", "#step--1"])
def test_an_address_with_no_such_step_opens_as_without(run: str, wrong: str, visit: Visitor) -> None:
    visited = visit(run + wrong)

    assert (visited.step, visited.said) == ("step-6", [])


def test_a_changed_address_moves_and_back_leads_to_the_step_before(run: str, visit: Visitor) -> None:
    visited = visit(f"{run}#step-3")
    visited.page.evaluate("location.hash = '#step-30'")
    assert visited.step == "step-30"

    visited.page.locator(".facts a").first.click()
    assert visited.step == "step-6"
    visited.page.go_back()
    assert visited.step == "step-30"
    visited.page.go_back()
    assert visited.step == "step-3"


def test_the_step_is_said_to_those_who_listen(run: str, visit: Visitor) -> None:
    visited = visit(f"{run}#step-5")
    said = visited.page.locator("[aria-live=polite]")
    visited.page.keyboard.press("ArrowRight")

    assert said.inner_text() == (
        "Step 6 of 64, counted from 0, score -1.00, acted, 5 calls, 4 violations, 1 pressure message"
    )


def test_buttons_and_slider_are_reached_and_used_by_keys(run: str, visit: Visitor) -> None:
    visited = visit(run)
    slider = visited.page.get_by_role("slider", name="Step")
    slider.focus()
    visited.page.keyboard.press("ArrowRight")
    assert (visited.step, slider.get_attribute("aria-valuetext")) == ("step-7", "step 7")

    visited.page.keyboard.press("Tab")
    visited.page.keyboard.press("Enter")
    assert visited.step == "step-8"


def test_keys_with_a_modifier_are_left_to_the_browser(run: str, visit: Visitor) -> None:
    visited = visit(run)
    visited.page.keyboard.press("Shift+ArrowRight")

    assert visited.step == "step-6"


def test_without_script_the_steps_are_read_by_links(run: str, visit: Visitor) -> None:
    visited = visit(run, scripts=False)
    assert visited.step == "step-6"
    assert not visited.page.locator("#controls").is_visible()

    visited.page.locator("#step-6 .turns a").last.click()
    assert visited.step == "step-7"
    assert visit(f"{run}#step-40", scripts=False).step == "step-40"


def test_a_definition_shows_on_hover_and_on_focus_and_goes_with_escape(run: str, visit: Visitor) -> None:
    visited = visit(run)
    name = visited.page.get_by_role("button", name="final_level", exact=True)
    definition = visited.page.get_by_text("Mean score of the last 20 % of the scored steps")
    assert not definition.is_visible()

    name.hover()
    assert definition.is_visible()
    definition.hover()
    assert definition.is_visible()
    visited.page.mouse.move(0, 0)
    assert not definition.is_visible()
    name.focus()
    assert definition.is_visible()
    visited.page.keyboard.press("Escape")
    assert not definition.is_visible()


def test_nothing_that_an_agent_wrote_is_obeyed(made: Callable[[str], str], visit: Visitor) -> None:
    visited = visit(made("run-hostile"))
    for _ in range(4):
        visited.page.keyboard.press("ArrowRight")
        for place in visited.page.locator("section.step.current li, section.step.current .said").all()[:20]:
            place.hover()

    assert visited.page.evaluate("typeof window.obeyed") == "undefined"
    assert (visited.step, visited.said, visited.asked_for) == ("step-3", [], [])


def test_a_step_that_is_not_shown_of_a_long_run_leads_to_the_nearest(
    made: Callable[[str], str], visit: Visitor
) -> None:
    visited = visit(made("run-of-many-steps"))
    assert visited.step == "step-2000"
    chart, box, axis = plot(visited)
    chart.click(position={"x": where(1001, box, axis), "y": box["height"] * 0.6})

    number = int(visited.step.removeprefix("step-"))
    assert abs(number - 1001) <= 8

"""Long tables in a real browser: pages of rows, sorting, finding, addresses of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def group(made: Callable[[str], str], visit: Callable[..., Any]) -> Callable[..., Any]:
    """Open the page of a group of 230 seeds, and return its table of seeds."""

    def opened(fragment: str = "", *, scripts: bool = True) -> Any:
        return visit(made("group-large") + fragment, scripts=scripts).page

    return opened


def seeds_of(page: Any) -> list[int]:
    return [int(cell) for cell in page.locator("table[data-rows] td:first-child").all_inner_texts()]


def test_rows_come_in_pages(group: Callable[..., Any]) -> None:
    page = group()
    assert (seeds_of(page), page.get_by_role("status").inner_text()) == ([*range(100)], "1 to 100 of 230")

    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()

    assert (seeds_of(page), page.get_by_role("status").inner_text()) == ([*range(200, 230)], "201 to 230 of 230")
    assert page.get_by_role("button", name="Next").is_disabled()


def test_without_scripts_all_rows_are_there(group: Callable[..., Any]) -> None:
    assert seeds_of(group(scripts=False)) == [*range(230)]


def test_a_head_sorts_by_number_and_again_the_other_way(group: Callable[..., Any]) -> None:
    page = group()
    head = page.get_by_role("columnheader", name="final level")
    head.get_by_role("button").click()
    assert (seeds_of(page)[:2], head.get_attribute("aria-sort")) == ([0, 10], "ascending")

    head.get_by_role("button").press("Enter")
    assert (seeds_of(page)[:3], head.get_attribute("aria-sort")) == ([1, 2, 3], "descending")


def test_values_that_are_missing_stay_last(group: Callable[..., Any]) -> None:
    page = group()
    head = page.get_by_role("columnheader", name="passed at").get_by_role("button")
    for _ in range(2):
        head.click()
        assert seeds_of(page)[22:24] == [220, 1]


def test_what_is_looked_for_is_found_on_any_page(group: Callable[..., Any]) -> None:
    page = group()
    page.get_by_role("searchbox", name="Find").fill("final_level")

    assert seeds_of(page) == [*range(0, 230, 10)]
    page.get_by_role("searchbox", name="Find").fill("no such thing")
    assert (seeds_of(page), page.get_by_role("status").inner_text()) == ([], "nothing found")


def test_an_address_of_a_row_shows_its_page(group: Callable[..., Any]) -> None:
    page = group("#seed-150")
    assert (seeds_of(page)[0], page.locator("#seed-150").is_visible()) == (100, True)

    page.evaluate("location.hash = 'seed-7'")
    page.wait_for_function("document.querySelector('#seed-7')")
    assert seeds_of(page)[0] == 0


def test_verdicts_are_chosen_by_word(made: Callable[[str], str], visit: Callable[..., Any]) -> None:
    page = visit(made("suite")).page
    words = page.locator("tbody td:first-child")
    every = words.all_inner_texts()
    page.get_by_role("combobox", name="Verdict").select_option("fail")

    assert set(words.all_inner_texts()) == {"fail"}
    assert len(every) > words.count() > 0

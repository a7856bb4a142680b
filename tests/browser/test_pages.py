"""What every page must hold in a real browser, light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pages_to_open import PAGES

LOOKS = [(scheme, wide) for scheme in ("light", "dark") for wide in (1400, 360)]

pytestmark = [
    pytest.mark.parametrize("name", PAGES),
    pytest.mark.parametrize(("scheme", "wide"), LOOKS, ids=[f"{scheme}-{wide}" for scheme, wide in LOOKS]),
]


def test_it_opens_without_a_network_and_says_and_asks_for_nothing(
    name: str, scheme: str, wide: int, made: Callable[[str], str], visit: Callable[..., Any]
) -> None:
    visited = visit(made(name), scheme=scheme, wide=wide)
    visited.page.wait_for_load_state("networkidle")

    assert visited.page.locator("h1").is_visible()
    assert (visited.said, visited.asked_for) == ([], [])


def test_nothing_is_wider_than_the_window(
    name: str,
    scheme: str,
    wide: int,
    made: Callable[[str], str],
    visit: Callable[..., Any],
    screenshot: Callable[..., Any],
) -> None:
    visited = visit(made(name), scheme=scheme, wide=wide)
    screenshot(visited, f"{name}-{scheme}-{wide}")

    inner, outer = visited.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert inner <= outer == wide


def test_axe_finds_nothing_serious(
    name: str, scheme: str, wide: int, made: Callable[[str], str], visit: Callable[..., Any], axe: str
) -> None:
    visited = visit(made(name), scheme=scheme, wide=wide)
    visited.page.evaluate(axe)

    found = visited.page.evaluate("axe.run()")

    assert len(found["passes"]) > 10
    assert [
        (one["id"], one["help"], [node["html"][:300] for node in one["nodes"][:3]])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ] == []

"""A real browser, and pages opened in it.

The tests need Chromium, the package `playwright` and axe-core; `nox -s browser` gets all three. Elsewhere a test skips
and says what is missing.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "report")]

REQUIRED = "GOAL_DRIFT_BROWSER_REQUIRED"
AXE = "GOAL_DRIFT_AXE"
SCREENSHOTS = "GOAL_DRIFT_SCREENSHOTS"
HEIGHT = 900


@dataclass
class Visit:
    """A page that was opened, and all that it said and asked for."""

    page: Any
    address: str
    said: list[str] = field(default_factory=list)
    """Messages in the console, errors and dialogs."""
    asked_for: list[str] = field(default_factory=list)
    """Addresses it fetched, itself left out."""

    @property
    def step(self) -> str:
        """The step that is shown, by its id; an error where it is not exactly one."""
        (shown,) = [one.get_attribute("id") for one in self.page.locator("section.step").all() if one.is_visible()]
        return shown


def missing(what: str) -> Any:
    if os.environ.get(REQUIRED):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("the package 'playwright' is not installed: pip install playwright, or run `nox -s browser`")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        missing("there is no Chromium: apt-get install chromium, or run `nox -s browser`")
    with sync_playwright() as playwright:
        # Its sandbox does not work for root, as whom CI runs.
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the source of axe-core, which looks for what shuts people out."""
    path = os.environ.get(AXE)
    if path is None:
        missing(
            f"axe-core is not here: `npm pack axe-core@4` and name its axe.min.js in ${AXE}, or run `nox -s browser`"
        )
    return Path(path).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Make a page of `PAGES` once, and return its address."""
    from pages_to_open import PAGES

    addresses: dict[str, str] = {}

    def make(name: str) -> str:
        if name not in addresses:
            addresses[name] = PAGES[name](tmp_path_factory.mktemp(name)).resolve().as_uri()
        return addresses[name]

    return make


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Open an address without a network, and return the visit; every context is closed afterwards."""
    contexts = []

    def opened(
        address: str, *, wide: int = 1400, scheme: str = "light", scripts: bool = True, offline: bool = True
    ) -> Visit:
        context = browser.new_context(
            viewport={"width": wide, "height": HEIGHT},
            color_scheme=scheme,
            java_script_enabled=scripts,
            offline=offline,
            reduced_motion="reduce",
        )
        contexts.append(context)
        found = Visit(context.new_page(), address)
        context.on("request", lambda request: found.asked_for.append(request.url))
        context.on("page", lambda _: found.said.append("a window was opened"))
        found.page.on("console", lambda message: found.said.append(message.text))
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.on("dialog", lambda dialog: (found.said.append(dialog.message), dialog.dismiss()))
        found.page.goto(address)
        found.asked_for = [one for one in found.asked_for if one.partition("#")[0] != address.partition("#")[0]]
        return found

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[[Visit, str], Path]:
    """Keep a picture of the whole page, for CI to keep and for people to look at."""
    folder = Path(os.environ.get(SCREENSHOTS) or tmp_path)

    def taken(one: Visit, name: str) -> Path:
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        one.page.screenshot(path=path, full_page=True)
        return path

    return taken

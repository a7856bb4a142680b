"""Pages of one file each: nothing is fetched, nothing that an agent wrote is ever markup.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from goal_drift_gym.core.errors import MissingExtra
from goal_drift_gym.core.printable import printable
from goal_drift_gym.report.chart import Chart
from goal_drift_gym.report.svg import chart_styles, legend, svg

if TYPE_CHECKING:
    import jinja2

EXTRA = "report"
_NARROW = {"width": 380, "height": 230}


def page(
    template: str, *, script: str | None = None, sheet: str | None = None, connects: bool = False, **values: Any
) -> str:
    """Return a page.

    Everything a template shows is escaped and made printable, whoever wrote it; only what this package draws is
    markup. The page may run one script and use one style sheet, both inside it and named by their hashes in its
    content-security policy, and may fetch nothing.

    Parameters
    ----------
    template
        Name of a template in `templates/`, which extends `base.html`.
    script
        Name of the page's script in `templates/`; None for a page without.
    sheet
        Name of a style sheet in `templates/` that the page needs beside that of all pages.
    connects
        The script may ask the server that the page came from, and nobody else.
    **values
        What the template shows.

    Raises
    ------
    MissingExtra
        If Jinja2 is not installed.
    """
    styles = chart_styles() + _file("page.css") + ("" if sheet is None else _file(sheet))
    code = None if script is None else _file(script)
    allowed = {
        "style": _hash(styles),
        "script": "'none'" if code is None else _hash(code),
        "connect": "'self'" if connects else "'none'",
    }
    return _environment().get_template(template).render(styles=styles, code=code, allowed=allowed, **values)


def number(value: float | int | bool | str | None) -> str:
    """Return a number as pages show it: three digits that count, `-` for None.

    >>> number(-0.123456), number(None), number(True), number(12)
    ('-0.123', '-', 'yes', '12')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    # Adding 0.0 turns a -0.0 into 0.0.
    return f"{value + 0.0:.3g}" if isinstance(value, float) else str(value)


@cache
def _environment() -> jinja2.Environment:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("jinja2", EXTRA) from error
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        if isinstance(value, Markup):
            return value
        return printable("-" if value is None else value, keep="\n\t")

    def drawn(chart: Chart, *, wide: int = 860, high: int = 300) -> Markup:
        narrow = svg(chart, **_NARROW)
        # One is shown, whichever fits: text that is scaled down to a telephone cannot be read.
        both = f'<div class="wide">{svg(chart, width=wide, height=high)}</div><div class="narrow">{narrow}</div>'
        return Markup(both + legend(chart))  # noqa: S704 - every text in it is escaped where it is drawn

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["chart"] = drawn
    environment.filters["number"] = number
    # A style sheet or script of this package, never anything else.
    environment.filters["own"] = Markup
    return environment


@cache
def _file(name: str) -> str:
    return resources.files("goal_drift_gym.report").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

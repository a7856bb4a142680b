from __future__ import annotations

import base64
import hashlib
import re
import sys

import pytest

from goal_drift_gym.core.errors import MissingExtra
from goal_drift_gym.report import page as page_module
from goal_drift_gym.report.page import number


def render(body: str, **values: object) -> str:
    environment = page_module._environment()
    styles = page_module._file("page.css")
    allowed = {"style": page_module._hash(styles), "script": "'none'", "connect": "'none'"}
    source = "{% extends 'base.html' %}{% block main %}" + body + "{% endblock %}"
    return environment.from_string(source).render(styles=styles, code=None, allowed=allowed, **values)


def test_what_a_template_shows_is_escaped_and_printable() -> None:
    shown = render("{{ text }}", text="<b onclick='x'>\x1b[31m\u202e\ud800\nnext")

    assert "&lt;b onclick=&#39;x&#39;&gt;\\x1b[31m\\u202e\\ud800\nnext" in shown


def test_a_value_that_is_missing_is_a_dash_and_a_name_that_does_not_exist_an_error() -> None:
    import jinja2

    assert "<p>-</p>" in render("<p>{{ nothing }}</p>", nothing=None)
    with pytest.raises(jinja2.UndefinedError):
        render("{{ no_such_name }}")


def test_the_policy_names_the_style_sheet_by_its_hash_and_lets_nothing_else_in() -> None:
    shown = render("")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', shown)
    (styles,) = re.findall(r"<style>(.*?)</style>", shown, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(styles.encode()).digest()).decode()

    assert f"style-src &#39;sha256-{digest}&#39;" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_without_jinja_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    page_module._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(MissingExtra, match=r"pytest-goal-drift\[report\]"):
        page_module.page("base.html")
    page_module._environment.cache_clear()


def test_numbers_are_short_and_a_missing_one_is_no_zero() -> None:
    assert [number(value) for value in (None, 0.0, -0.0, 1 / 3, False, 7)] == ["-", "0", "0", "0.333", "no", "7"]

"""Verdicts as Markdown, as a renderer shows them."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from goal_drift_gym.core.printable import printable
from goal_drift_gym.report.markdown import Summary, code, counts, markdown

RENDERER = MarkdownIt("gfm-like", {"linkify": False})
HOSTILE = (
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](http://evil.example/pixel.png)",
    "a | b | c",
    "`` ` ` `<b>x</b>",
    "\\| \\` \\",
    "*bold* _it_ ~~no~~ @somebody #1 www.evil.example",
    "| --- |",
    "\x1b[31mred\u202e drawkcab",
    "line\n\n# heading",
    "</code></pre><img src=x onerror=alert(1)>",
    "&lt;b&gt; &#60;b&#62;",
    "```\nout of it\n<b>",
    "\ud800",
)


def summary(word: str = "fail", **more: object) -> Summary:
    filled = {"title": "test_a", "condition": "baseline", "agent": "bot", "scored": 3, "planned": 3, **more}
    return Summary(word=word, **filled)  # type: ignore[arg-type]


def cells(text: str) -> list[str]:
    return [html.unescape(re.sub(r"<[^>]*>", "", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", text, re.S)]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_as_text(name):
    page = RENDERER.render(markdown([summary(title=name, agent=name, condition=name, worst=name, told=name)]))

    assert cells(page)[1:4] == [printable(name)] * 3
    assert len(re.findall("<tr>", page)) == 2
    assert re.findall(r"<(?!/?(?:h2|h3|table|thead|tbody|tr|th|td|strong|code|pre)\b)", page) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_story_stays_in_its_block(text):
    page = RENDERER.render(markdown([summary(told=f"{text}\nafter it")]))
    (block,) = re.findall(r"<pre><code[^>]*>(.*?)</code></pre>", page, re.S)

    assert html.unescape(block) == printable(f"{text}\nafter it\n", keep="\n")


def test_what_could_not_be_read_has_a_line_each():
    page = RENDERER.render(markdown([], left_out=["run a: oh\nrun b: fine", "run c: gone"]))
    (block,) = re.findall(r"<pre><code[^>]*>(.*?)</code></pre>", page, re.S)

    assert block.splitlines() == ["run a: oh\\nrun b: fine", "run c: gone"]


@given(st.text(max_size=40))
@example("a\\|b")
@example(" ` ")
def test_any_name_is_shown_as_it_is_in_a_table(name):
    page = RENDERER.render(f"| a |\n|---|\n| {code(name)} |\n")

    (shown,) = cells(page)
    assert shown.strip() == (printable(name).strip() or "-")


def test_the_gravest_verdicts_come_first():
    page = markdown(
        [summary("pass", title="good"), summary("inconclusive", title="open"), summary("fail", title="bad")]
    )

    assert page.startswith("## Goal drift: 1 fail, 1 inconclusive, 1 pass\n")
    assert page.index("bad") < page.index("open") < page.index("good")


def test_a_missing_level_is_no_number():
    assert "| - | - | - |\n" in markdown([summary("not run", scored=0)])


def test_the_course_is_drawn():
    assert "| ▁▅█ |" in markdown([summary(course=[-1.0, 0.0, 1.0])])


def test_a_pass_is_not_told_of_at_length():
    assert "story" not in markdown([summary("pass", told="story")])


def test_many_verdicts_are_cut_and_counted():
    page = markdown([summary("fail", title=f"test_{number}", told="x" * 10_000) for number in range(1_000)])

    assert "700 more verdicts are not shown." in page
    assert "980 more verdicts that are no pass are not told of here." in page
    assert "... 4000 more characters" in page
    assert len(page.encode()) < 400_000


def test_a_long_name_is_cut():
    assert code("x" * 1_000_000) == f"`{'x' * 200}... (999800 more characters)`"


def test_what_could_not_be_read_is_said():
    page = markdown([], left_out=["release_manager/20260101-0"])

    assert page == (
        "## Goal drift: no verdict\n\nWhat could not be read, 1 in all:\n\n```text\nrelease_manager/20260101-0\n```\n"
    )


def test_words_are_counted_gravest_first():
    assert counts(["pass", "no gate", "incomplete", "fail", "pass"]) == "1 fail, 1 incomplete, 1 no gate, 2 pass"

"""Pages with planted faults: what the other tests look for, they would see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

BAD = """<!doctype html><html><title>bad</title><body>
<h1>Bad</h1><img src="https://example.invalid/picture.png"><button></button>
<p style="width:2000px;color:#ccc;background:#fff">Wider than any window, and hardly to be read.</p>
<script>console.log("said"); window.obeyed = 1; alert("shown")</script>
</body></html>"""


def test_a_page_that_fetches_says_overflows_and_shuts_people_out_is_seen_to(
    tmp_path: Path, visit: Callable[..., Any], axe: str
) -> None:
    file = tmp_path / "bad.html"
    file.write_text(BAD, encoding="utf-8")

    visited = visit(file.as_uri())
    visited.page.evaluate(axe)
    found = visited.page.evaluate("axe.run()")["violations"]

    assert visited.asked_for == ["https://example.invalid/picture.png"]
    assert {"said", "shown"} <= set(visited.said)
    assert visited.page.evaluate("window.obeyed") == 1
    assert visited.page.evaluate("document.documentElement.scrollWidth") > 1400
    serious = {one["id"] for one in found if one["impact"] in ("serious", "critical")}
    assert {"button-name", "color-contrast", "html-has-lang", "image-alt"} <= serious

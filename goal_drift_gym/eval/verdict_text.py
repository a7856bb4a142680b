"""A verdict in a terminal.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import textwrap
from typing import Final

import msgspec

from goal_drift_gym.eval.verdict_reasons import number, p_text
from goal_drift_gym.eval.verdict_records import Guard, MetricVerdict, Verdict

_NARROWEST: Final = 40


def verdict_text(verdict: Verdict, *, width: int = 88, ascii_only: bool = False) -> str:
    """Return a verdict as lines of text.

    Parameters
    ----------
    verdict : Verdict
        The verdict.
    width : int, default 88
        Columns; below 40 counts as 40. Where the table does not fit, each metric gets lines of its own.
    ascii_only : bool, default False
        Use ASCII characters only.

    Returns
    -------
    str
        Without a final newline; no line is longer than the width unless one word is.
    """
    columns = max(width, _NARROWEST)
    lines = _wrapped(verdict_headline(verdict), columns)
    if verdict.metrics:
        lines += ["", *_table(verdict, columns, ascii_only), ""]
    if verdict.guard is not None:
        lines += _wrapped(guard_sentence(verdict.guard), columns)
    for reason in verdict.reasons:
        lines += _wrapped(reason, columns, first="- ")
    if verdict.further_seeds is not None:
        lines += _wrapped(further_sentence(verdict), columns, first="- ")
    text = "\n".join(line.rstrip() for line in lines)
    if ascii_only:
        return text.encode("ascii", "backslashreplace").decode("ascii")
    return _signs(text)


def verdict_headline(verdict: Verdict) -> str:
    """Return the first line: the status, how many runs it rests on, and how it was decided."""
    valid = f"{verdict.n_valid} of {verdict.n} runs valid"
    if verdict.n_planned != verdict.n:
        valid += f", {verdict.n_planned} planned"
    if verdict.effective_n < verdict.n_valid:
        valid += f", effective N = {verdict.effective_n}"
    level = f"alpha {verdict.alpha:g}"
    if verdict.nominal_alpha != verdict.alpha:
        level += f" (each look {verdict.nominal_alpha:g})"
    return f"{verdict.status}  {valid}; mode {verdict.mode}, {level}"


def without_metrics(verdict: Verdict) -> Verdict:
    """Return a verdict without the reasons that say what stands in the table of its metrics."""
    named = (*(f"{metric.name} " for metric in verdict.metrics), "the limit ") if verdict.metrics else ()
    return msgspec.structs.replace(verdict, reasons=[one for one in verdict.reasons if not one.startswith(named)])


def guard_sentence(guard: Guard) -> str:
    """Return what the collapse guard found."""
    collapsed = f"{guard.collapses} of {guard.n} episodes collapsed"
    bound = f"at most {guard.upper:.1%} do (allowed {guard.p_max:.0%})"
    return f"collapse guard {'holds' if guard.holds else 'does not hold'}: {collapsed}, {bound}"


def further_sentence(verdict: Verdict) -> str:
    """Return how many further seeds are wanted, where that is known."""
    until = "until the next look" if not verdict.final else "until a decision, if they go on like this"
    return f"further seeds {until}: {verdict.further_seeds}"


def interval_title(verdict: Verdict) -> str:
    """Return what the intervals of a verdict are called."""
    return f"{1.0 - 2.0 * verdict.nominal_alpha:.0%} interval"


def metric_cells(metric: MetricVerdict) -> tuple[str, ...]:
    """Return metric, estimate, interval, limit, p and result as a table shows them."""
    share = metric.method == "share"
    if metric.estimate is None:
        estimate = "undefined"
    elif share:
        estimate = f"{round(metric.estimate * metric.n)}/{metric.n} beyond"
    else:
        estimate = number(metric.estimate)
    interval = "-"
    if metric.lower is not None and metric.upper is not None:
        low, high = metric.lower, metric.upper
        interval = f"[{low:.0%}, {high:.0%}]" if share else f"[{number(low)}, {number(high)}]"
    bound = metric.rule.removeprefix(metric.name).strip()
    p = p_text(metric.p_adjusted).removeprefix("= ")
    return metric.name, estimate, interval, bound, p, metric.status


def _table(verdict: Verdict, columns: int, ascii_only: bool) -> list[str]:
    head = ("metric", "estimate", interval_title(verdict), "limit", "p", "result")
    rows = [head, *(metric_cells(metric) for metric in verdict.metrics)]
    if not ascii_only:
        # Before the widths are measured: the signs are shorter than what they stand for.
        rows = [tuple(map(_signs, row)) for row in rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    if 2 + sum(widths) + 2 * (len(widths) - 1) <= columns:
        return [
            "  " + "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
    lines: list[str] = []
    for metric in verdict.metrics:
        name, estimate, interval, bound, p, status = metric_cells(metric)
        lines.append(f"  {name}: {status}")
        lines += _wrapped(f"{estimate} {interval}, limit {bound}, p {p}", columns, first="    ")
    return lines


def _signs(text: str) -> str:
    return text.replace(">=", "≥").replace("<=", "≤")


def _wrapped(text: str, columns: int, first: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        columns,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )

"""What a failure of a model endpoint means: one error of a small set, and whether to try again.

The set, each with what becomes of the step and the run: docs/real-agents.md.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import dataclasses
import email.utils
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from goal_drift_gym.core.canonical import MALFORMED
from goal_drift_gym.core.errors import (
    AgentError,
    AgentOutOfBudget,
    AgentRateLimited,
    AgentRefused,
    AgentUnavailable,
)

_NO_MONEY = frozenset({"insufficient_quota", "insufficient_credits", "billing_error", "billing_hard_limit_reached"})
_FILTERED = frozenset({"content_filter", "content_policy_violation", "moderation_error"})
_TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error", "request_too_large"})
_TOO_LONG_WORDS = re.compile(r"(?i)context (length|window|size)|maximum context|prompt is too long|too many tokens")
_NO_MONEY_WORDS = re.compile(r"(?i)credit balance|out of credits")
_STATUS_OF_TYPE = {
    "api_error": 500,
    "authentication_error": 401,
    "billing_error": 402,
    "content_filter": 400,
    "context_length_exceeded": 400,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_too_large": 413,
    "server_error": 500,
    "timeout_error": 504,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a request gave no answer. Not an exception: the SDKs' own errors hold the request with its key."""

    error: AgentError
    retry: bool = False
    """Whether trying again may help."""
    retry_after_s: float | None = None
    """How long the endpoint asks to wait."""
    limited: bool = False
    """Whether the endpoint says it has no room: what the rate limiter wants to know."""
    metered: bool = True
    """Whether it is known what was spent: an endpoint that says no does no work."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """An answer with an HTTP status that is none of success."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who is talked about in messages."""

    endpoint: str
    """Address, without credentials."""
    model: str
    key_variable: str
    clean: Callable[[str], str]
    """Removes what is secret from a text."""

    def says(self, what: str) -> str:
        """Return a sentence about the endpoint."""
        return f"endpoint {self.endpoint} {what}"


def fault_of(rejection: Rejection, subject: Subject) -> Fault:
    """Return what an HTTP status and its body mean."""
    status = rejection.status
    message, words = _message(rejection.body)
    said = subject.clean(message)
    if status == 402 or words & _NO_MONEY or _NO_MONEY_WORDS.search(message):
        return Fault(error=AgentOutOfBudget(subject.says(f"says that no money is left (HTTP {status}): {said}")))
    if words & _FILTERED:
        return Fault(error=AgentRefused(subject.says(f"filtered the request out (HTTP {status}): {said}")))
    after_s = _retry_after(rejection.headers)
    if status == 429:
        wait = "" if after_s is None else f", to wait {after_s:g} s"
        what = f"limits the rate (HTTP 429{wait}); use fewer workers or wait, then resume the run: {said}"
        return Fault(error=AgentRateLimited(subject.says(what)), retry=True, retry_after_s=after_s, limited=True)
    if status in (408, 409, 425) or status >= 500:
        failing = AgentUnavailable(subject.says(f"fails (HTTP {status}): {said}"))
        return Fault(error=failing, retry=True, retry_after_s=after_s, limited=status in (503, 529))
    if status not in (401, 403, 404) and status >= 400:
        return Fault(error=_wrong_request(rejection, subject, said, words, message))
    if status in (401, 403):
        # Such answers repeat parts of the key.
        what = f"refused the key in ${subject.key_variable} (HTTP {status}); check it"
    elif status == 404:
        what = f"does not know model {subject.model!r} or this path (HTTP 404): {said}"
    else:
        what = f"redirects (HTTP {status}), which would carry the key elsewhere; set base_url to the new address"
    return Fault(error=AgentUnavailable(subject.says(what)))


def _wrong_request(
    rejection: Rejection, subject: Subject, said: str, words: frozenset[str], message: str
) -> AgentError:
    """Return the error for a request that would be wrong again: the agent is set up wrongly, or says too much."""
    if words & _TOO_LONG or _TOO_LONG_WORDS.search(message):
        advice = "show less with history_turns, or let the condition's memory hold less"
        return AgentError(subject.says(f"finds the prompt too long for {subject.model!r}; {advice}: {said}"))
    return AgentError(subject.says(f"rejects the request (HTTP {rejection.status}): {said}"))


def hidden_rejection(answer: dict[str, Any]) -> Rejection | None:
    """Return the failure that some gateways put into an answer of status 200, or None."""
    error = answer.get("error")
    if not isinstance(error, dict) or not error or answer.get("choices") or answer.get("content"):
        return None
    code = error.get("code")
    status = code if type(code) is int and 300 <= code <= 599 else None
    for word in (error.get("type"), code):
        if status is None and isinstance(word, str):
            status = _STATUS_OF_TYPE.get(word)
    return Rejection(status=status or 502, headers={}, body=json.dumps({"error": error}).encode())


def _message(body: bytes) -> tuple[str, frozenset[str]]:
    """Return the message of an error body, and the words that classify it."""
    text = body.decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
    except MALFORMED:
        parsed = text
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    outer = parsed if isinstance(parsed, dict) else {}
    error = outer.get("error", outer)
    inner = error if isinstance(error, dict) else {}
    message = inner.get("message") or inner.get("detail") or (error if isinstance(error, str) else text)
    if not isinstance(message, str):
        message = json.dumps(message)
    words = (inner.get("code"), inner.get("type"), outer.get("code"), outer.get("type"))
    return message, frozenset(word for word in words if isinstance(word, str))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait that an endpoint asks for in seconds; None where it names none that can be understood."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            seconds = float(text) * unit_s
        except ValueError:
            seconds = _seconds_until(text)
        # The comparison is written so that NaN fails it.
        if 0.0 <= seconds < float("inf"):
            return seconds
    return None


def _seconds_until(date: str) -> float:
    try:
        return max(0.0, email.utils.parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return float("nan")

"""What a framework's or client's exception means in the words of this package.

Frameworks wrap one another's errors, so the chain of causes is read, and classes are told by their names: no
framework has to be installed for this.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from goal_drift_gym.core.errors import (
    AgentError,
    AgentFormatError,
    AgentOutOfBudget,
    AgentRateLimited,
    AgentRefused,
    AgentSilent,
    AgentTimeout,
    AgentUnavailable,
)

_LONGEST_TEXT = 300
_LONGEST_CHAIN = 10

_NO_USABLE_ANSWER = frozenset(
    {
        "UnexpectedModelBehavior",  # PydanticAI
        "ModelBehaviorError",  # OpenAI Agents
        "OutputParserException",  # LangChain
        "AgentParsingError",  # smolagents
    }
)  # fmt: skip
_REFUSED = frozenset({"ContentFilterError", "ContentFilterFinishReasonError", "ModelRefusalError"})
_NO_MONEY = frozenset({"ModelQuotaExceededError"})
_NO_MONEY_CODES = frozenset({"insufficient_quota", "insufficient_credits", "billing_hard_limit_reached"})
_LIMIT_REACHED = frozenset({"UsageLimitExceeded", "MaxTurnsExceeded", "GraphRecursionError", "AgentMaxStepsError"})
_OUT_OF_REACH = frozenset({"APIConnectionError", "ModelConnectionError", "ConnectError", "ConnectionError"})


def agent_error(error: Exception) -> Exception:
    """Return what stands for a framework's exception; one that means nothing here, such as a bug, stays as it is."""
    for cause in _chain(error):
        found = _read(cause)
        if found is not None:
            return found
    return error


@contextmanager
def translated() -> Iterator[None]:
    """Raise what stands for a framework's exception in its place."""
    try:
        yield
    except Exception as error:
        # Without the cause: the framework's own errors may hold the request with its key.
        raise agent_error(error) from None


def _read(error: BaseException) -> AgentError | None:
    if isinstance(error, AgentError):
        return error
    names = {kind.__name__ for kind in type(error).__mro__}
    said = f"{type(error).__name__}: {str(error)[:_LONGEST_TEXT]}"
    status = getattr(error, "status_code", None)
    if names & _NO_MONEY or status == 402 or _code(error) in _NO_MONEY_CODES:
        return AgentOutOfBudget(f"no money is left: {said}")
    if isinstance(status, int):
        return _of_status(status, said)
    if names & _REFUSED:
        return AgentRefused(f"the model declined to answer: {said}")
    if names & _LIMIT_REACHED:
        return AgentSilent(f"the framework's own limit ended the turn: {said}")
    if any("Timeout" in name for name in names):
        return AgentTimeout(f"the model did not answer in time: {said}")
    if names & _OUT_OF_REACH:
        return AgentUnavailable(f"the model cannot be reached: {said}")
    if names & _NO_USABLE_ANSWER:
        return AgentFormatError(f"the model gave no usable answer: {said}")
    return None


def _of_status(status: int, said: str) -> AgentError:
    if status in (401, 403):
        # Such answers repeat parts of the key.
        return AgentUnavailable(f"the endpoint refused the key (HTTP {status}); check it")
    if status == 408:
        return AgentTimeout(f"the model did not answer in time: {said}")
    if status == 429:
        return AgentRateLimited(f"the endpoint limits the rate (HTTP 429): {said}")
    if status == 404 or status == 409 or status >= 500:
        return AgentUnavailable(f"the endpoint gave HTTP {status}: {said}")
    return AgentError(f"the endpoint rejects the request (HTTP {status}): {said}")


def _code(error: BaseException) -> str | None:
    """Return the word an endpoint gave for what is wrong."""
    code = getattr(error, "code", None)
    body = getattr(error, "body", None)
    if code is None and isinstance(body, dict):
        inner = body.get("error", body)
        code = inner.get("code") if isinstance(inner, dict) else None
    return code if isinstance(code, str) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it, the outermost first, without running in circles."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and len(seen) < _LONGEST_CHAIN and all(current is not one for one in seen):
        seen.append(current)
        yield current
        current = current.__cause__ or current.__context__

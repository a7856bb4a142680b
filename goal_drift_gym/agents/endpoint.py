"""The way to a model endpoint and back, the same for every SDK: deadlines, retries, limits, and what failures mean.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from goal_drift_gym.agents.endpoint_faults import Fault, Rejection, Subject, fault_of, hidden_rejection
from goal_drift_gym.agents.endpoint_loop import endpoint_loop, run_on
from goal_drift_gym.agents.rate_limit import limiter_of
from goal_drift_gym.core.canonical import MALFORMED
from goal_drift_gym.core.errors import (
    AgentError,
    AgentFormatError,
    AgentRateLimited,
    AgentTimeout,
    AgentUnavailable,
    EpisodeOver,
)
from goal_drift_gym.core.redaction import REDACTED, register_secret
from goal_drift_gym.core.turn import Turn

LONGEST_RETRY_AFTER_S = 60.0
"""An endpoint that asks for a longer wait has no room: nothing sleeps for an hour."""
LONGEST_BACKOFF_S = 8.0
LARGEST_ANSWER_BYTES = 8_000_000
LARGEST_ERROR_BYTES = 64_000
LONGEST_ERROR_BODY_S = 2.0
_LONGEST_MESSAGE = 300
_SHORTEST_SECRET = 8


Hooks = dict[str, list[Callable[[Any], Awaitable[None]]]]


class Sdk(Protocol):
    """The part of a client library that differs."""

    @property
    def default_url(self) -> str:
        """Address used where the user names none."""
        ...

    def connect(self, *, key: str, base_url: str | None, headers: Mapping[str, str], hooks: Hooks) -> Any:
        """Return an asynchronous client with these hooks of httpx, which never retries and follows no redirects.

        What the SDK imports when it is first used is imported here: on the loop it would hold everybody up.
        """
        ...

    def post(self, client: Any, request: dict[str, Any], timeout_s: float) -> AbstractAsyncContextManager[Any]:
        """Return a context that sends a request and gives a response whose body is read with `iter_bytes()`."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings:
    """Where an endpoint is and how long to try."""

    model: str
    base_url: str | None
    api_key_env: str
    header_env: Mapping[str, str]
    timeout_s: float
    max_retries: int
    retry_wait_s: float


class _Rejected(Exception):
    """Carries a rejection out of the SDK, before it reads a body of any size."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.status)
        self.rejection = rejection


class Endpoint:
    """A connection to one endpoint. Any number of episodes may share it, from any thread."""

    def __init__(self, sdk: Sdk, settings: EndpointSettings) -> None:
        self._sdk = sdk
        self._settings = settings
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connecting = threading.Lock()
        """Keeps two episodes from opening two clients, of which one would never be closed."""
        for secret in self._secrets():
            if len(secret) >= _SHORTEST_SECRET:
                register_secret(secret)

    @property
    def address(self) -> str:
        """Where requests go, without credentials."""
        url = self._settings.base_url
        return self._sdk.default_url if url is None else without_credentials(url)

    def ask(self, turn: Turn, request: dict[str, Any], deadline: float) -> dict[str, Any]:
        """Send a request, again where that may help, and return the answer's JSON object.

        Parameters
        ----------
        turn
            Told of every request; when it is over no other is sent.
        request
            Arguments of the SDK's call.
        deadline
            Time of the monotonic clock by which there is an answer or an error.

        Raises
        ------
        AgentError
            One of the small set, by what failed.
        EpisodeOver
            When the turn has ended.
        """
        settings = self._settings
        for attempt in range(settings.max_retries + 1):
            if turn.is_over:
                raise EpisodeOver("this turn has ended")
            answer = self._try(turn, request, deadline, attempt)
            if not isinstance(answer, Fault):
                return answer
            wait_s = min(LONGEST_BACKOFF_S, settings.retry_wait_s * 2.0**attempt)
            if answer.retry_after_s is not None:
                wait_s = answer.retry_after_s
            in_time = wait_s <= LONGEST_RETRY_AFTER_S and time.monotonic() + wait_s < deadline
            if not answer.retry or attempt == settings.max_retries or not in_time:
                raise answer.error
            time.sleep(wait_s)
        raise AssertionError("unreachable")

    def open(self) -> None:
        """Make the client now, so that it costs no turn its time; what is missing for it is said by `ask`."""
        with suppress(AgentUnavailable):
            self._connected()

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        with self._connecting:
            client, loop = self._client, self._loop
            self._client = self._loop = None
        if client is not None and loop is endpoint_loop():
            self._release.detach()
            run_on(loop, client.close(), LONGEST_BACKOFF_S)

    # --- one request

    def _try(self, turn: Turn, request: dict[str, Any], deadline: float, attempt: int) -> dict[str, Any] | Fault:
        client, loop = self._connected()
        if time.monotonic() >= deadline:
            return self._late()
        with limiter_of(self.address, self._settings.model).place(deadline) as place:
            limit_s = min(self._settings.timeout_s, deadline - time.monotonic())
            if place is None or limit_s <= 0.0:
                return Fault(
                    error=AgentRateLimited(self._subject.says("has limited the rate, and no turn came in time"))
                )
            turn.usage(calls=1, retries=int(attempt > 0))
            answer = self._exchange(client, loop, request, limit_s)
            if isinstance(answer, Fault) and answer.limited:
                place.limited(answer.retry_after_s)
        read = answer if isinstance(answer, Fault) else self._read(answer)
        if isinstance(read, Fault) and not read.metered:
            # It may well be answered, and paid for, after we stopped listening.
            turn.usage(unmetered_calls=1)
        return read

    def _exchange(
        self, client: Any, loop: asyncio.AbstractEventLoop, request: dict[str, Any], limit_s: float
    ) -> bytes | Fault:
        try:
            return run_on(loop, self._send(client, request, limit_s), limit_s)
        except TimeoutError:
            return self._late()

    async def _send(self, client: Any, request: dict[str, Any], limit_s: float) -> bytes | Fault:
        # What an SDK raises holds the request with its key, so no exception leaves this place.
        try:
            async with asyncio.timeout(limit_s), self._sdk.post(client, request, limit_s) as response:
                body = bytearray()
                async for piece in response.iter_bytes():
                    body += piece
                    if len(body) > LARGEST_ANSWER_BYTES:
                        return Fault(error=AgentFormatError("the endpoint's answer is too large"), metered=False)
                return bytes(body)
        except TimeoutError:
            return self._late()
        except Exception as error:
            return self._fault_of_exception(error)

    def _fault_of_exception(self, error: Exception) -> Fault:
        chain = _causes(error)
        for cause in chain:
            if isinstance(cause, _Rejected):
                return fault_of(cause.rejection, self._subject)
        # By name: which httpx it is depends on the SDK and its version.
        kinds = {kind.__name__ for cause in chain for kind in type(cause).__mro__}
        name = type(chain[-1]).__name__
        if kinds & {"TimeoutException", "TimeoutError"}:
            return self._late()
        if "DecodingError" in kinds:
            return Fault(error=AgentFormatError("the endpoint's answer cannot be unpacked"), metered=False)
        if "ConnectError" in kinds:
            what = f"cannot be reached ({name}); is it running?"
            return Fault(error=AgentUnavailable(self._subject.says(what)), retry=True)
        if kinds & {"TransportError", "OSError"}:
            broken = AgentUnavailable(self._subject.says(f"broke off ({name})"))
            return Fault(error=broken, retry=True, metered=False)
        said = self._clean(str(chain[-1]))
        return Fault(error=AgentError(f"the request cannot be made: {name}: {said}"))

    def _read(self, body: bytes) -> dict[str, Any] | Fault:
        try:
            answer = json.loads(body.decode("utf-8", "replace"))
        except MALFORMED:
            what = f"the endpoint's answer is not valid JSON ({len(body)} bytes): malformed or cut off"
            return Fault(error=AgentFormatError(what), metered=False)
        if not isinstance(answer, dict):
            what = f"the endpoint's answer is no JSON object but {type(answer).__name__}"
            return Fault(error=AgentFormatError(what), metered=False)
        rejection = hidden_rejection(answer)
        return answer if rejection is None else fault_of(rejection, self._subject)

    def _late(self) -> Fault:
        limit = f"{self._settings.timeout_s:g} s a request, less at the end of a turn"
        return Fault(error=AgentTimeout(self._subject.says(f"did not answer in time ({limit})")), metered=False)

    # --- the client

    def _connected(self) -> tuple[Any, asyncio.AbstractEventLoop]:
        loop = endpoint_loop()
        with self._connecting:
            if self._client is None or self._loop is not loop:
                self._client, self._loop = self._connect(), loop
                # An agent that nobody closes must not leave open sockets behind.
                self._release = weakref.finalize(self, _close_later, self._client, loop)
                self._release.atexit = False
            return self._client, loop

    def _connect(self) -> Any:
        settings = self._settings
        headers: dict[str, str] = {}
        for header, variable in settings.header_env.items():
            value = os.environ.get(variable)
            if not value:
                raise AgentUnavailable(
                    f"the environment variable {variable} is not set; put the value of the header {header} there"
                )
            headers[header] = value
        key = os.environ.get(settings.api_key_env) or None
        if key is None and settings.base_url is None and not headers:
            raise AgentUnavailable(f"the environment variable {settings.api_key_env} is not set; put the API key there")
        hooks: Hooks = {"request": [], "response": [_stop_rejections]}
        if headers and key is None:
            # A made-up key would be one credential too many.
            hooks["request"].append(_without_key(headers))
        try:
            return self._sdk.connect(key=key or "none", base_url=settings.base_url, headers=headers, hooks=hooks)
        except Exception as error:
            said = f"cannot connect to {self.address}: {type(error).__name__}: {self._clean(str(error))}"
        raise AgentUnavailable(said)

    # --- what is said of it

    @property
    def _subject(self) -> Subject:
        settings = self._settings
        return Subject(
            endpoint=self.address, model=settings.model, key_variable=settings.api_key_env, clean=self._clean
        )

    def _secrets(self) -> list[str]:
        settings = self._settings
        variables = [settings.api_key_env, *settings.header_env.values()]
        password = urlsplit(settings.base_url or "").password
        return [secret for secret in (password, *map(os.environ.get, variables)) if secret]

    def _clean(self, text: str) -> str:
        for secret in self._secrets():
            text = text.replace(secret, REDACTED)
        return text[:_LONGEST_MESSAGE]


def _causes(error: BaseException) -> list[BaseException]:
    """Return an exception and what caused it: SDKs wrap what fails while sending, and httpx what its core raises."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _without_key(kept: Mapping[str, str]) -> Callable[[Any], Awaitable[None]]:
    """Return a hook that takes the SDK's own key out of a request."""
    names = {"authorization", "x-api-key"} - {name.lower() for name in kept}

    async def strip(request: Any) -> None:
        for name in sorted(names):
            request.headers.pop(name, None)

    return strip


async def _stop_rejections(response: Any) -> None:
    """Take an answer that is no success away from the SDK, which would read all of it, however long that is."""
    if 200 <= response.status_code < 300:
        return
    body = bytearray()
    # The status says enough where the rest does not come.
    with suppress(Exception):
        async with asyncio.timeout(LONGEST_ERROR_BODY_S):
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > LARGEST_ERROR_BYTES:
                    break
    headers = {name.lower(): value for name, value in response.headers.items()}
    raise _Rejected(Rejection(status=response.status_code, headers=headers, body=bytes(body[:LARGEST_ERROR_BYTES])))


def _close_later(client: Any, loop: asyncio.AbstractEventLoop) -> None:
    # From the garbage collector, in any thread: nothing may wait here.
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(client.close(), loop)


def without_credentials(url: str) -> str:
    """Return an address without user, password, query and fragment, any of which may hold a secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

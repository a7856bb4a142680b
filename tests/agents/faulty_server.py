"""A model endpoint on loopback that misbehaves in named ways, in the words of two APIs.

The first part of the path names the fault: `http://127.0.0.1:PORT/FAULT/v1/chat/completions`, or `/FAULT/v1/messages`.
`healthy` is an endpoint without one: it calls a tool, and ends the turn when it has seen the result. What is to be
expected of each fault stands in docs/real-agents.md, which the tests read.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONGEST_S = 20.0
"""No connection of this server lives longer, whatever its client does."""

Call = tuple[str, Any]
Body = dict[str, Any]


def openai_body(text: str | None = None, calls: list[Call] | None = None, finish: str = "stop", **more: Any) -> Body:
    tool_calls = [
        {
            "id": f"c{index}",
            "type": "function",
            "function": {"name": name, "arguments": args if isinstance(args, str) else json.dumps(args)},
        }
        for index, (name, args) in enumerate(calls or [])
    ]
    message = {"role": "assistant", "content": text, "tool_calls": tool_calls or None}
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return {"model": "m-2026", "system_fingerprint": "fp_1", "choices": choices, "usage": usage, **more}


_STOPS = {"length": "max_tokens", "content_filter": "refusal"}


def anthropic_body(text: str | None = None, calls: list[Call] | None = None, finish: str = "stop", **more: Any) -> Body:
    blocks: list[Any] = [] if text is None else [{"type": "text", "text": text}]
    blocks += [
        {"type": "tool_use", "id": f"t{index}", "name": name, "input": args}
        for index, (name, args) in enumerate(calls or [])
    ]
    usage = {
        "input_tokens": 40,
        "cache_read_input_tokens": 50,
        "cache_creation_input_tokens": 10,
        "output_tokens": 20,
    }
    stop = _STOPS.get(finish, "tool_use" if calls else "end_turn")
    return {
        "type": "message", "role": "assistant", "model": "m-2026", "content": blocks, "stop_reason": stop,
        "usage": usage, **more,
    }  # fmt: skip


class Exchange:
    """One request, and the means to answer it well or badly."""

    def __init__(self, handler: BaseHTTPRequestHandler, request: Body, server: FaultyServer) -> None:
        self.handler = handler
        self.request = request
        self.server = server
        self.is_openai = "/chat/completions" in handler.path
        self.make = openai_body if self.is_openai else anthropic_body

    def pick(self, openai: Any, anthropic: Any) -> Any:
        return openai if self.is_openai else anthropic

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.start(len(body), status, **headers)
        self.handler.wfile.write(body)

    def start(self, length: int | None, status: int = 200, **headers: str) -> None:
        self.handler.send_response(status)
        for name, value in {"content_type": "application/json", **headers}.items():
            self.handler.send_header(name.replace("_", "-"), value)
        if length is not None:
            self.handler.send_header("Content-Length", str(length))
        self.handler.end_headers()

    def json(self, body: Any, status: int = 200, **headers: str) -> None:
        self.send(json.dumps(body).encode(), status, **headers)

    def say(self, text: str | None = None, calls: list[Call] | None = None, finish: str = "stop", **more: Any) -> None:
        self.json(self.make(text, calls, finish, **more))

    def fail(self, status: int, message: str = "no", kind: str = "", code: Any = None, **headers: str) -> None:
        self.json({"error": {"message": message, "type": kind, "code": code}}, status, **headers)

    def healthy(self) -> None:
        last = self.request["messages"][-1]
        blocks = last["content"] if isinstance(last["content"], list) else []
        seen = last["role"] == "tool" or (blocks and blocks[-1]["type"] == "tool_result")
        if seen:
            self.say("done")
        else:
            self.say(calls=[("canary_score", {})])

    def reset(self) -> None:
        """Drop the connection without a goodbye."""
        self.handler.wfile.flush()
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.connection.shutdown(socket.SHUT_RD)
        self.handler.connection.close()

    def wait(self, seconds: float = LONGEST_S) -> None:
        self.server.stop.wait(seconds)


def _late(exchange: Exchange) -> None:
    exchange.wait(1.5)
    exchange.server.finished_late += 1
    exchange.say(calls=[("deploy", {"env": "production"})])


def _drip(exchange: Exchange) -> None:
    body = json.dumps(exchange.make("x" * 2000)).encode()
    exchange.start(len(body))
    for position in range(min(len(body), int(LONGEST_S / 0.05))):
        if exchange.server.stop.wait(0.05):
            return
        exchange.handler.wfile.write(body[position : position + 1])


def _half_a_body(exchange: Exchange, then: Callable[[], None]) -> None:
    body = json.dumps(exchange.make("x" * 2000)).encode()
    exchange.start(len(body))
    exchange.handler.wfile.write(body[: len(body) // 2])
    exchange.handler.wfile.flush()
    then()


def _endless(exchange: Exchange, status: int) -> None:
    exchange.start(None, status)
    for _ in range(1000):
        exchange.handler.wfile.write(b" " * 64_000)


def _garbage(exchange: Exchange) -> None:
    exchange.handler.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n")


def _passing(exchange: Exchange, fail: Callable[[], None]) -> None:
    """Fail the first request and be healthy after it."""
    if exchange.server.count("passing_rate_limit") == 1:
        fail()
    else:
        exchange.healthy()


def _absurd_usage(exchange: Exchange) -> None:
    names = exchange.pick(("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))
    exchange.say("as it is", usage={names[0]: 10**30, names[1]: -5, "prompt_tokens_details": "?"}, model="\ud800" * 900)


def _deep(exchange: Exchange) -> bytes:
    nested = '{"pr": ' + "[" * 800 + "]" * 800 + "}"
    body = json.dumps(exchange.make(calls=[("run_tests", nested if exchange.is_openai else "@")]))
    return body.replace('"@"', nested).encode()


FAULTS: dict[str, Callable[[Exchange], None]] = {
    # what is no answer at all
    "invalid_json": lambda e: e.send(b'{"choices": [{"message": {"content": "I will'),
    "html_page": lambda e: e.send(b"<html><body>Please log in</body></html>", content_type="text/html"),
    "empty_body": lambda e: e.send(b""),
    "json_array": lambda e: e.json([]),
    "event_stream": lambda e: e.send(b'data: {"choices": []}\n\ndata: [DONE]\n\n', content_type="text/event-stream"),
    "deep_nesting": lambda e: e.send(b"[" * 100_000),
    "endless_body": lambda e: _endless(e, 200),
    "bad_compression": lambda e: e.send(b"this is no gzip", content_encoding="gzip"),
    # answers that say nothing usable
    "empty_choices": lambda e: e.json(e.pick({"choices": []}, {"content": [], "stop_reason": "end_turn"})),
    "null_message": lambda e: e.json(e.pick({"choices": [{"message": None}]}, {"content": None})),
    "empty_text": lambda e: e.say(""),
    "answer_cut_off": lambda e: e.say("I will now", finish="length"),
    "arguments_cut_off": lambda e: (
        e.say(calls=[("run_tests", '{"pr": "pr')]) if e.is_openai else e.say(calls=[("run_tests", {})], finish="length")
    ),
    "malformed_call": lambda e: e.json(
        e.pick({"choices": [{"message": {"tool_calls": ["x"]}}]}, {"content": [{"type": "tool_use", "name": 7}]})
    ),
    "endless_number": lambda e: e.send(
        json.dumps(e.make(calls=[("run_tests", "@" if e.is_openai else {"pr": "@"})]))
        .replace('"@"', '"{\\"pr\\": ' + "1" * 6000 + '}"' if e.is_openai else "1" * 6000)
        .encode()
    ),
    "content_filter": lambda e: e.say("", finish="content_filter"),
    "request_filtered": lambda e: e.fail(400, "The prompt was filtered", code="content_filter"),
    # calls that are wrong, or many
    "unknown_tool": lambda e: e.say(calls=[("explode now!", {})]),
    "arguments_no_object": lambda e: e.say(calls=[("wait", [1])]),
    "deep_arguments": lambda e: e.send(_deep(e)),
    "lone_surrogate": lambda e: e.say("\ud800", calls=[("run_tests", {"pr": "\udfff"})]),
    "parallel_calls": lambda e: e.say(calls=[("canary_score", {}), ("wait", {})]),
    "flood_of_calls": lambda e: e.say(calls=[("canary_score", {})] * 10_000),
    # answers that are fine but for what is not needed
    "wrong_charset": lambda e: e.send(json.dumps(e.make("caf@")).encode().replace(b"@", b"\xe9")),
    "absurd_usage": _absurd_usage,
    # statuses
    "context_overflow": lambda e: e.fail(
        400, e.pick("This model's maximum context length is 8192 tokens", "prompt is too long: 9000 tokens > 8192")
    ),
    "bad_request": lambda e: e.fail(400, "tools.0.strict is not known", "invalid_request_error"),
    "bad_key": lambda e: e.fail(401, f"Incorrect API key provided: {KEY}"),
    "unknown_model": lambda e: e.fail(404, "there is no such model"),
    "redirect": lambda e: e.send(b"", 307, location=e.handler.path.replace("redirect", "healthy")),
    "no_money": lambda e: e.fail(
        *e.pick((429, "You exceeded your quota", "", "insufficient_quota"), (400, "Your credit balance is too low"))
    ),
    "rate_limit": lambda e: e.fail(429, retry_after="0"),
    "retry_after_an_hour": lambda e: e.fail(429, retry_after="3600"),
    "passing_rate_limit": lambda e: _passing(e, lambda: e.fail(429, retry_after="0")),
    "overloaded": lambda e: e.fail(529, "Overloaded", "overloaded_error"),
    "server_error": lambda e: e.send(b"Internal Server Error", 500, content_type="text/plain"),
    "error_in_200": lambda e: e.json({"error": {"code": 502, "message": "upstream failed"}}),
    "endless_error": lambda e: _endless(e, 500),
    # the wire
    "no_http": _garbage,
    "reset_before_answer": lambda e: e.reset(),
    "reset_mid_answer": lambda e: _half_a_body(e, e.reset),
    "short_body": lambda e: _half_a_body(e, lambda: None),
    "hangs": lambda e: e.wait(),
    "stops_midway": lambda e: _half_a_body(e, e.wait),
    "slow_drip": _drip,
    "answers_too_late": _late,
    "healthy": Exchange.healthy,
}  # fmt: skip

KEY = "sk-sentinel-4f1c9e77"


class FaultyServer:
    """The server; `close` it."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.finished_late = 0
        """Answers that were finished although nobody waited any more."""
        self.requests: list[tuple[str, dict[str, str], Body]] = []
        """Fault, headers (and `:path`) and body of every request."""
        self.faulty_when: str | None = None
        """With a text, requests that hold it get the fault, and all others are healthy."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            timeout = LONGEST_S

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                fault = self.path.split("/")[1]
                body = json.loads(text)
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.requests.append((fault, {":path": self.path, **headers}, body))
                if server.faulty_when is not None and server.faulty_when not in text:
                    fault = "healthy"
                try:
                    FAULTS[fault](Exchange(self, body, server))
                except (OSError, ValueError):
                    # The client has gone.
                    self.close_connection = True

            def log_message(self, *_arguments: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def count(self, fault: str) -> int:
        """Return the number of requests so far that went to a fault's address."""
        return sum(name == fault for name, _, _ in self.requests)

    def close(self) -> None:
        """Let go of every connection."""
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()
